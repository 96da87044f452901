// What the model server does wrong ends a chat truthfully: FAILED with a reason, a sentence and
// whether trying again helps; what was said is kept; and the observer's call ends with OK.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  ChatStreamStatus,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { createRegistry } from '../../src/model/registry.ts';
import { oneServer } from '../../src/model/settings/registry-spec.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { type ChatInit, initiateRequest, runWorker } from '../support/chats/chat-fixtures.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { startNats, type TestNats } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { startTestApi, startTestTailrace } from '../support/processes/tailrace.ts';
import { until } from '../support/until.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

const { COMPLETED, FAILED } = ChatStreamStatus;
const API_KEY = 'sk-of-the-operator';

const stack = new AsyncDisposableStack();
let nats: TestNats;
let adapter: NatsAdapter;
let model: ModelServer;
let client: ChatClient;

before(async () => {
  nats = stack.use(await startNats());
  adapter = stack.use(await nats.open());
  model = stack.use(await startModelServer());
  const policy = { retryBaseMs: 10 };
  const real = createRegistry(oneServer({ baseUrl: model.url, apiKey: API_KEY }), policy);
  stack.defer(() => real.close());
  stack.use(runWorker(adapter, real, { slots: 32 }));
  const api = stack.use(await startTestApi(adapter, { model: real }));
  client = grpcClient(api.url);
});

after(() => stack.disposeAsync());

async function run(
  script: ScriptInput,
  request: ChatInit['request'] = {},
): Promise<{ readonly watch: Watch; readonly tries: number }> {
  const before = model.requests.length;
  const init = { text: scripted(script), request };
  const { streamId } = await client.initiateChatStream(initiateRequest(init));
  const watch = await watchToEnd(client, streamId);
  const { chatStream } = await client.getChatStream({ streamId });
  const end = watch.end();
  assert.equal(chatStream?.status, end.status, 'the resource says the same');
  assert.deepEqual(chatStream.failure, end.failure);
  return { watch, tries: model.requests.length - before };
}

interface Failing {
  readonly name: string;
  /** Patience, where silence is meant: a busy machine must not be taken for that. */
  readonly request?: ChatInit['request'];
  readonly script: ScriptInput;
  readonly reason: FailureReason;
  readonly retryable: boolean;
  readonly message: RegExp;
  readonly tries: number;
  /** How many deltas were said before. */
  readonly said?: number;
}

const FAILING: readonly Failing[] = [
  {
    name: 'an upstream 500, after retries',
    script: { fault: 'status', status: 500 },
    reason: FailureReason.UPSTREAM_UNAVAILABLE,
    retryable: true,
    message: /HTTP 500.*nothing was generated/,
    tries: 4,
  },
  {
    name: 'a key that the model server refuses',
    script: { fault: 'status', status: 401 },
    reason: FailureReason.UPSTREAM_UNAUTHENTICATED,
    retryable: false,
    message: /HTTP 401.*OPENAI_API_KEY/,
    tries: 1,
  },
  {
    name: 'a rate limit that does not end',
    // By a model of its own: it is held back for that long.
    request: { model: 'test-model-small' },
    script: { fault: 'status', status: 429, retry_after: 90 },
    reason: FailureReason.UPSTREAM_RATE_LIMITED,
    retryable: true,
    message: /HTTP 429.*asks for 90 s/,
    tries: 1,
  },
  {
    name: 'a request that the model server refuses',
    script: { fault: 'status', status: 400 },
    reason: FailureReason.UPSTREAM_REJECTED,
    retryable: false,
    message: /HTTP 400.*refused again/,
    tries: 1,
  },
  {
    name: 'a cut in the middle of the answer',
    script: { fault: 'cut', tokens: 9, after: 3 },
    reason: FailureReason.UPSTREAM_CUT,
    retryable: true,
    message: /before the answer was finished/,
    tries: 1,
    said: 3,
  },
  {
    name: 'an end that only looks like one',
    script: { fault: 'end', tokens: 9, after: 3 },
    reason: FailureReason.UPSTREAM_CUT,
    retryable: true,
    message: /before the answer was finished/,
    tries: 1,
    said: 3,
  },
  {
    name: 'an empty answer',
    script: { tokens: 0 },
    reason: FailureReason.EMPTY_ANSWER,
    retryable: true,
    message: /without having said anything/,
    tries: 1,
  },
  {
    name: 'silence before the first token',
    request: { limits: { firstTokenTimeout: durationFromMs(1_500) } },
    script: { fault: 'hang' },
    reason: FailureReason.FIRST_TOKEN_TIMEOUT,
    retryable: true,
    message: /said nothing within 1\.5 s/,
    tries: 1,
  },
  {
    name: 'silence in the middle',
    request: { limits: { idleTimeout: durationFromMs(1_500) } },
    script: { fault: 'silence', tokens: 9, after: 4 },
    reason: FailureReason.IDLE_TIMEOUT,
    retryable: true,
    message: /fell silent for 1\.5 s/,
    tries: 1,
    said: 4,
  },
  {
    name: 'an error within the answer',
    script: { fault: 'error_in_stream', tokens: 9, after: 2 },
    reason: FailureReason.UPSTREAM_INVALID,
    retryable: true,
    message: /reported an error within its answer/,
    tries: 1,
    said: 2,
  },
  {
    name: 'an answer that is not JSON',
    script: { fault: 'bad_json', tokens: 9, after: 2 },
    reason: FailureReason.UPSTREAM_INVALID,
    retryable: true,
    message: /cannot be called an answer/,
    tries: 1,
    said: 2,
  },
];

