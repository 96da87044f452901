// Law 8 where a chat calls or waits for its client's tools: nobody holds it, so whoever takes the call
// ends it; what was to take it on finds it over.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { ChatStreamStatus, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { PUBLISH_TRIES } from '../../src/chat/limits.ts';
import type { EventLog } from '../../src/chat/ports/event-log.ts';
import type { ModelClient } from '../../src/chat/ports/model.ts';
import { deleteChatStream } from '../../src/rpc/calls/delete-chat-stream.ts';
import { RunStop } from '../../src/worker/run-stop.ts';
import {
  assertTrueLog,
  cancel,
  casesOf,
  recordsOf,
  runControlLoop,
  runWorker,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { SILENT, startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { watchAnswers } from '../support/chats/watch.ts';
import {
  callTools,
  startAwaiting,
  submit,
  submitAndDie,
  untilKind,
  waitingChat,
} from '../support/chats/waiting-chat.ts';

async function assertNotWaiting(call: Promise<unknown>): Promise<void> {
  await assert.rejects(
    call,
    (error) => error instanceof ChatError && error.reason === 'NOT_WAITING_FOR_TOOL_RESULTS',
  );
}

test('law 8: a chat that waits for client tools is cancelled by the call itself, and takes no results any more', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using worker = runWorker(adapter, model);
  const chat = await startAwaiting(adapter);
  const call = await model.nextCall();
  call.sink.text('let me look');
  call.sink.usage({
    inputTokens: 5,
    outputTokens: 4,
    reasoningTokens: undefined,
    cachedInputTokens: undefined,
  });
  callTools(call, 'call_1');
  await untilKind(adapter, chat, 'wait');
  await until('the worker to let go', () => worker.running() === 0);
  assert.equal((await cancel(adapter, chat, 'enough')).status, ChatStreamStatus.CANCELLED);
  assert.equal((await adapter.inbox.last(chat))?.verb, 'start', 'no command was needed');
  await assertNotWaiting(submit(adapter, chat, { call_1: 'late' }));
  const { events, text } = await assertTrueLog(adapter.log, chat);
  assert.equal(text, 'let me look');
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'cancelled');
  assert.equal(end.value.usage?.outputTokens, 4);
  assert.equal(end.value.usage.modelCalls, 1);
});

test('law 8: a cancel that comes second to one result after the other cancels the chat all the same', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  // More than a publish that is refused is tried.
  const early = Array.from({ length: PUBLISH_TRIES + 4 }, (_, i) => `call_${i}`);
  const chat = await waitingChat(adapter, { ids: [...early, 'never_answered'] });
  const left = [...early];
  const outrun: EventLog = {
    ...adapter.log,
    append: async (...args) => {
      const id = left.shift();
      if (id !== undefined) await submit(adapter, chat, { [id]: 'quicker' });
      return adapter.log.append(...args);
    },
  };
  const { status } = await cancel({ ...adapter, log: outrun }, chat);
  assert.equal(status, ChatStreamStatus.CANCELLED);
  assert.deepEqual(left, [], 'each came before it');
  await assertTrueLog(adapter.log, chat);
});

test('law 8: a cancel during a tool turn stops the model in the middle of its call, and the chat does not wait', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startAwaiting(adapter);
  const call = await model.nextCall();
  call.sink.text('let me look');
  call.sink.toolUse(0, 'call_1', 'look');
  call.sink.toolInput(0, '{"of":');
  await until('the call in the log', async () => {
    const tail = await adapter.log.tail(chat);
    return (tail?.lastSequence ?? 0) >= 5;
  });
  assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.CANCELLED);
  const why = await call.aborted;
  assert.ok(why instanceof RunStop && why.why === 'cancelled');
  const { events } = await assertTrueLog(adapter.log, chat);
  assert.deepEqual(casesOf(events).slice(-2), ['blockStopped', 'cancelled']);
  assert.ok(!casesOf(events).includes('toolResultsRequested'));
});

test('law 8: a chat that has its results and no worker yet is cancelled, and its continue is void', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await waitingChat(adapter);
  await submit(adapter, chat, { call_1: 'result' });
  assert.equal((await adapter.inbox.last(chat))?.verb, 'continue');
  assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.CANCELLED);
  const { records } = await assertTrueLog(adapter.log, chat);
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  await answers.next('ack');
  await answers.next('ack');
  assert.equal(model.begun(), 0);
  assert.deepEqual(await recordsOf(adapter.log, chat), records);
});

test('law 8: a cancel against the results of a waiting chat ends it once, cancelled, whoever is quicker', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  let running = 0;
  const model: ModelClient = {
    ...handModel(),
    // Calls its tool, and with the result in its hands it is silent until it is stopped.
    generate: async ({ messages }, sink, signal) => {
      running++;
      try {
        const continued = messages.at(-1)?.content[0]?.block.case === 'toolResult';
        if (continued && !signal.aborted) await once(signal, 'abort');
        signal.throwIfAborted();
        sink.toolUse(0, 'call_1', 'look');
        return { stopReason: StopReason.TOOL_USE };
      } finally {
        running--;
      }
    },
  };
  await using _worker = runWorker(adapter, model);
  await using _loop = runControlLoop(adapter);
  for (let round = 0; round < 20; round++) {
    const chat = await startAwaiting(adapter);
    await untilKind(adapter, chat, 'wait');
    const submitted = submit(other, chat, { call_1: 'result' });
    for (let i = 0; i < round; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.CANCELLED);
    await submitted.catch((error: unknown) => {
      assert.ok(error instanceof ChatError && error.reason === 'NOT_WAITING_FOR_TOOL_RESULTS');
    });
    await assertTrueLog(adapter.log, chat);
  }
  await until('every call to be over', () => running === 0);
});

test('law 8: a waiting chat that is deleted is gone with its results, and nothing revives it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const waiting = await waitingChat(adapter);
  const answered = await waitingChat(adapter);
  await submitAndDie(adapter, answered, { call_1: 'result' });
  const continued = await waitingChat(adapter);
  await submit(adapter, continued, { call_1: 'result' });
  for (const chat of [waiting, answered, continued]) {
    await deleteChatStream({ ...adapter, ring: adapter.control.ring, logger: SILENT }, chat);
    await assert.rejects(
      submit(adapter, chat, { call_1: 'result' }),
      (error) => error instanceof ChatError && error.reason === 'STREAM_NOT_FOUND',
    );
    const records = await recordsOf(adapter.log, chat);
    assert.deepEqual(
      records.map(({ mark }) => mark?.kind),
      ['tombstone'],
    );
  }
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const alive = await startAwaiting(adapter);
  const call = await model.nextCall();
  call.sink.text('another chat');
  call.finish();
  await untilOver(adapter.log, alive);
  assert.equal(model.begun(), 1);
});
