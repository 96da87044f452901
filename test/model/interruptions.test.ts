import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { createRegistry } from '../../src/model/registry.ts';
import { oneServer } from '../../src/model/settings/registry-spec.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { modelCall, NEVER, recordingSink, startPair } from './model-call.ts';

const RUNNING: readonly (readonly [string, ScriptInput, boolean])[] = [
  ['before the head of the answer', { fault: 'hang' }, false],
  ['before the first token', { first_ms: 60_000 }, false],
  ['in the middle of the answer', { fault: 'endless', interval_ms: 1 }, true],
  ['in the middle of a flood', { fault: 'endless', delta_bytes: 10_000 }, true],
  [
    'in the middle of a compressed answer',
    { fault: 'endless', interval_ms: 1, encoding: 'gzip' },
    true,
  ],
  ['in silence', { fault: 'silence', after: 1 }, true],
];

test('abort closes the socket to the model server before it is answered', async (t) => {
  await using pair = await startPair();
  // The socket is one that was kept alive: to give it back instead of closing it would be easy.
  await pair.client.generate(modelCall('Hi'), recordingSink(), NEVER);
  await pair.server.nextRequest();
  for (const [when, script, speaks] of RUNNING) {
    await t.test(when, async () => {
      const sink = recordingSink();
      const controller = new AbortController();
      const reason = new Error('cancelled by a caller');
      const ended = pair.client.generate(modelCall(script), sink, controller.signal);
      const request = await pair.server.nextRequest();
      if (speaks) await sink.firstText;
      controller.abort(reason);
      await assert.rejects(ended, reason);
      const deltas = sink.texts.length;
      assert.equal(await request.ended, 'aborted');
      await pair.server.waitForActive(0);
      await pair.server.waitForSockets(0);
      assert.equal(sink.texts.length, deltas, 'the sink was called after the end');
    });
  }
});

test('abort while the socket is held back by pressure closes it', async () => {
  await using pair = await startPair();
  const sink = recordingSink();
  sink.holdUntil = new Promise(() => {});
  const controller = new AbortController();
  const call = modelCall({ fault: 'endless', delta_bytes: 10_000 });
  const ended = pair.client.generate(call, sink, controller.signal);
  await sink.firstText;
  controller.abort(new Error('stop'));
  await assert.rejects(ended, /stop/);
  await pair.server.waitForSockets(0);
});

test('abort ends the wait before another try', async () => {
  await using pair = await startPair();
  const controller = new AbortController();
  const call = modelCall({ fault: 'status', status: 429, retry_after: 15 });
  const ended = pair.client.generate(call, recordingSink(), controller.signal);
  assert.equal(await (await pair.server.nextRequest()).ended, 'answered');
  setImmediate(() => controller.abort(new Error('stop')));
  await assert.rejects(ended, /stop/);
  assert.equal(pair.server.requests.length, 1);
});

test('a call that is aborted already asks nothing', async () => {
  await using pair = await startPair();
  const aborted = AbortSignal.abort(new Error('stop'));
  await assert.rejects(pair.client.generate(modelCall('Hi'), recordingSink(), aborted), /stop/);
  assert.equal(pair.server.requests.length, 0);
});

test('connecting has its own timeout, and abort ends it', async () => {
  // Takes connections and never shakes hands: to https that is still connecting.
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.resume());
    server.emit('taken');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const spec = oneServer({ baseUrl: `https://127.0.0.1:${address.port}/v1`, dialect: 'vllm' });
  const client = createRegistry(spec, { connectTimeoutMs: 80, tries: 2, retryBaseMs: 1 });
  const call = modelCall('Hi');
  await assert.rejects(client.generate(call, recordingSink(), NEVER), {
    reason: FailureReason.UPSTREAM_UNAVAILABLE,
    message: /could not be reached \(CONNECT_TIMEOUT\)/,
  });
  assert.equal(sockets.length, 2);

  const controller = new AbortController();
  const taken = once(server, 'taken');
  const ended = client.generate(call, recordingSink(), controller.signal);
  await taken;
  controller.abort(new Error('stop'));
  await assert.rejects(ended, /stop/);
  await Promise.all(sockets.map(async (socket) => socket.closed || (await once(socket, 'close'))));
  server.close();
});

test('no first token in time is FIRST_TOKEN_TIMEOUT, comments or not', async (t) => {
  await using pair = await startPair({ firstTokenTimeoutMs: 60 });
  for (const script of [
    { fault: 'hang' },
    { first_ms: 9_000 },
    { first_ms: 9_000, comment_ms: 5 },
  ] as const) {
    await t.test(JSON.stringify(script), async () => {
      const ended = pair.client.generate(modelCall(script), recordingSink(), NEVER);
      await assert.rejects(ended, {
        reason: FailureReason.FIRST_TOKEN_TIMEOUT,
        retryable: true,
        message: /nothing within 60 ms/,
      });
      assert.equal(await (await pair.server.nextRequest()).ended, 'aborted');
    });
  }
  assert.equal(pair.server.requests.length, 3);
});

test('silence in the middle of an answer is IDLE_TIMEOUT', async () => {
  await using pair = await startPair({ idleTimeoutMs: 60 });
  const sink = recordingSink();
  const call = modelCall({ fault: 'silence', tokens: 10, after: 4 });
  await assert.rejects(pair.client.generate(call, sink, NEVER), {
    reason: FailureReason.IDLE_TIMEOUT,
    retryable: true,
    message: /silent for 60 ms/,
  });
  assert.equal(sink.texts.length, 4);
  assert.equal(await (await pair.server.nextRequest()).ended, 'aborted');
});

test('comments keep an answer alive between its tokens', async () => {
  await using pair = await startPair({ idleTimeoutMs: 200 });
  const sink = recordingSink();
  const call = modelCall({ tokens: 3, interval_ms: 450, comment_ms: 20 });
  const { stopReason } = await pair.client.generate(call, sink, NEVER);
  assert.equal(stopReason, StopReason.END_TURN);
  assert.equal(sink.texts.length, 3);
});

test('pressure stops the reading, and the idle clock with it', async () => {
  await using pair = await startPair({ idleTimeoutMs: 400 });
  const sink = recordingSink();
  const gate = Promise.withResolvers<void>();
  sink.holdUntil = gate.promise;
  const call = modelCall({ tokens: 2_000, delta_bytes: 10_000 });
  const ended = pair.client.generate(call, sink, NEVER);
  await sink.firstText;
  // Twice the idle timeout: long enough for a clock that ran on, and for all 20 MB to arrive.
  await new Promise((resolve) => setTimeout(resolve, 900));
  assert.ok(sink.texts.length < 200, `${sink.texts.length} deltas were read under pressure`);
  assert.equal(pair.server.active, 1);
  sink.holdUntil = undefined;
  gate.resolve();
  await ended;
  assert.equal(sink.texts.length, 2_000);
});

test('200 chats stream at once', async () => {
  await using pair = await startPair();
  const controller = new AbortController();
  const call = modelCall({ fault: 'endless', interval_ms: 30 });
  const chats = Array.from({ length: 200 }, () => {
    const sink = recordingSink();
    const ended = pair.client.generate(call, sink, controller.signal);
    return { sink, ended };
  });
  await Promise.all(chats.map(({ sink }) => sink.firstText));
  assert.equal(pair.server.active, 200);
  controller.abort(new Error('stop'));
  await Promise.allSettled(chats.map(({ ended }) => ended));
  await pair.server.waitForSockets(0);
});
