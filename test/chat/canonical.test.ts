// A request's identity: the same for the same request however it was sent, another for any other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { canonicalRequest } from '../../src/chat/request/canonical.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';

const hashOf = (...given: Parameters<typeof initiateRequest>): string =>
  canonicalRequest(initiateRequest(...given)).hash;

const pairs = fc.uniqueArray(fc.tuple(fc.string({ minLength: 1 }), fc.string()), {
  selector: ([key]) => key,
  maxLength: 12,
});

test('the order of a map does not matter, its pairs do', () => {
  fc.assert(
    fc.property(pairs, fc.infiniteStream(fc.nat()), (given, order) => {
      const shuffled = given
        .map((pair) => ({ pair, at: order.next().value ?? 0 }))
        .toSorted((a, b) => a.at - b.at)
        .map(({ pair }) => pair);
      const hash = hashOf({ request: { metadata: Object.fromEntries(given) } });
      assert.equal(hashOf({ request: { metadata: Object.fromEntries(shuffled) } }), hash);
      const more = { ...Object.fromEntries(given), 'one more': '' };
      assert.notEqual(hashOf({ request: { metadata: more } }), hash);
    }),
  );
});

test('the protocol that a request came by does not matter', () => {
  const request = fc.record(
    {
      temperature: fc.double({ min: 0, max: 2, noNaN: true }),
      seed: fc.bigInt({ min: -(2n ** 53n) + 1n, max: 2n ** 53n - 1n }),
      maxTokens: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      stop: fc.array(fc.string({ unit: 'grapheme', minLength: 1 }), { maxLength: 3 }),
      stream: fc.boolean(),
      correlationId: fc.string({ unit: 'grapheme', maxLength: 5 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(request, fc.string({ unit: 'grapheme' }), (given, text) => {
      const made = initiateRequest({ text, request: given });
      const { hash } = canonicalRequest(made);
      const schema = InitiateChatStreamRequestSchema;
      assert.equal(canonicalRequest(fromBinary(schema, toBinary(schema, made))).hash, hash);
      assert.equal(canonicalRequest(fromJson(schema, toJson(schema, made))).hash, hash);
    }),
  );
});

test('the id is no part of the request, and the request is not changed by being looked at', () => {
  const made = initiateRequest({ streamId: 'mine', request: { metadata: { b: '2', a: '1' } } });
  const before = toBinary(InitiateChatStreamRequestSchema, made);
  const { bytes, hash } = canonicalRequest(made);
  assert.equal(hash, hashOf({ streamId: 'other', request: { metadata: { a: '1', b: '2' } } }));
  assert.deepEqual(toBinary(InitiateChatStreamRequestSchema, made), before);
  assert.equal(fromBinary(InitiateChatStreamRequestSchema, bytes).streamId, undefined);
  assert.match(hash, /^[0-9a-f]{64}$/);
});

test('defaults are not filled in: a value that is given is another request than none', () => {
  const plain = hashOf();
  for (const request of [
    { temperature: 0 },
    { stream: true },
    { priority: 5 },
    { seed: 0n },
    { topK: 0 },
  ]) {
    assert.notEqual(hashOf({ request }), plain, JSON.stringify(Object.keys(request)));
  }
  assert.notEqual(hashOf({ ttlMs: 86_400_000 }), plain);
});
