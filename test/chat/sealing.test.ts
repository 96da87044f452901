// Sealing: what one key seals only that key opens, for the chat and field it belongs to; keys are rotated;
// the identity of a request gives its secrets away to nobody.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Code } from '@connectrpc/connect';
import * as fc from 'fast-check';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { InitiateChatStreamRequest } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { canonicalRequest } from '../../src/chat/request/canonical.ts';
import { identitiesOf, sealSecrets } from '../../src/chat/request/seal-request.ts';
import type { Sealer } from '../../src/chat/ports/sealing.ts';
import { OpenError } from '../../src/chat/ports/sealing.ts';
import { replaceSecrets } from '../../src/chat/request/secrets.ts';
import type { SealKey } from '../../src/ops/seal-keys.ts';
import { createSealing } from '../../src/ops/sealing.ts';
import { toConnectError } from '../../src/rpc/edge/errors.ts';
import { openSecrets } from '../../src/worker/open-secrets.ts';
import { chatKey, initiateRequest, NO_KEYS } from '../support/chats/chat-fixtures.ts';
import { plantSecrets } from '../support/chats/planted.ts';
import { refusalOf } from '../support/refusal.ts';

const SCHEMA = InitiateChatStreamRequestSchema;
const CHAT = chatKey('c');
const PLACE = { chat: CHAT, path: 'request.mcp_servers[0].bearer_token' };
const K1: SealKey = { id: 'k1', bytes: Buffer.alloc(32, 1) };
const K2: SealKey = { id: 'k2', bytes: Buffer.alloc(32, 2) };
const ONE = createSealing([K1]);
const TWO = createSealing([K2]);
const ROTATED = createSealing([K2, K1]);

function identities(
  request: InitiateChatStreamRequest,
  sealer: Sealer,
  chat = CHAT,
): readonly string[] {
  return identitiesOf(request, canonicalRequest(request).hash, sealer, chat);
}

test('what is sealed is opened again, whatever text it is, and never looks the same twice', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
      const sealed = ONE.seal(text, PLACE);
      assert.match(sealed, /^sealed:v1:k1:[A-Za-z0-9+/]+=*$/);
      assert.equal(ONE.open(sealed, PLACE), text.toWellFormed());
      assert.notEqual(ONE.seal(text, PLACE), sealed);
    }),
  );
  const twice = ONE.seal(ONE.seal('s', PLACE), PLACE);
  assert.equal(ONE.open(ONE.open(twice, PLACE), PLACE), 's');
});

test('rotation: sealed by key 1, opened with keys 2 and 1; with key 2 alone refused, and the error names key 1', () => {
  const { request } = plantSecrets();
  const sealed = sealSecrets(request, ONE, CHAT);
  assert.deepEqual(openSecrets(sealed, ROTATED, CHAT), request);
  assert.throws(
    () => openSecrets(sealed, TWO, CHAT),
    (error) =>
      error instanceof OpenError &&
      /was sealed by the key "k1", which this worker does not have \(it has "k2"\)/.test(
        error.message,
      ),
  );
  assert.throws(() => openSecrets(sealed, NO_KEYS, CHAT), /by the key "k1".*\(it has none\)/);
  // The first of several seals.
  assert.match(ROTATED.seal('s', PLACE), /^sealed:v1:k2:/);
});

test('a sealed text is good for nothing in another chat, another tenant or another field', () => {
  const sealed = ONE.seal('s', PLACE);
  for (const place of [
    { ...PLACE, chat: chatKey('d') },
    { ...PLACE, chat: { ...CHAT, tenant: 'other' } },
    { ...PLACE, path: 'request.mcp_servers[1].bearer_token' },
    // What would be the same text with its parts put together in another way.
    { ...PLACE, chat: { tenant: `${CHAT.tenant}","c`, streamId: '' } },
  ]) {
    assert.throws(
      () => ONE.open(sealed, place),
      /not what the key "k1" sealed for this chat and field/,
    );
  }
});

