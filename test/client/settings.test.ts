// What a caller's settings, token and clock may do to a call: none of it makes a client ask without a pause, wait for
// ever, or say a secret.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { HandlerContext } from '@connectrpc/connect';
import { Code, ConnectError, createRouterTransport } from '@connectrpc/connect';
import type {
  ChatUpdate,
  TailraceClientOptions,
  WaitChatStreamRequest,
} from '../../clients/typescript/src/tailrace.ts';
import { ChatStreamService, createTailraceClient } from '../../clients/typescript/src/tailrace.ts';
import { RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

/** The timeouts that the server is asked to wait, and those of the calls. */
function waitingClient(options: TailraceClientOptions) {
  const asked: (readonly [number, number | undefined])[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(ChatStreamService, {
      waitChatStream: ({ timeout }: WaitChatStreamRequest, context: HandlerContext) => {
        const limitMs = context.timeoutMs();
        const pollMs = timeout === undefined ? 0 : durationMs(timeout);
        asked.push([pollMs, limitMs === undefined ? undefined : Math.ceil(limitMs / 100) * 100]);
        return { chatStream: { streamId: 'chat', status: asked.length < 2 ? 2 : 3 } };
      },
    });
  });
  return { client: createTailraceClient(transport, options), asked };
}

test('one poll of wait is shorter than its own call, whatever the timeouts are', async () => {
  for (const [own, given, expected] of [
    [undefined, undefined, [30_000, 60_000]],
    [undefined, 5_000, [5_000, 10_000]],
    [1_000, undefined, [1_000, 2_000]],
    // No timeout is no reason to ask again and again.
    [0, undefined, [60_000, undefined]],
    [undefined, 0, [60_000, undefined]],
    [Infinity, undefined, [60_000, undefined]],
  ] as const) {
    const { client, asked } = waitingClient({ timeoutMs: own });
    await client.wait('chat', { timeoutMs: given });
    assert.deepEqual(asked, [expected, expected]);
  }
});

test('a wait that is longer than timers are is no reason to ask at once', async (t) => {
  const transport = createRouterTransport(({ service }) => {
    service(ChatStreamService, {
      async *observeChatStream() {
        yield* [];
        throw new ConnectError('much later', Code.Unavailable, undefined, [
          { desc: RetryInfoSchema, value: { retryDelay: { seconds: 10_000_000n, nanos: 0 } } },
        ]);
      },
    });
  });
  const leave = new AbortController();
  const updates = createTailraceClient(transport).observe('chat', { signal: leave.signal });
  assert.equal((await updates.next()).value?.kind, 'reconnecting');
  const timers = t.mock.method(globalThis, 'setTimeout');
  const next = updates.next();
  leave.abort(new Error('enough'));
  await assert.rejects(next, /enough/);
  // With one more millisecond it is over at once.
  assert.ok(timers.mock.calls.some(({ arguments: [, ms] }) => ms === 2 ** 31 - 1));
});

test('silence is found out though the clock was set back', { timeout: 60_000 }, async (t) => {
  let calls = 0;
  const transport = createRouterTransport(({ service }) => {
    service(ChatStreamService, {
      async *observeChatStream(_, { signal }) {
        yield { frame: { case: 'attached', value: { latestSequence: 0 } } };
        if (++calls > 1) return;
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve, { once: true });
        });
      },
    });
  });
  const leave = new AbortController();
  const client = createTailraceClient(transport, { silenceMs: 100 });
  const updates = client.observe('chat', { signal: leave.signal });
  await updates.next();
  const next = updates.next();
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 });
  const { value } = (await next) as { value: ChatUpdate };
  assert.ok(value.kind === 'reconnecting');
  assert.equal(value.error.reason, 'SILENCE');
  await updates.return();
});

test('a call is left while its token is still waited for', async () => {
  const transport = createRouterTransport(({ service }) => service(ChatStreamService, {}));
  const client = createTailraceClient(transport, {
    token: () => new Promise<never>(() => undefined),
  });
  const reason = new Error('enough');
  for (const call of [
    (signal: AbortSignal) => client.get('chat', { signal }),
    (signal: AbortSignal) => client.observe('chat', { signal }).next(),
    (signal: AbortSignal) => client.awaitResult('chat', { signal }),
  ]) {
    const leave = new AbortController();
    const left = call(leave.signal);
    leave.abort(reason);
    await assert.rejects(left, reason);
  }
});

test('a token that no header may hold is refused without being said', async () => {
  const transport = createRouterTransport(({ service }) => service(ChatStreamService, {}));
  for (const token of ['tr_se\ncret', () => 'tr_secret€']) {
    const client = createTailraceClient(transport, { token });
    await assert.rejects(client.get('chat'), (error: Error) => {
      assert.equal(error.name, 'TailraceError');
      assert.match(error.message, /^The token has a character that no header may have/);
      return true;
    });
  }
});
