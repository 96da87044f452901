// The TypeScript client against a real server, with a network between them that can be cut.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import type { ChatSnapshot, ChatUpdate } from '../../clients/typescript/src/tailrace.ts';
import { ChatStreamStatus, createTailraceClient } from '../../clients/typescript/src/tailrace.ts';
import { scripted } from '../model-server/model-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { startProxy } from '../support/proxy.ts';
import { startScripted } from '../support/scripted-tailrace.ts';

const { tailrace } = await forAllTests(startScripted());

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

test('what is observed from a cursor is what came after it, and is not called verified', async () => {
  const client = createTailraceClient(createGrpcTransport({ baseUrl: tailrace.url }));
  const { streamId } = await client.initiate(scripted({ text: ['a', 'b', 'c'], interval_ms: 5 }));
  const { sequence } = await client.awaitResult(streamId);
  let last: ChatSnapshot | undefined;
  for await (const { snapshot } of client.observe(streamId, { afterSequence: sequence - 3 })) {
    last = snapshot;
  }
  assert.ok(last?.ended);
  assert.equal(last.sequence, sequence);
  assert.ok(!last.fromStart && !last.verified);
});

test('each protocol of Node resumes; how soon is told', async (t) => {
  for (const [name, transport] of [
    ['Connect over HTTP/1.1', createConnectTransport],
    ['Connect over HTTP/2', createConnectTransport],
    ['gRPC-Web', createGrpcWebTransport],
  ] as const) {
    await using proxy = await startProxy(tailrace.url);
    const httpVersion = name.endsWith('2') ? '2' : '1.1';
    const client = createTailraceClient(transport({ baseUrl: proxy.url, httpVersion }));
    const { streamId } = await client.initiate(scripted({ tokens: 120, interval_ms: 20 }));
    const resumeMs: number[] = [];
    let lostAtMs: number | undefined;
    let last: ChatSnapshot | undefined;
    for await (const update of client.observe(streamId)) {
      last = update.snapshot;
      if (update.kind === 'event' && update.event.sequence % 16 === 0) {
        lostAtMs ??= performance.now();
        proxy.cut();
      }
      if (update.kind === 'attached' && lostAtMs !== undefined) {
        resumeMs.push(performance.now() - lostAtMs);
        lostAtMs = undefined;
      }
    }
    assert.ok(last?.verified);
    assert.ok(resumeMs.length >= 3);
    const median = resumeMs.toSorted((a, b) => a - b)[resumeMs.length >> 1] ?? 0;
    t.diagnostic(`${name}: resumed ${resumeMs.length} times, median ${Math.round(median)} ms`);
  }
});
