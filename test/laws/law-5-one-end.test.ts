// Law 5: exactly one terminal event, the last, with the status in the same append; whoever else wanted
// to end the chat is refused.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import {
  ChatStreamStatus,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { CommandInbox } from '../../src/chat/ports/commands.ts';
import { type ModelClient, ModelFailure } from '../../src/chat/ports/model.ts';
import { getChatStream } from '../../src/rpc/calls/get-chat-stream.ts';
import {
  assertTrueLog,
  cancel,
  chatKey,
  NO_LIST,
  runControlLoop,
  runWorker,
  startChat,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { TEST_MODEL } from '../support/chats/test-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { testMeta } from '../support/chats/test-meta.ts';

test('law 5: a completed answer ends with its stop reason, usage, count and hash', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('the answer');
  call.sink.usage({
    inputTokens: 3,
    outputTokens: 2,
    reasoningTokens: undefined,
    cachedInputTokens: 0,
  });
  call.finish(StopReason.MAX_TOKENS);
  await untilOver(adapter.log, chat);
  const { events, records } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'completed');
  assert.equal(end.value.stopReason, StopReason.MAX_TOKENS);
  assert.equal(end.value.usage?.inputTokens, 3);
  assert.equal(end.value.usage?.outputTokens, 2);
  assert.equal(end.value.usage?.reasoningTokens, undefined, 'what was not said is not made up');
  assert.equal(records.at(-1)?.mark?.status, ChatStreamStatus.COMPLETED);
  const view = await getChatStream({ ...adapter, list: NO_LIST }, chat, ChatStreamView.FULL);
  assert.equal(view.status, ChatStreamStatus.COMPLETED);
  assert.equal(view.contentSha256, end.value.contentSha256);
});

test('law 5: a failed generation ends as FAILED with its reason, what was said kept', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('half an ans');
  call.fail(
    new ModelFailure(FailureReason.UPSTREAM_CUT, 'The answer was cut.', {
      retryable: true,
      cause: new Error('a driver’s secret words'),
    }),
  );
  await untilOver(adapter.log, chat);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'failed');
  assert.equal(end.value.failure?.reason, FailureReason.UPSTREAM_CUT);
  assert.equal(end.value.failure?.message, 'The answer was cut.');
  assert.equal(end.value.failure?.retryable, true);
  assert.equal(end.value.stopReason, StopReason.UNSPECIFIED);
  assert.equal(text, 'half an ans');
});

test('law 5: a run that takes too long ends as FAILED', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model: ModelClient = {
    ...handModel(),
    generate: async (_call, sink, signal) => {
      sink.text('slow');
      if (!signal.aborted) await once(signal, 'abort');
      signal.throwIfAborted();
      return assert.fail();
    },
  };
  await using _worker = runWorker(adapter, model);
  // From the claim to the call of the model no machine takes that long.
  const limits = { runTimeout: durationFromMs(2_000) };
  const chat = await startChat(adapter, { request: { limits } });
  await untilOver(adapter.log, chat);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'failed');
  assert.equal(end.value.failure?.reason, FailureReason.RUN_TIMEOUT);
  assert.equal(text, 'slow');
});

test('law 5: a fault of our own ends the chat as ERROR, in words that give nothing away', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.fail(new TypeError('secret internals'));
  await untilOver(adapter.log, chat);
  const broken = chatKey();
  const start: Parameters<CommandInbox['publish']>[0] = {
    chat: broken,
    verb: 'start',
    priority: 5,
    meta: testMeta({
      createdAtMs: Date.now(),
      expiresAtMs: Date.now() + 60_000,
      model: TEST_MODEL,
    }),
    data: new Uint8Array([1, 2, 3, 255]),
  };
  assert.equal((await adapter.inbox.publish(start, 0)).type, 'stored');
  await untilOver(adapter.log, broken);
  for (const each of [chat, broken]) {
    const { events } = await assertTrueLog(adapter.log, each);
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'error');
    assert.equal(end.value.failure?.reason, FailureReason.INTERNAL);
    assert.doesNotMatch(end.value.failure?.message ?? '', /secret|protobuf|tag/);
  }
});

test('law 5: cancel against completion has one winner, and every caller hears who', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  await using _loop = runControlLoop(other);
  const ends = new Map<string, number>();
  const rounds = Array.from({ length: 60 }, (_, round) => round);
  for (const round of rounds) {
    const chat = await startChat(adapter);
    const call = await model.nextCall();
    call.sink.text('a word');
    // From before the cancel to after the bell was heard; between these whoever is quicker.
    const isFirst = round === 0;
    const isLast = round === rounds.length - 1;
    if (isFirst) {
      call.finish();
      await untilOver(adapter.log, chat);
    }
    const cancelled = cancel(round % 2 === 0 ? adapter : other, chat);
    for (let i = 0; i < round % 20; i++) await new Promise((resolve) => setImmediate(resolve));
    if (isLast) await call.aborted;
    call.finish();
    const answer = await cancelled;
    const { events } = await assertTrueLog(adapter.log, chat);
    const end = events.at(-1)?.payload;
    assert.equal(
      answer.status,
      events.at(-1)?.payload.case === 'completed'
        ? ChatStreamStatus.COMPLETED
        : ChatStreamStatus.CANCELLED,
    );
    ends.set(end?.case ?? '', (ends.get(end?.case ?? '') ?? 0) + 1);
  }
  assert.deepEqual([...ends.keys()].toSorted(), ['cancelled', 'completed'], 'both sides won some');
});

test('law 5: two cancels at once, of different callers and words, are one end', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const queued = await startChat(one);
  const both = await Promise.all([cancel(one, queued, 'first'), cancel(two, queued, 'second')]);
  assert.ok(both.every(({ status }) => status === ChatStreamStatus.CANCELLED));
  await assertTrueLog(one.log, queued);

  const model = handModel();
  await using _worker = runWorker(one, model);
  const running = await startChat(one);
  const call = await model.nextCall();
  call.sink.text('so far');
  const answers = await Promise.all(
    [one, two, one, two].map((adapter, i) => cancel(adapter, running, `caller ${i}`)),
  );
  assert.ok(answers.every(({ status }) => status === ChatStreamStatus.CANCELLED));
  const { events, text } = await assertTrueLog(one.log, running);
  assert.equal(text, 'so far');
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'cancelled' && /^caller \d$/.test(end.value.reason));
});

test('law 5: a finished chat is ended again by nothing that comes later', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('all');
  call.finish();
  await untilOver(adapter.log, chat);
  await until('the worker to be free', () => worker.running() === 0);
  const { records } = await assertTrueLog(adapter.log, chat);
  assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.COMPLETED);
  assert.deepEqual((await assertTrueLog(adapter.log, chat)).records, records);
});
