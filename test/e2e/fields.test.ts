// Every field of a request reaches the model server, comes back to its caller, or is refused by its
// path: none is accepted and ignored.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { jetstreamManager } from '@nats-io/jetstream';
import type { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ThinkingEffort } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { until } from '../support/until.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted } from '../model-server/model-server.ts';

const { nats, model, client } = await forAllTests(startScripted());
const nc = await nats.bare();

type Request = MessageInitShape<typeof ChatRequestSchema>;
type Initiate = MessageInitShape<typeof InitiateChatStreamRequestSchema>;
type Message = NonNullable<Request['messages']>[number];

function says(role: Role, ...texts: readonly string[]): Message {
  return { role, content: texts.map((value) => ({ block: { case: 'text', value } })) };
}

/** A request with everything that it needs, and what the test is about. */
function asking(more: Partial<Request>, script = scripted({ tokens: 1 })): { request: Request } {
  return { request: { messages: [says(Role.USER, script)], ...more } as Request };
}

/** The body that the model server was sent for a request. */
async function upstreamOf(request: Partial<Request>): Promise<Record<string, unknown>> {
  const { streamId } = await client.initiateChatStream(asking(request));
  await watchToEnd(client, streamId);
  return model.requests.at(-1)?.body as Record<string, unknown>;
}

const SAMPLING: readonly (readonly [Partial<Request>, Record<string, unknown>])[] = [
  [{ temperature: 0.7 }, { temperature: 0.7 }],
  [{ topP: 0.9 }, { top_p: 0.9 }],
  [{ minP: 0.05 }, { min_p: 0.05 }],
  [{ topK: 40 }, { top_k: 40 }],
  [{ seed: 9007199254740991n }, { seed: 9007199254740991 }],
  [{ seed: -9007199254740991n }, { seed: -9007199254740991 }],
  [{ repetitionPenalty: 1.1 }, { repetition_penalty: 1.1 }],
  [{ presencePenalty: -2 }, { presence_penalty: -2 }],
  [{ frequencyPenalty: 2 }, { frequency_penalty: 2 }],
  [{ maxTokens: 1 }, { max_tokens: 1 }],
  [{ stop: ['END', '\n\n'] }, { stop: ['END', '\n\n'] }],
  [{ model: 'test-model-small' }, { model: 'test-model-small' }],
  // A set 0 is a value.
  [
    {
      temperature: 0,
      topP: 0,
      minP: 0,
      topK: 0,
      seed: 0n,
      presencePenalty: 0,
      frequencyPenalty: 0,
    },
    {
      temperature: 0,
      top_p: 0,
      min_p: 0,
      top_k: 0,
      seed: 0,
      presence_penalty: 0,
      frequency_penalty: 0,
    },
  ],
];

test('sampling fields reach the model server as they were given, and nothing that was not', async () => {
  const plain = await upstreamOf({});
  assert.deepEqual(Object.keys(plain).toSorted(), [
    'messages',
    'model',
    'stream',
    'stream_options',
  ]);
  assert.equal(plain['model'], 'test-model', 'the default one is the first listed');
  for (const [given, wanted] of SAMPLING)
    assert.deepEqual(await upstreamOf(given), { ...plain, ...wanted });
});

test('the system text and the whole conversation reach the model server in order', async () => {
  const script = scripted({ tokens: 1 });
  const body = await upstreamOf({
    system: { text: 'Be brief. Grüße, 世界.' },
    messages: [
      says(Role.USER, 'one', 'two'),
      says(Role.ASSISTANT, 'three'),
      says(Role.USER, script),
    ],
  });
  assert.deepEqual(body['messages'], [
    { role: 'system', content: 'Be brief. Grüße, 世界.' },
    { role: 'user', content: 'one\ntwo' },
    { role: 'assistant', content: 'three' },
    { role: 'user', content: script },
  ]);
});

test('what is wanted of reasoning reaches the model server', async () => {
  const budget = await upstreamOf({ thinking: { enabled: true, budgetTokens: 64 } });
  assert.deepEqual(budget['chat_template_kwargs'], { enable_thinking: true, thinking: true });
  assert.equal(budget['thinking_token_budget'], 64);
  const off = await upstreamOf({ thinking: {} });
  assert.deepEqual(off['chat_template_kwargs'], { enable_thinking: false, thinking: false });
});

test('an assistant message that is the last one is continued', async () => {
  const body = await upstreamOf({
    messages: [says(Role.USER, scripted({ tokens: 1 })), says(Role.ASSISTANT, 'It is')],
  });
  assert.equal(body['continue_final_message'], true);
  assert.equal(body['add_generation_prompt'], false);
});

