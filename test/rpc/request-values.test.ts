// Bodies that are small in bytes and huge in values are refused before anything is made of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { MAX_REQUEST_VALUES } from '../../src/chat/limits.ts';
import { boundBinaryValues, boundJsonValues } from '../../src/rpc/request/request-values.ts';

const SCHEMA = InitiateChatStreamRequestSchema;
const TOO_LARGE = { reason: 'REQUEST_TOO_LARGE' };

/** Four million empty messages: `messages` is field 1 of `request`, which is field 2. */
function emptyMessages(count: number): Uint8Array {
  const inner = Buffer.alloc(count * 2);
  for (let i = 0; i < count; i++) inner[i * 2] = 0x0a;
  const length: number[] = [];
  for (let left = inner.byteLength; ; left = Math.floor(left / 128)) {
    if (left < 128) {
      length.push(left);
      break;
    }
    length.push((left % 128) + 128);
  }
  return Buffer.concat([Buffer.from([0x12, ...length]), inner]);
}

test('a body with too many values is refused, in both forms, whatever they are', () => {
  assert.throws(() => boundBinaryValues(SCHEMA, emptyMessages(4_000_000)), TOO_LARGE);
  const many = MAX_REQUEST_VALUES + 1;
  const bodies = [
    `{"request":{"messages":[${Array.from({ length: many }, () => '{}').join(',')}]}}`,
    `{"request":{"stop":[${Array.from({ length: many }, () => '1').join(',')}]}}`,
    `{${Array.from({ length: many }, (_, i) => `"k${i}":0`).join(',')}}`,
    '['.repeat(many),
  ];
  for (const body of bodies) assert.throws(() => boundJsonValues(Buffer.from(body)), TOO_LARGE);
});

test('as many messages as the contract allows are within the bound, with any text', () => {
  const text = '{"[,]}\\"{{{[[[,,,'.repeat(40);
  const content = [{ block: { case: 'text', value: text } as const }];
  const message = create(SCHEMA, {
    request: { messages: Array.from({ length: 10_000 }, () => ({ role: Role.USER, content })) },
  });
  boundBinaryValues(SCHEMA, toBinary(SCHEMA, message));
  boundJsonValues(Buffer.from(toJsonString(SCHEMA, message)));
});

test('what is not the message is left to the decoder', () => {
  for (const byte of [0x00, 0x07, 0x0a, 0x7f, 0xff]) {
    const bytes = new Uint8Array(MAX_REQUEST_VALUES * 2).fill(byte);
    try {
      boundBinaryValues(SCHEMA, bytes);
    } catch (error) {
      assert.ok(error instanceof Error && error.message.includes('values'), `byte ${byte}`);
    }
  }
});
