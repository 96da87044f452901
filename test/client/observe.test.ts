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
import { startProxy } from '../support/processes/proxy.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';

const { tailrace } = await forAllTests(startScripted());

test('a connection that is cut again and again is resumed: nothing lost, nothing twice', async () => {
  await using proxy = await startProxy(tailrace.url);
  const client = createTailraceClient(createGrpcTransport({ baseUrl: proxy.url }));
  const { streamId } = await client.initiate(scripted({ fault: 'endless', interval_ms: 20 }));
  const updates: ChatUpdate[] = [];
  let last: ChatSnapshot | undefined;
  let cuts = 0;
  for await (const update of client.observe(streamId)) {
    updates.push(update);
    last = update.snapshot;
    const lost = updates.filter(({ kind }) => kind === 'reconnecting').length;
    // In the middle of the answer each time.
    if (update.kind !== 'event' || cuts > lost) continue;
    cuts++;
    if (cuts <= 3) proxy.cut();
    else if (cuts === 4) await client.cancel(streamId);
  }
  const sequences = updates.flatMap((u) => (u.kind === 'event' ? [u.event.sequence] : []));
  assert.deepEqual(
    sequences,
    sequences.map((_, i) => i + 1),
  );
  assert.equal(updates.filter((u) => u.kind === 'reconnecting').length, 3);
  assert.equal(last?.status, ChatStreamStatus.CANCELLED);
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
    const { streamId } = await client.initiate(scripted({ fault: 'endless', interval_ms: 20 }));
    const resumeMs: number[] = [];
    let lostAtMs: number | undefined;
    let last: ChatSnapshot | undefined;
    let cancelled = false;
    for await (const update of client.observe(streamId)) {
      last = update.snapshot;
      if (update.kind === 'attached' && lostAtMs !== undefined) {
        resumeMs.push(performance.now() - lostAtMs);
        lostAtMs = undefined;
      }
      // What had come before the cut is still told.
      if (update.kind !== 'event' || lostAtMs !== undefined || cancelled) continue;
      if (resumeMs.length < 4) {
        lostAtMs = performance.now();
        proxy.cut();
      } else {
        cancelled = true;
        await client.cancel(streamId);
      }
    }
    assert.ok(last?.verified);
    assert.equal(resumeMs.length, 4);
    const median = resumeMs.toSorted((a, b) => a - b)[resumeMs.length >> 1] ?? 0;
    t.diagnostic(`${name}: resumed ${resumeMs.length} times, median ${Math.round(median)} ms`);
  }
});