test('stream=false gives the same events in whole blocks', async () => {
  const script = scripted({ text: ['a ', 'b ', 'c'], thinking: 3 });
  const streamed = await client.initiateChatStream(asking({}, script));
  const whole = await client.initiateChatStream(asking({ stream: false }, script));
  const deltas = await watchToEnd(client, streamed.streamId);
  const blocks = await watchToEnd(client, whole.streamId);
  const kinds = deltas.cases().filter((kind) => kind !== 'textDelta' && kind !== 'thinkingDelta');
  assert.deepEqual(blocks.cases(), kinds);
  assert.deepEqual(kinds, [
    'started',
    'blockStarted',
    'blockStopped',
    'blockStarted',
    'blockStopped',
    'usage',
    'completed',
  ]);
  assert.ok(deltas.cases().includes('textDelta') && deltas.cases().includes('thinkingDelta'));
  assert.equal(blocks.text(), deltas.text());
  assert.equal(blocks.end().contentSha256, deltas.end().contentSha256);
  const started = blocks.events.flatMap(({ payload }) =>
    payload.case === 'blockStarted' ? [[payload.value.index, payload.value.kind]] : [],
  );
  assert.deepEqual(started, [
    [0, BlockKind.THINKING],
    [1, BlockKind.TEXT],
  ]);
  const { chatStream } = await client.getChatStream({
    streamId: whole.streamId,
    view: ChatStreamView.FULL,
  });
  const full = await client.getChatStream({
    streamId: streamed.streamId,
    view: ChatStreamView.FULL,
  });
  assert.deepEqual(chatStream?.output.at(-1), full.chatStream?.output.at(-1));
});

test('usage, the stop reason and a cut by max_tokens are told truthfully', async () => {
  const { streamId } = await client.initiateChatStream(
    asking({ maxTokens: 2 }, scripted({ tokens: 9 })),
  );
  const end = (await watchToEnd(client, streamId)).end();
  assert.equal(end.stopReason, StopReason.MAX_TOKENS);
  assert.equal(end.usage?.outputTokens, 2);
  assert.equal(end.usage.modelCalls, 1);
  assert.ok((end.usage.inputTokens ?? 0) > 0);
  const { chatStream } = await client.getChatStream({ streamId });
  assert.deepEqual(chatStream?.usage, end.usage);
  assert.equal(chatStream.stopReason, StopReason.MAX_TOKENS);
  assert.equal(chatStream.latestSequence, end.lastSequence);
});

test('priority, correlation_id, metadata, ttl and times come back as given', async () => {
  const beganMs = Date.now();
  const metadata = { team: 'rivers', empty: '' };
  const answer = await client.initiateChatStream({
    ...asking({ priority: 0, correlationId: 'trace-7 ü', metadata }),
    ttl: durationFromMs(90_000),
  });
  const watch = await watchToEnd(client, answer.streamId);
  const headers = model.requests.at(-1)?.headers;
  assert.equal(headers?.['x-correlation-id'], encodeURIComponent('trace-7 ü'));
  for (const event of watch.events) assert.equal(event.correlationId, 'trace-7 ü');
  const { chatStream } = await client.getChatStream({ streamId: answer.streamId });
  for (const view of [answer.chatStream, chatStream]) {
    assert.equal(view?.priority, 0);
    assert.equal(view.correlationId, 'trace-7 ü');
    assert.deepEqual(view.metadata, metadata);
    assert.equal(view.model, 'test-model');
    const createdMs = Number(view.createdAt?.seconds) * 1_000;
    assert.ok(Math.abs(createdMs - beganMs) < 60_000);
    const lifeS = Number(view.expiresAt?.seconds) - Number(view.createdAt?.seconds);
    assert.equal(lifeS, 90);
  }
  assert.ok(chatStream?.startedAt !== undefined && chatStream.endedAt !== undefined);
  assert.equal(answer.message, 'The chat is durable and queued.');
  const plain = await client.initiateChatStream(asking({}));
  assert.equal(plain.chatStream?.priority, 5);
  assert.equal(
    plain.chatStream.expiresAt?.seconds,
    (plain.chatStream.createdAt?.seconds ?? 0n) + 86_400n,
  );
});

test('past its ttl a chat is NOT_FOUND for every call, and its id stays taken', async () => {
  const streamId = 'short-lived';
  // Long enough for its answer on the slowest machine.
  const initiate: Initiate = { streamId, ...asking({}), ttl: durationFromMs(4_000) };
  await client.initiateChatStream(initiate);
  await watchToEnd(client, streamId);
  await until('its end of life', async () => {
    return client.getChatStream({ streamId }).then(
      () => false,
      () => true,
    );
  });
  const calls = [
    () => client.getChatStream({ streamId }),
    () => client.waitChatStream({ streamId }),
    () => client.cancelChatStream({ streamId }),
    () => watchToEnd(client, streamId),
  ];
  for (const call of calls) assert.equal((await refused(call())).reason, 'STREAM_NOT_FOUND');
  const again = await refused(client.initiateChatStream(initiate));
  assert.equal(again.code, 'AlreadyExists');
  assert.equal(again.reason, 'STREAM_ID_RETIRED');
});

