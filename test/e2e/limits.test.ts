// The limits of a request: what is past the operator's is refused, and each that is reached ends the chat
// with a reason of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { MAX_MODEL_CALLS, MAX_TURNS } from '../../src/chat/limits.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

type Request = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;
type Limits = NonNullable<Request['limits']>;

const { model, client } = await forAllTests(startScripted());

async function run(script: ScriptInput, limits: Limits, more: Request = {}): Promise<Watch> {
  const init = { text: scripted(script), request: { ...more, limits } };
  const { streamId } = await client.initiateChatStream(initiateRequest(init));
  return watchToEnd(client, streamId);
}

const HOUR_MS = 3_600_000;

test('limits past the operator’s are refused by their paths, with the bound; nothing is created', async () => {
  const limits = {
    runTimeout: durationFromMs(HOUR_MS + 1_000),
    firstTokenTimeout: durationFromMs(90_000),
    idleTimeout: durationFromMs(60_500),
    maxTurns: MAX_TURNS + 1,
    maxModelCalls: MAX_MODEL_CALLS + 1,
    maxTotalTokens: 2 ** 31 - 1,
  };
  const call = initiateRequest({ streamId: 'too-much', request: { limits } });
  const refusal = await refused(client.initiateChatStream(call));
  assert.equal(refusal.code, 'InvalidArgument');
  assert.deepEqual(refusal.fields, [
    'request.limits.first_token_timeout',
    'request.limits.idle_timeout',
    'request.limits.max_model_calls',
    'request.limits.max_turns',
    'request.limits.run_timeout',
  ]);
  assert.match(refusal.message, /run_timeout: is 3601 s; this server allows at most 3600 s/);
  assert.match(refusal.message, /max_turns: is 21; this server allows at most 20/);
  assert.equal((await refused(client.getChatStream({ streamId: 'too-much' }))).code, 'NotFound');
  const zero = { runTimeout: durationFromMs(0), maxTurns: 0 };
  const none = await refused(
    client.initiateChatStream(initiateRequest({ request: { limits: zero } })),
  );
  assert.deepEqual(none.fields.toSorted(), [
    'request.limits.max_turns',
    'request.limits.run_timeout',
  ]);
});

const TIMES: readonly (readonly [string, ScriptInput, Limits, FailureReason, RegExp])[] = [
  [
    'run_timeout',
    { fault: 'endless', interval_ms: 20 },
    { runTimeout: durationFromMs(400) },
    FailureReason.RUN_TIMEOUT,
    /longer than 0\.4 s/,
  ],
  [
    'first_token_timeout',
    { fault: 'hang' },
    { firstTokenTimeout: durationFromMs(300) },
    FailureReason.FIRST_TOKEN_TIMEOUT,
    /nothing within 300 ms/,
  ],
  [
    'idle_timeout',
    { fault: 'silence', tokens: 9, after: 3 },
    { idleTimeout: durationFromMs(250) },
    FailureReason.IDLE_TIMEOUT,
    /silent for 250 ms/,
  ],
];

for (const [name, script, limits, reason, message] of TIMES) {
  test(`past its ${name} a chat is FAILED with a reason of its own`, async () => {
    const end = (await run(script, limits)).end();
    assert.equal(end.status, ChatStreamStatus.FAILED);
    assert.equal(end.failure?.reason, reason);
    assert.match(end.failure.message, message);
  });
}

test('an answer is cut where the budget of tokens ends: COMPLETED, BUDGET, and the server was told', async () => {
  const watch = await run({ tokens: 50 }, { maxTotalTokens: 12 });
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.COMPLETED);
  assert.equal(end.stopReason, StopReason.BUDGET);
  assert.equal(end.usage?.outputTokens, 12);
  const body = model.requests.at(-1)?.body as Record<string, unknown>;
  assert.equal(body['max_tokens'], 12);
  // Its own max_tokens is nearer: then that is what ended it.
  const own = (await run({ tokens: 50 }, { maxTotalTokens: 12 }, { maxTokens: 5 })).end();
  assert.equal(own.stopReason, StopReason.MAX_TOKENS);
  // And an answer that fits is whole.
  const whole = (await run({ tokens: 5 }, { maxTotalTokens: 100_000 })).end();
  assert.equal(whole.stopReason, StopReason.END_TURN);
});

const TOOL = {
  kind: { case: 'client', value: { name: 'f', description: '', inputSchema: '' } },
} as const;
const CALLING: ScriptInput = {
  tokens: 1,
  calls: [{ id: 'c', name: 'f', input: ['{}'] }],
  rounds: [{ tokens: 1, calls: [{ id: 'd', name: 'f', input: ['{}'] }] }],
};

/** Starts a chat that calls its client's tool again and again. */
async function startCalling(limits: Limits): Promise<string> {
  const init = { text: scripted(CALLING), request: { tools: [TOOL], limits } };
  const { streamId } = await client.initiateChatStream({
    ...initiateRequest(init),
    awaitToolResults: true,
  });
  return streamId;
}

test('a chat that would need one turn more than it may ends as TURN_LIMIT, before it asks for results', async () => {
  const streamId = await startCalling({ maxTurns: 2 });
  const { chatStream } = await client.waitChatStream({ streamId });
  assert.equal(chatStream?.pendingToolUses.length, 1);
  await client.submitToolResults({ streamId, results: [{ toolUseId: 'c' }] });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().stopReason, StopReason.TURN_LIMIT);
  assert.equal(watch.end().usage?.modelCalls, 2);
  assert.equal(watch.cases().filter((name) => name === 'toolResultsRequested').length, 1);
});

test('a chat that would need one call more than it may, or has used its tokens, ends as BUDGET', async () => {
  for (const limits of [{ maxModelCalls: 1 }, { maxTotalTokens: 5 }]) {
    const watch = await watchToEnd(client, await startCalling(limits));
    assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
    assert.equal(watch.end().stopReason, StopReason.BUDGET);
    assert.equal(watch.end().usage?.modelCalls, 1);
    assert.equal(watch.cases().includes('toolResultsRequested'), false);
  }
});

const SCHEMA = '{"type":"object","properties":{"n":{"type":"number"}},"required":["n"]}';
const FORMAT = {
  format: { case: 'jsonSchema', value: { name: 'n', schema: SCHEMA } },
} as const;

test('a repair is a call as any other: where it may not be made the answer has not met its schema', async () => {
  const script: ScriptInput = { text: ['no JSON'], again: { text: ['{"n":1}'] } };
  const more = { responseFormat: FORMAT };
  const repaired = (await run(script, {}, more)).end();
  assert.equal(repaired.stopReason, StopReason.END_TURN);
  assert.equal(repaired.usage?.modelCalls, 2);
  for (const limits of [{ maxModelCalls: 1 }, { maxTurns: 1 }]) {
    const end = (await run(script, limits, more)).end();
    assert.equal(end.failure?.reason, FailureReason.SCHEMA_NOT_MET);
    assert.equal(end.usage?.modelCalls, 1);
  }
});
