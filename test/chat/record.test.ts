// A record is read by its first bytes and cut between two events, without decoding.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { EventBatchSchema, EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { cutAfter, encodeBatch, sequenceRange } from '../../src/chat/log/record.ts';

const MAX_INT32 = 2 ** 31 - 1;

/** Events in a row from some sequence on, as large and as small as they come. */
const events: fc.Arbitrary<Event[]> = fc
  .record({
    first: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: MAX_INT32 - 100 })),
    texts: fc.array(fc.string({ unit: 'grapheme', maxLength: 300 }), {
      minLength: 1,
      maxLength: 20,
    }),
    attempt: fc.nat({ max: 5 }),
  })
  .map(({ first, texts, attempt }) =>
    texts.map((text, i) =>
      create(EventSchema, {
        sequence: first + i,
        attempt,
        correlationId: text.slice(0, 3),
        payload: { case: 'textDelta', value: { index: 0, text } },
      }),
    ),
  );

test('the range of a record is that of its events', () => {
  fc.assert(
    fc.property(events, (given) => {
      const range = { first: given[0]?.sequence, last: given.at(-1)?.sequence };
      assert.deepEqual(sequenceRange(encodeBatch(given)), range);
    }),
  );
  assert.equal(sequenceRange(new Uint8Array(0)), undefined);
});

test('cut after any cursor leaves the bytes of the events behind it, and joined records are one', () => {
  fc.assert(
    fc.property(events, fc.integer({ min: -2, max: 25 }), (given, offset) => {
      const record = encodeBatch(given);
      const cursor = (given[0]?.sequence ?? 0) + offset;
      const cut = cutAfter(record, cursor);
      const left = given.filter(({ sequence }) => sequence > cursor);
      assert.deepEqual(Buffer.from(cut), Buffer.from(encodeBatch(left)));
      assert.equal(cut.buffer, record.buffer, 'shared, not copied');
      const joined = Buffer.concat([record, cut]);
      assert.equal(fromBinary(EventBatchSchema, joined).events.length, given.length + left.length);
    }),
  );
});

test('what is not a record is a fault, never a guess', () => {
  const record = encodeBatch([create(EventSchema, { sequence: 300, attempt: 1 })]);
  assert.throws(() => sequenceRange(record.subarray(0, record.length - 1)), /not an EventBatch/);
  assert.throws(() => sequenceRange(new Uint8Array([0x12, 0])), /not an EventBatch/);
  assert.throws(() => sequenceRange(new Uint8Array([0x0a, 2, 0x10, 1])), /not an EventBatch/);
  assert.throws(() => sequenceRange(new Uint8Array(9).fill(0xff)), /not an EventBatch/);
});