test('a custom id: the same request again is the same chat, another is refused, odd ones stay apart', async () => {
  const first: Initiate = { streamId: 'job', ...asking({ metadata: { a: '1', b: '2' } }) };
  const made = await client.initiateChatStream(first);
  assert.equal(made.created, true);
  await watchToEnd(client, 'job');
  const calls = model.requests.length;
  const same = asking({ metadata: { b: '2', a: '1' } });
  const again = await client.initiateChatStream({ streamId: 'job', ...same });
  assert.equal(again.created, false);
  assert.equal(again.status, ChatStreamStatus.COMPLETED);
  assert.equal(model.requests.length, calls, 'nothing ran twice');
  const other = await refused(
    client.initiateChatStream({ streamId: 'job', ...asking({ topK: 1 }) }),
  );
  assert.equal(other.code, 'AlreadyExists');
  assert.equal(other.reason, 'STREAM_ID_TAKEN');
  assert.equal(other.metadata['stream_id'], 'job');

  const ids = ['job.s', 'job.d', 'job.', '..', '.', ':', '-', '_', 'job:s', 'x'.repeat(128)];
  for (const streamId of ids) {
    const text = scripted({ text: [streamId] });
    assert.equal(
      (await client.initiateChatStream({ streamId, ...asking({}, text) })).created,
      true,
    );
  }
  for (const streamId of ids) {
    const watch = await watchToEnd(client, streamId);
    assert.equal(watch.text(), streamId);
  }
});

const text = { block: { case: 'text', value: 'hi' } } as const;
const LATER: readonly (readonly [string, Initiate])[] = [
  ['request.system.use_default_prompt', asking({ system: { useDefaultPrompt: true } })],
  ['request.system.citations.enabled', asking({ system: { citations: { enabled: true } } })],
  [
    'request.messages[0].content[0].citations',
    asking({
      messages: [{ role: Role.USER, content: [{ ...text, citations: [{ document: 'd' }] }] }],
    }),
  ],
];

async function storedCommands(): Promise<number> {
  const jsm = await jetstreamManager(nc);
  return (await jsm.streams.info('COMMANDS')).state.last_seq;
}

test('what is not honoured yet is refused by its path, and nothing is created', async () => {
  const before = await storedCommands();
  for (const [path, request] of LATER) {
    const refusal = await refused(client.initiateChatStream({ streamId: 'later', ...request }));
    assert.equal(refusal.code, 'InvalidArgument', path);
    assert.deepEqual(refusal.fields, [path]);
    assert.match(refusal.reason ?? '', /^(FIELD_NOT_HONOURED|INVALID_REQUEST)$/);
    assert.equal(refusal.domain, 'tailrace.dev');
  }
  const thinking = { effort: ThinkingEffort.LOW, budgetTokens: 1 };
  const all = await refused(
    client.initiateChatStream(asking({ limits: { maxTurns: 99 }, thinking })),
  );
  assert.deepEqual(all.fields, ['request.limits.max_turns', 'request.thinking.budget_tokens']);
  assert.equal((await refused(client.getChatStream({ streamId: 'later' }))).code, 'NotFound');
  assert.equal(await storedCommands(), before);
});

test('with strict, what the model server does not read is refused by its path', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'models.json');
  const servers = [{ name: 'it', base_url: model.url, dialect: 'openai' }];
  writeFileSync(file, JSON.stringify({ servers, models: [{ name: 'test-model', server: 'it' }] }));
  await using strictly = await startScripted(() => {
    return { OPENAI_BASE_URL: '', TAILRACE_MODELS_FILE: file };
  });
  const at = strictly.client;
  const request = asking({ topK: 5 }).request;
  const { streamId } = await at.initiateChatStream({ request });
  const warned = (await watchToEnd(at, streamId)).events.flatMap(({ payload }) =>
    payload.case === 'warning' ? [payload.value.field] : [],
  );
  assert.deepEqual(warned, ['request.top_k']);
  const refusal = await refused(at.initiateChatStream({ request: { ...request, strict: true } }));
  assert.deepEqual(refusal.fields, ['request.top_k']);
});

test('what says nothing new is no reason to refuse', async () => {
  const body = await upstreamOf({
    responseFormat: { format: { case: 'text', value: {} } },
    system: { useDefaultPrompt: false, citations: { enabled: false } },
    stream: true,
    strict: false,
  });
  assert.equal(Reflect.get(body, 'response_format'), undefined);
});