for (const { name, request, script, reason, retryable, message, tries, said = 0 } of FAILING) {
  test(`${name}: FAILED, with a reason, a sentence and retryable=${retryable}`, async () => {
    const run1 = await run(script, request);
    const end = run1.watch.end();
    assert.equal(end.status, FAILED);
    assert.equal(end.stopReason, StopReason.UNSPECIFIED);
    assert.equal(end.failure?.reason, reason);
    assert.equal(end.failure.retryable, retryable);
    assert.match(end.failure.message, message);
    assert.equal(run1.tries, tries);
    const words = run1.watch
      .text()
      .split(' ')
      .filter((word) => word !== '');
    assert.equal(words.length, said, 'what was said is kept');
    // The model server quotes key and prompt in its errors.
    for (const secret of [API_KEY, 'fault']) assert.ok(!end.failure.message.includes(secret));
  });
}

test('what passes is tried again before the first token, and the chat knows nothing of it', async () => {
  for (const fault of ['status', 'refuse'] as const) {
    const { watch, tries } = await run({ fault, times: 2, tokens: 3, id: 'passes' });
    assert.equal(watch.end().status, COMPLETED);
    assert.equal(tries, 3);
  }
});

test('a refusal by the model is a truthful answer, not a failure', async () => {
  const { watch } = await run({ refusal: true, text: ['I cannot ', 'help with that.'] });
  assert.equal(watch.end().status, COMPLETED);
  assert.equal(watch.end().stopReason, StopReason.REFUSAL);
  assert.equal(watch.text(), 'I cannot help with that.');
});

test('a model server that is down at the start: Tailrace serves, answers UNAVAILABLE, and works once it is up', async () => {
  const closed = await startModelServer();
  const { port } = new URL(closed.url);
  await closed[Symbol.asyncDispose]();
  // Its own: no other worker is there to take the chat.
  await using own = await startNats();
  await using tailrace = await startTestTailrace(own.access, { OPENAI_BASE_URL: closed.url });
  const caller = grpcClient(tailrace.url);
  for (const call of [
    () => caller.initiateChatStream(initiateRequest({ streamId: 'too-early' })),
    () => caller.listModels({}),
  ]) {
    const refusal = await refused(call());
    assert.equal(refusal.code, 'Unavailable');
    assert.equal(refusal.reason, 'MODELS_UNAVAILABLE');
    assert.ok((refusal.retryMs ?? 0) > 0);
    assert.match(refusal.message, /model server/);
  }
  assert.equal((await refused(caller.getChatStream({ streamId: 'too-early' }))).code, 'NotFound');

  await using late = await startModelServer({ port: Number(port) });
  const { streamId } = await until('the model server to be noticed', () =>
    caller.initiateChatStream(initiateRequest({ streamId: 'too-early' })).catch(() => false),
  );
  assert.equal((await watchToEnd(caller, streamId)).end().status, COMPLETED);
  assert.equal(late.requests.length, 1);
});
