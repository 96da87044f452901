import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import { retryAfterOf } from '../../src/model/answer/failure.ts';
import { createRegistry } from '../../src/model/registry.ts';
import { oneServer } from '../../src/model/settings/registry-spec.ts';
import { retryWaitMs, wait } from '../../src/model/calls/retry.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { modelCall, NEVER, recordingSink, startPair } from './model-call.ts';

const PASSING: readonly ScriptInput[] = [
  { fault: 'status', status: 429, times: 2 },
  { fault: 'status', status: 503, times: 2 },
  { fault: 'status', status: 408, times: 1 },
  { fault: 'status', status: 409, times: 1 },
  { fault: 'refuse', times: 2 },
  { fault: 'cut', after: 0, times: 1 },
];

test('a fault that passes before the first token is not noticed', async (t) => {
  await using pair = await startPair();
  for (const script of PASSING) {
    await t.test(JSON.stringify(script), async () => {
      const before = pair.server.requests.length;
      const sink = recordingSink();
      const { stopReason } = await pair.client.generate(modelCall(script), sink, NEVER);
      assert.equal(stopReason, StopReason.END_TURN);
      assert.equal(sink.texts.length, 5);
      assert.equal(pair.server.requests.length - before, (script.times ?? 0) + 1);
    });
  }
});

test('after the first token there is no other try', async () => {
  await using pair = await startPair();
  const sink = recordingSink();
  const call = modelCall({ fault: 'cut', after: 1, times: 1 });
  await assert.rejects(pair.client.generate(call, sink, NEVER), ModelFailure);
  assert.equal(pair.server.requests.length, 1);
  assert.equal(sink.texts.length, 1);
});

test('Retry-After is obeyed where it is short enough', async () => {
  await using pair = await startPair({ retryBaseMs: 0 });
  for (const wish of [{ retry_after: 0.1 }, { retry_after_ms: 100, retry_after: 9 }]) {
    const call = modelCall({ fault: 'status', status: 429, times: 1, ...wish });
    await pair.client.generate(call, recordingSink(), NEVER);
    const [first, second] = [await pair.server.nextRequest(), await pair.server.nextRequest()];
    assert.ok(second.at - first.at >= 99, `${second.at - first.at} ms`);
  }
});

test('a Retry-After past the first-token timeout ends the call at once, and those that come while it lasts', async () => {
  for (const retry_after of ['90', new Date(Date.now() + 90_500).toUTCString()]) {
    await using pair = await startPair();
    const call = modelCall({ fault: 'status', status: 429, times: 1, retry_after });
    for (const _ of [1, 2]) {
      await assert.rejects(pair.client.generate(call, recordingSink(), NEVER), (error) => {
        assert.ok(error instanceof ModelFailure);
        assert.equal(error.reason, FailureReason.UPSTREAM_RATE_LIMITED);
        assert.equal(error.retryable, true);
        assert.match(error.message, /asks for (90|89)(\.\d)? s/);
        return true;
      });
    }
    assert.equal(pair.server.requests.length, 1);
  }
});

test('a wait past the first-token timeout is not begun', async () => {
  await using pair = await startPair({ firstTokenTimeoutMs: 2_000 });
  const call = modelCall({ fault: 'status', status: 429, retry_after: 3 });
  const before = performance.now();
  await assert.rejects(pair.client.generate(call, recordingSink(), NEVER), {
    reason: FailureReason.UPSTREAM_RATE_LIMITED,
  });
  assert.ok(performance.now() - before < 1_500);
});

test('Retry-After is read as milliseconds, seconds or a date, and nonsense is not', () => {
  const of = (headers: Record<string, string>) => retryAfterOf(new Headers(headers));
  assert.equal(of({ 'retry-after-ms': '12', 'retry-after': '9' }), 12);
  assert.equal(of({ 'retry-after': '9' }), 9_000);
  const date = of({ 'retry-after': new Date(Date.now() + 10_000).toUTCString() }) ?? 0;
  assert.ok(date > 8_000 && date <= 10_000);
  assert.equal(of({ 'retry-after': new Date(0).toUTCString() }), 0);
  assert.equal(of({ 'retry-after': 'soon' }), undefined);
  assert.equal(of({ 'retry-after': '-1' }), undefined);
  assert.equal(of({}), undefined);
});

test('waits grow, are jittered from zero and bounded', () => {
  const policy = { tries: 9, baseMs: 100, maxMs: 1_000 };
  for (const [failed, most] of [
    [1, 100],
    [2, 200],
    [3, 400],
    [9, 1_000],
  ] as const) {
    const waits = Array.from({ length: 500 }, () => retryWaitMs(failed, undefined, policy) ?? -1);
    assert.ok(Math.max(...waits) <= most && Math.max(...waits) > most * 0.9);
    assert.ok(Math.min(...waits) >= 0 && Math.min(...waits) < most * 0.1);
  }
});

test('a wait ends at once when it is aborted, and lets go of the signal', async () => {
  const controller = new AbortController();
  const waiting = wait(60_000, controller.signal);
  controller.abort(new Error('stop'));
  await assert.rejects(waiting, /stop/);
  await assert.rejects(wait(60_000, controller.signal), /stop/);
  await wait(0, NEVER);
  assert.equal(getEventListeners(NEVER, 'abort').length, 0);
});

test('an idle connection that the server has closed is replaced, not reported', async () => {
  const sockets: Socket[] = [];
  const answer =
    'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
  // Each connection answers once and is reset by the second request, as if it had been too late.
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(`${head}content-length: ${answer.length}\r\n\r\n${answer}`);
      socket.once('data', () => socket.resetAndDestroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const spec = oneServer({ baseUrl: `http://127.0.0.1:${address.port}/v1`, dialect: 'vllm' });
  const client = createRegistry(spec, { tries: 1 });
  for (let i = 0; i < 3; i++) {
    await client.generate(modelCall('Hi'), recordingSink(), NEVER);
  }
  assert.equal(sockets.length, 3);
  client.close();
  server.close();
});
