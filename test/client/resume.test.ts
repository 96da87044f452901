// How the client behaves towards a server that fails in ways that a real one is not easily brought to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HandlerContext } from '@connectrpc/connect';
import { Code, ConnectError, createRouterTransport } from '@connectrpc/connect';
import type { ChatUpdate, TailraceClientOptions } from '../../clients/typescript/src/tailrace.ts';
import {
  ChatStreamService,
  createTailraceClient,
  type ObserveChatStreamRequest,
  type ObserveChatStreamResponseSchema,
} from '../../clients/typescript/src/tailrace.ts';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';

type Frame = MessageInitShape<typeof ObserveChatStreamResponseSchema>;
type Observe = (
  request: ObserveChatStreamRequest,
  context: HandlerContext,
  call: number,
) => AsyncIterable<Frame>;

const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const attached: Frame = { frame: { case: 'attached', value: { latestSequence: 0 } } };
const warning = (sequence: number): Frame => ({
  frame: {
    case: 'batch',
    value: { events: [{ sequence, payload: { case: 'warning', value: {} } }] },
  },
});
const completed = (sequence: number): Frame => ({
  frame: {
    case: 'batch',
    value: {
      events: [
        {
          sequence,
          payload: {
            case: 'completed',
            value: { status: 3, lastSequence: sequence, contentSha256: EMPTY_SHA256 },
          },
        },
      ],
    },
  },
});

function clientOf(observe: Observe, options: TailraceClientOptions = {}) {
  let calls = 0;
  const transport = createRouterTransport(({ service }) => {
    service(ChatStreamService, {
      observeChatStream: (request, context) => observe(request, context, ++calls),
    });
  });
  const backoff = { baseMs: 1, maxMs: 5 };
  const client = createTailraceClient(transport, { backoff, ...options });
  return { client, calls: () => calls };
}

async function seen(updates: AsyncIterable<ChatUpdate>): Promise<(string | number)[]> {
  const found: (string | number)[] = [];
  for await (const update of updates) {
    found.push(update.kind === 'event' ? update.event.sequence : update.kind);
  }
  return found;
}

test('a gap is not handed on: the client attaches again at its cursor', async () => {
  const cursors: number[] = [];
  const { client } = clientOf(async function* ({ afterSequence }, _, call) {
    cursors.push(afterSequence);
    yield attached;
    if (call === 1) {
      yield warning(1);
      yield warning(3);
      return;
    }
    yield warning(2);
    yield completed(3);
  });
  const found = await seen(client.observe('chat'));
  assert.deepEqual(found, ['attached', 1, 'reconnecting', 'attached', 2, 3]);
  assert.deepEqual(cursors, [0, 1]);
});

test('a server that repeats its gap, or an event, is given up with SEQUENCE_BROKEN', async () => {
  for (const wrong of [1, 3]) {
    const { client, calls } = clientOf(async function* ({ afterSequence }) {
      yield attached;
      if (afterSequence === 0) yield warning(1);
      yield warning(wrong);
    });
    await assert.rejects(seen(client.observe('chat')), { reason: 'SEQUENCE_BROKEN' });
    assert.equal(calls(), 3);
  }
});

test('the token is asked for when it is first needed, and once more when it is refused', async () => {
  const asked: string[] = [];
  const sent: (string | null)[] = [];
  const { client } = clientOf(
    async function* (_, { requestHeader }) {
      sent.push(requestHeader.get('authorization'));
      if (requestHeader.get('authorization') !== 'Bearer second') {
        throw new ConnectError('who?', Code.Unauthenticated);
      }
      yield attached;
      yield completed(1);
    },
    {
      token: () => {
        asked.push(asked.length === 0 ? 'first' : 'second');
        return Promise.resolve(asked.at(-1) ?? '');
      },
    },
  );
  assert.deepEqual(asked, []);
  assert.deepEqual(await seen(client.observe('chat')), ['attached', 1]);
  assert.deepEqual(await seen(client.observe('chat')), ['attached', 1]);
  assert.deepEqual(asked, ['first', 'second']);
  assert.deepEqual(sent, ['Bearer first', 'Bearer second', 'Bearer second']);
});

