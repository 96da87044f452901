// How many values a body holds, counted before it is decoded: eight megabytes of empty messages are
// four million objects, and to make and check them would hold up every other caller for seconds.
import type { DescMessage } from '@bufbuild/protobuf';
import { MAX_REQUEST_VALUES } from '../../chat/limits.ts';
import { ChatError } from '../../chat/errors.ts';

/** A body this small cannot hold too many. */
const SURELY_FEW_BYTES = MAX_REQUEST_VALUES;

/** Throws REQUEST_TOO_LARGE. What is not JSON is not judged here. */
export function boundJsonValues(bytes: Uint8Array): void {
  if (bytes.byteLength < SURELY_FEW_BYTES) return;
  let values = 0;
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = endOfString(bytes, at);
    } else if (byte === COMMA || byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++values > MAX_REQUEST_VALUES) throw tooManyValues();
    }
  }
}

/** Where the string ends that begins here; long texts are most of a body, and are passed over natively. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let from = start + 1; ;) {
    const quote = bytes.indexOf(QUOTE, from);
    if (quote < 0) return bytes.byteLength;
    let escapes = 0;
    while (bytes[quote - 1 - escapes] === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return quote;
    from = quote + 1;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;

/** Throws REQUEST_TOO_LARGE. What is not the message is not judged here. */
export function boundBinaryValues(schema: DescMessage, bytes: Uint8Array): void {
  if (bytes.byteLength < SURELY_FEW_BYTES) return;
  countFields(schema, bytes, 0, bytes.byteLength, 0);
}

/** Returns the count so far; stops where the bytes make no sense, which decoding will say. */
function countFields(
  schema: DescMessage | undefined,
  bytes: Uint8Array,
  from: number,
  end: number,
  before: number,
): number {
  const fields = schema === undefined ? undefined : messageFields(schema);
  let count = before;
  let at = from;
  while (at < end) {
    const tag = varint(bytes, at, end);
    if (++count > MAX_REQUEST_VALUES) throw tooManyValues();
    at = tag.next;
    const wireType = tag.value & 7;
    if (wireType === 0) at = varint(bytes, at, end).next;
    else if (wireType === 1) at += 8;
    else if (wireType === 5) at += 4;
    else if (wireType === 2) {
      const length = varint(bytes, at, end);
      const stop = length.next + length.value;
      if (stop > end) return count;
      const inner = fields?.get(tag.value >>> 3);
      if (inner !== undefined) count = countFields(inner, bytes, length.next, stop, count);
      at = stop;
    } else return count;
  }
  return count;
}

const fieldsOf = new WeakMap<DescMessage, ReadonlyMap<number, DescMessage>>();

/** The fields that hold messages, by number. Entries of maps count as one value each. */
function messageFields(schema: DescMessage): ReadonlyMap<number, DescMessage> {
  let fields = fieldsOf.get(schema);
  if (fields === undefined) {
    fields = new Map(
      schema.fields.flatMap((field) =>
        field.message === undefined || field.fieldKind === 'map'
          ? []
          : [[field.number, field.message] as const],
      ),
    );
    fieldsOf.set(schema, fields);
  }
  return fields;
}

/** Past the end the rest counts as read: decoding says what is wrong with it. */
function varint(bytes: Uint8Array, at: number, end: number): { value: number; next: number } {
  let value = 0;
  for (let i = 0; i < 10 && at + i < end; i++) {
    const byte = bytes[at + i] ?? 0;
    if (i < 5) value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { value, next: at + i + 1 };
  }
  return { value, next: end };
}

function tooManyValues(): ChatError {
  return new ChatError(
    'REQUEST_TOO_LARGE',
    `The request has more than ${MAX_REQUEST_VALUES} values (fields, items and messages in it together), the most that this server takes.`,
    { metadata: { max_values: String(MAX_REQUEST_VALUES) } },
  );
}