test('a sealed text that was changed anywhere, cut, or never sealed is not opened, and not quoted', () => {
  const sealed = ONE.seal('a secret', PLACE);
  const [head = '', base64 = ''] = sealed.split(/(?<=:k1:)/);
  const bytes = Buffer.from(base64, 'base64');
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes);
    changed[i] = (changed[i] ?? 0) ^ 1;
    assert.throws(() => ONE.open(head + changed.toString('base64'), PLACE), OpenError, `byte ${i}`);
    const cut = head + bytes.subarray(0, i).toString('base64');
    assert.throws(() => ONE.open(cut, PLACE), OpenError, `cut after ${i}`);
  }
  for (const never of ['a secret', 'sealed:v2:k1:AAAA', 'sealed:v1:k1:', 'sealed:v1:k 1:AAAA']) {
    assert.throws(
      () => ONE.open(never, PLACE),
      (error) => error instanceof OpenError && !error.message.includes(never),
    );
  }
  const impostor = createSealing([{ id: 'k1', bytes: K2.bytes }]);
  assert.throws(() => impostor.open(sealed, PLACE), /or this process has another key by that id/);
});

test('a request with a secret and no key is FAILED_PRECONDITION, in words that say what to set; one without needs none', () => {
  const { request, secrets } = plantSecrets();
  for (const act of [
    () => sealSecrets(request, NO_KEYS, CHAT),
    () => identities(request, NO_KEYS),
  ]) {
    assert.throws(act, (error) => {
      const connect = toConnectError(error, () => undefined);
      assert.equal(connect.code, Code.FailedPrecondition);
      const { reason, message } = refusalOf(connect);
      assert.equal(reason, 'SEALING_KEY_MISSING');
      assert.match(message, /The operator must set TAILRACE_SEAL_KEYS.*openssl rand -base64 32/);
      for (const secret of secrets.values()) assert.ok(!message.includes(secret));
      return true;
    });
  }
  const plain = initiateRequest();
  assert.equal(sealSecrets(plain, NO_KEYS, CHAT), plain);
  assert.deepEqual(identities(plain, NO_KEYS), [canonicalRequest(plain).hash]);
});

test('the same request with the same secrets has the same identity, also after the key was rotated', () => {
  const { request } = plantSecrets();
  const again = replaceSecrets(SCHEMA, request, ({ text }) => text);
  const [stored] = identities(request, ONE);
  assert.ok(stored !== undefined);
  assert.equal(identities(again, ONE)[0], stored);
  assert.ok(identities(again, ROTATED).includes(stored));
  assert.notEqual(identities(again, ROTATED)[0], stored);
  assert.ok(!identities(again, TWO).includes(stored));
  assert.equal(TWO.missing(stored), 'k1');
  assert.equal(ROTATED.missing(stored), undefined);
  assert.equal(TWO.missing(canonicalRequest(initiateRequest()).hash), undefined);
});

test('another secret is another request, in each field', () => {
  const { request, secrets } = plantSecrets();
  const [stored] = identities(request, ONE);
  for (const [name, secret] of secrets) {
    const other = replaceSecrets(SCHEMA, request, ({ text }) => (text === secret ? 'x' : text));
    assert.notEqual(identities(other, ONE)[0], stored, name);
  }
});

test('a stored identity lets nobody without the key try a weak secret out, nor see that two chats have the same', () => {
  const weak = replaceSecrets(SCHEMA, plantSecrets().request, () => '1234');
  const [stored = ''] = identities(weak, ONE);
  const hash = canonicalRequest(weak).hash;
  const hex = stored.split(':')[1];
  for (const guess of [hash, createHash('sha256').update(hash).digest('hex')]) {
    assert.notEqual(hex, guess);
  }
  assert.notEqual(identities(weak, createSealing([{ id: 'k1', bytes: K2.bytes }]))[0], stored);
  assert.notEqual(identities(weak, ONE, chatKey('d'))[0], stored);
});