test('a token that is refused twice is the end', async () => {
  const refuse: Observe = async function* () {
    yield* [];
    throw new ConnectError('who?', Code.Unauthenticated);
  };
  for (const [token, calls] of [
    [() => 'wrong', 2],
    ['fixed', 1],
  ] as const) {
    const made = clientOf(refuse, { token });
    await assert.rejects(seen(made.client.observe('chat')), { code: Code.Unauthenticated });
    assert.equal(made.calls(), calls);
  }
});

test('what the server asks for in RetryInfo is waited', async () => {
  const { client } = clientOf(async function* (_request, _context, call) {
    yield* [];
    if (call === 1) {
      throw new ConnectError('full', Code.ResourceExhausted, undefined, [
        {
          desc: ErrorInfoSchema,
          value: { domain: 'tailrace.dev', reason: 'TOO_MANY_OBSERVERS' },
        },
        { desc: RetryInfoSchema, value: { retryDelay: { seconds: 0n, nanos: 20_000_000 } } },
      ]);
    }
    yield attached;
    yield completed(1);
  });
  const updates: ChatUpdate[] = [];
  for await (const update of client.observe('chat')) updates.push(update);
  const [first] = updates;
  assert.ok(first?.kind === 'reconnecting');
  assert.equal(first.error.reason, 'TOO_MANY_OBSERVERS');
  assert.ok(first.retryInMs >= 20 && first.retryInMs <= 25);
});

test('an address where nobody ever answers is given up; one that answered once is not', async () => {
  const dead = clientOf(
    async function* () {
      yield* [];
      throw new ConnectError('gone', Code.Unavailable);
    },
    { maxRetries: 2 },
  );
  await assert.rejects(seen(dead.client.observe('chat')), { code: Code.Unavailable });
  assert.equal(dead.calls(), 3);
  const { client } = clientOf(
    async function* (_request, _context, call) {
      if (call > 1 && call < 8) throw new ConnectError('gone', Code.Unavailable);
      yield attached;
      if (call >= 8) yield completed(1);
    },
    { maxRetries: 2 },
  );
  assert.equal((await seen(client.observe('chat'))).at(-1), 1);
});

test('what never passes is not tried again', async () => {
  const { client, calls } = clientOf(async function* () {
    yield attached;
    throw new ConnectError('deleted', Code.NotFound, undefined, [
      { desc: ErrorInfoSchema, value: { domain: 'tailrace.dev', reason: 'STREAM_DELETED' } },
    ]);
  });
  await assert.rejects(seen(client.observe('chat')), {
    code: Code.NotFound,
    reason: 'STREAM_DELETED',
  });
  assert.equal(calls(), 1);
});

/** Attaches and is silent until its caller leaves. */
function silent(): { readonly observe: Observe; readonly left: Promise<void> } {
  const left = Promise.withResolvers<void>();
  return {
    left: left.promise,
    observe: async function* (_request, { signal }) {
      signal.addEventListener('abort', () => left.resolve(), { once: true });
      yield attached;
      await left.promise;
    },
  };
}

test('leaving the loop ends the call', async () => {
  const { observe, left } = silent();
  for await (const update of clientOf(observe).client.observe('chat')) {
    assert.equal(update.kind, 'attached');
    break;
  }
  await left;
});

test('an aborted signal ends the observation with its reason, and the call', async () => {
  const { observe, left } = silent();
  const leave = new AbortController();
  const updates = clientOf(observe).client.observe('chat', { signal: leave.signal });
  assert.equal((await updates.next()).value?.kind, 'attached');
  const next = updates.next();
  const reason = new Error('enough');
  leave.abort(reason);
  await assert.rejects(next, reason);
  await left;
});

test('silence beyond the heartbeats is a lost connection', async () => {
  const { observe, left } = silent();
  const { client } = clientOf(
    (request, context, call) => {
      if (call === 1) return observe(request, context, call);
      return (async function* () {
        yield attached;
        yield completed(1);
      })();
    },
    { silenceMs: 500 },
  );
  assert.deepEqual(await seen(client.observe('chat')), ['attached', 'reconnecting', 'attached', 1]);
  await left;
});

test('behind the last event of a chat that has ended nothing comes, and that is its end', async () => {
  const { client } = clientOf(async function* () {
    yield { frame: { case: 'attached', value: { latestSequence: 7, status: 3 } } };
  });
  assert.deepEqual(await seen(client.observe('chat', { afterSequence: 7 })), ['attached']);
});
