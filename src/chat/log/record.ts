// A record of the log is an encoded EventBatch. What every token passes through here reads a few
// first bytes instead of decoding: sequence is field 1 of Event, so it stands first.
import { create, toBinary } from '@bufbuild/protobuf';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { EventBatchSchema } from '../../../gen/tailrace/v1/event_pb.ts';

const EVENTS_TAG = 0x0a;
const SEQUENCE_TAG = 0x08;

export function encodeBatch(events: readonly Event[]): Uint8Array {
  return toBinary(EventBatchSchema, create(EventBatchSchema, { events: [...events] }));
}

export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** The sequences of a record's events; undefined for a record without events. */
export function sequenceRange(data: Uint8Array): SequenceRange | undefined {
  if (data.length === 0) return undefined;
  let first = 0;
  let last = 0;
  for (const event of eventBounds(data)) {
    last = sequenceAt(data, event.bodyStart);
    if (first === 0) first = last;
  }
  return { first, last };
}

/** The part of a record that is after a cursor: the same bytes, cut between two events. */
export function cutAfter(data: Uint8Array, afterSequence: number): Uint8Array {
  for (const event of eventBounds(data)) {
    if (sequenceAt(data, event.bodyStart) > afterSequence) return data.subarray(event.start);
  }
  return data.subarray(data.length);
}

function* eventBounds(data: Uint8Array): Generator<{ start: number; bodyStart: number }> {
  let at = 0;
  while (at < data.length) {
    if (data[at] !== EVENTS_TAG) throw notABatch(at);
    const start = at;
    const length = varintAt(data, at + 1);
    yield { start, bodyStart: length.next };
    at = length.next + length.value;
  }
  if (at !== data.length) throw notABatch(at);
}

function sequenceAt(data: Uint8Array, at: number): number {
  if (data[at] !== SEQUENCE_TAG) throw notABatch(at);
  return varintAt(data, at + 1).value;
}

function varintAt(data: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = data[at + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  throw notABatch(at);
}

function notABatch(at: number): Error {
  return new Error(`A record of the log is not an EventBatch: unexpected byte at ${at}.`);
}
