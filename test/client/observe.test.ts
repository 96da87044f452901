// The TypeScript client against a real server, with a network between them that can be cut.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Code } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import type { ChatSnapshot, ChatUpdate } from '../../clients/typescript/src/tailrace.ts';
import { ChatStreamStatus, createTailraceClient } from '../../clients/typescript/src/tailrace.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { startProxy } from '../support/proxy.ts';
import { startTestTailrace, type TestTailrace } from '../support/tailrace.ts';

let nats: TestNats;
let model: ModelServer;
let tailrace: TestTailrace;

before(async () => {
  nats = await startNats();
  model = await startModelServer();
  tailrace = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
});

after(async () => {
  await tailrace[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

test('a connection that is cut again and again is resumed: nothing lost, nothing twice', async () => {
  await using proxy = await startProxy(tailrace.url);
  const client = createTailraceClient(createGrpcTransport({ baseUrl: proxy.url }));
  const { streamId } = await client.initiate(scripted({ tokens: 60, interval_ms: 20 }));
  const updates: ChatUpdate[] = [];
  let last: ChatSnapshot | undefined;
  for await (const update of client.observe(streamId)) {
    updates.push(update);
    last = update.snapshot;
    if (update.kind === 'event' && update.event.sequence % 15 === 0) proxy.cut();
  }
  const sequences = updates.flatMap((u) => (u.kind === 'event' ? [u.event.sequence] : []));
  assert.deepEqual(
    sequences,
    sequences.map((_, i) => i + 1),
  );
  assert.ok(updates.filter((u) => u.kind === 'reconnecting').length >= 3);
  assert.equal(last?.status, ChatStreamStatus.COMPLETED);
  assert.ok(last?.verified);
});

test('errors are typed: code, reason, fields', async () => {
  const transport = createConnectTransport({ baseUrl: tailrace.url, httpVersion: '1.1' });
  const client = createTailraceClient(transport);
  const unknown = { name: 'TailraceError', code: Code.NotFound, reason: 'STREAM_NOT_FOUND' };
  await assert.rejects(client.get('nobody-s'), unknown);
  await assert.rejects(client.awaitResult('nobody-s'), unknown);
  await assert.rejects(client.initiate({ messages: [] }), {
    code: Code.InvalidArgument,
    reason: 'INVALID_REQUEST',
    fieldViolations: [
      { field: 'request.messages', description: 'must contain at least 1 item(s)' },
    ],
  });
});
