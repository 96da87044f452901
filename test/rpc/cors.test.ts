import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_TOLD_ORIGINS } from '../../src/chat/limits.ts';
import { startEdge } from './edge.ts';

const PATH = '/tailrace.v1.ChatStreamService/GetChatStream';
const APP = 'https://app.example';

function preflight(url: string, origin: string) {
  return fetch(url + PATH, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'content-type,authorization',
    },
  });
}

function call(url: string, origin: string) {
  return fetch(url + PATH, {
    method: 'POST',
    headers: { origin, 'content-type': 'application/json' },
    body: '{"stream_id":"x"}',
  });
}

test('a page of an allowed origin may call, with a token, and see errors', async () => {
  await using edge = await startEdge({ corsOrigins: ['https://other.example', APP] });
  const asked = await preflight(edge.url, APP);
  assert.equal(asked.status, 204);
  assert.equal(asked.headers.get('access-control-allow-origin'), APP);
  assert.match(asked.headers.get('access-control-allow-methods') ?? '', /POST.*GET/);
  const allowed = (asked.headers.get('access-control-allow-headers') ?? '').toLowerCase();
  for (const name of ['content-type', 'authorization', 'connect-protocol-version', 'x-grpc-web']) {
    assert.ok(allowed.includes(name), name);
  }
  assert.match(asked.headers.get('vary') ?? '', /Origin/);
  const answer = await call(edge.url, APP);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('access-control-allow-origin'), APP);
  assert.match(
    answer.headers.get('access-control-expose-headers') ?? '',
    /grpc-status-details-bin/i,
  );
  assert.equal(answer.headers.get('vary'), 'Origin');
});

test('a page of another origin is not allowed, and who is no page is not concerned', async () => {
  await using edge = await startEdge({ corsOrigins: [APP] });
  const asked = await preflight(edge.url, 'https://evil.example');
  assert.equal(asked.status, 403);
  assert.equal(asked.headers.get('access-control-allow-origin'), null);
  const answer = await call(edge.url, 'https://evil.example');
  assert.equal(answer.headers.get('access-control-allow-origin'), null);
  assert.equal((await fetch(edge.url)).status, 200);
});

test('* allows every origin, if it is said', async () => {
  await using edge = await startEdge({ corsOrigins: ['*'] });
  const asked = await preflight(edge.url, 'https://any.example');
  assert.equal(asked.headers.get('access-control-allow-origin'), '*');
});

test('without origins no page may call', async () => {
  await using edge = await startEdge();
  const asked = await preflight(edge.url, APP);
  assert.equal(asked.status, 403);
  assert.equal(await asked.text(), 'This origin is not in TAILRACE_CORS_ORIGINS.\n');
  assert.equal(asked.headers.get('access-control-allow-origin'), null);
});

test('the operator is told of an origin that may not call, once, and of no more than some', async () => {
  const told: string[] = [];
  await using edge = await startEdge({ onRefusedOrigin: (origin) => void told.push(origin) });
  await preflight(edge.url, APP);
  await preflight(edge.url, APP);
  assert.deepEqual(told, [APP]);
  for (let i = 0; i < 2 * MAX_TOLD_ORIGINS; i++) await preflight(edge.url, `https://p${i}.example`);
  assert.equal(told.length, MAX_TOLD_ORIGINS);
});
