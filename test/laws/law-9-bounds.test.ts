// Law 9: bounded everything. What waits for the log, what one record holds, the chats of one worker,
// and how long anything waits for a NATS that does not answer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import {
  ChatStreamStatus,
  FailureReason,
  UsageSchema,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { appendSettled } from '../../src/chat/log/append.ts';
import type { EventLog } from '../../src/chat/ports/event-log.ts';
import {
  APPEND_SETTLE_MS,
  MAX_DELTA_CHARS,
  MAX_EVENT_BYTES,
  MAX_OUTPUT_CHARS,
  MAX_OUTPUT_JSON_BYTES,
  MAX_THINKING_SIGNATURE_CHARS,
  MAX_TOOL_CALLS_PER_TURN,
  MAX_TOOL_INPUT_CHARS,
  MAX_TOOL_USE_ID_CHARS,
  MAX_UNSTORED_CHARS,
} from '../../src/chat/limits.ts';
import type { ModelClient } from '../../src/chat/ports/model.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import { AnswerSink } from '../../src/worker/answer/answer-sink.ts';
import {
  assertTrueLog,
  chatKey,
  runWorker,
  startChat,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, firstTurn, testAppend, testMark } from '../support/chats/claims.ts';
import { handModel, promptModel } from '../support/chats/hand-model.ts';
import { TEST_MODEL_INFO } from '../support/chats/test-model.ts';
import { memoryLog } from '../support/chats/memory-log.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { sayUntilPressure } from '../support/chats/say.ts';
import { until } from '../support/until.ts';
import { watchAnswers, watchedLog } from '../support/chats/watch.ts';

const COMPLETED = { kind: 'completed', stopReason: 1 } as const;
const SLOTS = 3;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('law 9: while the log does not answer a model is read up to a bound, and then goes on', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using adapter = await nats.open('stalled', proxy.url);
  await using direct = await nats.open('direct');
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(direct);
  const { sink, finish } = await model.nextCall();
  sink.text('begun');
  await untilText(direct.log, chat, 'begun');
  proxy.stall('down');
  sink.text('x'.repeat(10));
  await nextTurn();
  const said = sayUntilPressure(sink, 'y'.repeat(1_000));
  assert.ok(said <= MAX_UNSTORED_CHARS + 1_000, `${said} characters were taken`);
  let released = false;
  void sink.pressure()?.then(() => (released = true));
  await nextTurn();
  assert.equal(released, false);
  proxy.pass('down');
  await until('room again', () => released);
  sink.text('end');
  finish();
  await untilOver(direct.log, chat);
  const { text } = await assertTrueLog(direct.log, chat);
  assert.equal(text, `begun${'x'.repeat(10)}${'y'.repeat(said)}end`);
});

for (const stream of [true, false]) {
  const how = stream ? 'deltas' : 'whole blocks';
  test(`law 9: no record outgrows NATS’s smallest payload, whatever waited: ${how}`, async () => {
    const log = watchedLog(memoryLog());
    const chat = chatKey();
    const mark = { correlationId: '\u{30a2}'.repeat(256) };
    const { writer } = await claimedWriter(log, chat, mark);
    const release = log.hold();
    const sink = new AnswerSink(writer, firstTurn(stream));
    // Blocks of a character each, and blocks as large as an event: both while the log is away.
    for (let i = 0; i < 5_000; i++) {
      sink.text('a');
      sink.thinking('b');
    }
    for (let i = 0; i < 12; i++) {
      sink.text('\u{6c34}'.repeat(60_000));
      sink.thinking('c');
    }
    assert.ok(sink.pressure() !== undefined);
    release();
    const usage = sink.finish(COMPLETED);
    assert.equal((await writer.end(COMPLETED, usage)).type, 'stored');
    await assertTrueLog(log, chat);
    const largest = Math.max(...log.appends.map(({ data }) => data.length));
    assert.ok(largest < MAX_EVENT_BYTES * 0.9, `a record has ${largest} bytes`);
  });
}

for (const stream of [true, false]) {
  test(`law 9: no request for the results of client tools does either, stream=${stream}`, async () => {
    const log = watchedLog(memoryLog());
    const { writer } = await claimedWriter(log, chatKey(), {
      correlationId: '\u{30a2}'.repeat(256),
    });
    const sink = new AnswerSink(writer, firstTurn(stream));
    const wide = '\u{6c34}';
    for (let call = 0; call < MAX_TOOL_CALLS_PER_TURN; call++) {
      sink.toolUse(call, wide.repeat(MAX_TOOL_USE_ID_CHARS - 3) + call, wide.repeat(128));
      sink.toolInput(call, wide.repeat(Math.floor(MAX_TOOL_INPUT_CHARS / MAX_TOOL_CALLS_PER_TURN)));
    }
    assert.throws(
      () => sink.toolInput(0, wide),
      (error) => error instanceof ModelFailure && error.reason === FailureReason.OUTPUT_TOO_LARGE,
    );
    assert.throws(
      () => sink.toolUse(MAX_TOOL_CALLS_PER_TURN, '', 'f'),
      (error) => error instanceof ModelFailure && error.reason === FailureReason.OUTPUT_TOO_LARGE,
    );
    sink.finish({ kind: 'wait' });
    assert.equal((await writer.wait(sink.toolUses(), Date.now())).type, 'stored');
    const largest = Math.max(...log.appends.map(({ data }) => data.length));
    assert.ok(largest < MAX_EVENT_BYTES * 0.95, `a record has ${largest} bytes`);
  });
}

for (const stream of [true, false]) {
  test(`law 9: neither does a signature, nor the last record of an answer by a schema, stream=${stream}`, async () => {
    const log = watchedLog(memoryLog());
    const { writer } = await claimedWriter(log, chatKey());
    const release = log.hold();
    const sink = new AnswerSink(writer, { ...firstTurn(stream), keepText: true });
    const wide = '\u{6c34}';
    for (let block = 0; block < 3; block++) {
      sink.thinking(wide.repeat(MAX_DELTA_CHARS));
      sink.signature(wide.repeat(MAX_THINKING_SIGNATURE_CHARS));
      sink.text(wide.repeat(MAX_DELTA_CHARS));
    }
    assert.equal(sink.saidText().length, 3 * MAX_DELTA_CHARS);
    assert.throws(
      () => sink.text('a'.repeat(MAX_OUTPUT_JSON_BYTES)),
      (error) => error instanceof ModelFailure && error.reason === FailureReason.OUTPUT_TOO_LARGE,
    );
    release();
    const usage = sink.finish(COMPLETED);
    const outputJson = 'x'.repeat(MAX_OUTPUT_JSON_BYTES);
    assert.equal((await writer.end({ ...COMPLETED, outputJson }, usage)).type, 'stored');
    const largest = Math.max(...log.appends.map(({ data }) => data.length));
    assert.ok(largest < MAX_EVENT_BYTES * 0.9, `a record has ${largest} bytes`);
  });
}

test('law 9: many small events wait under the same bound as much text', async () => {
  const log = watchedLog(memoryLog());
  const { writer } = await claimedWriter(log, chatKey());
  const release = log.hold();
  const sink = new AnswerSink(writer, firstTurn(true));
  let blocks = 0;
  while (sink.pressure() === undefined && blocks < 100_000) {
    sink.text('a');
    sink.thinking('b');
    blocks += 2;
  }
  assert.ok(blocks < 10_000, `${blocks} blocks were taken`);
  release();
  await writer.end(COMPLETED, create(UsageSchema, {}));
});

test('law 9: an answer that grows without end is ended as FAILED', () => {
  const chunk = 'x'.repeat(1024 * 1024);
  const sink = new AnswerSink(
    // Nothing is kept of it here: only the count is of interest.
    { push: () => undefined, pressure: () => undefined } as never,
    firstTurn(true),
  );
  for (let said = 0; said < MAX_OUTPUT_CHARS; said += chunk.length) sink.text(chunk);
  assert.throws(
    () => sink.text('x'),
    (error) => error instanceof ModelFailure && error.reason === FailureReason.OUTPUT_TOO_LARGE,
  );
});

/** Counts the runs that are under way. None ends before so many have been under way at once. */
function countingModel(atOnce: number): ModelClient & {
  readonly most: () => number;
  readonly runs: () => number;
} {
  let now = 0;
  let most = 0;
  let runs = 0;
  const all = Promise.withResolvers<void>();
  return {
    most: () => most,
    runs: () => runs,
    listModels: () => Promise.resolve([TEST_MODEL_INFO]),
    generate: async (_call, sink) => {
      runs++;
      most = Math.max(most, ++now);
      if (now === atOnce) all.resolve();
      await all.promise;
      for (let i = 0; i < 5; i++) {
        await nextTurn();
        sink.text(`${i}`);
      }
      now--;
      return { stopReason: 1 };
    },
  };
}

test('law 9: a worker never runs more chats than it has slots, all priorities together', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = countingModel(SLOTS);
  const chats = [];
  for (let i = 0; i < 60; i++) {
    chats.push(await startChat(adapter, { request: { priority: i % 10 } }));
  }
  await using _worker = runWorker(adapter, model, { slots: SLOTS });
  for (const chat of chats) await untilOver(adapter.log, chat);
  assert.equal(model.runs(), 60, 'each ran once');
  assert.equal(model.most(), SLOTS, 'and all slots were used');
});

test('law 9: requests of megabytes that wait together do not cut the connection', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const text = 'm'.repeat(7 * 1024 * 1024);
  const chats = [];
  for (let i = 0; i < 16; i++) chats.push(await startChat(adapter, { text }));
  const changes: boolean[] = [];
  adapter.onConnectedChange((connected) => changes.push(connected));
  await using _worker = runWorker(adapter, promptModel(['ok']), { slots: 32 });
  for (const chat of chats) await untilOver(adapter.log, chat);
  assert.deepEqual(changes, [], 'never disconnected');
});

test('law 9: an append in doubt is settled in a bounded time, or given up', async () => {
  const log: EventLog = {
    ...memoryLog(),
    append: () => Promise.resolve({ type: 'doubt', cause: new Error('nobody there') }),
  };
  const view = { expectedLast: 0, afterSequence: 0, attempt: 1, owner: 'x' };
  const settled = await appendSettled(log, chatKey(), view, testAppend(1, testMark()), 500);
  assert.equal(settled.type, 'unavailable');
});

// These wait for real timeouts, and so run side by side.
describe('law 9', { concurrency: true }, () => {
  test('law 9: pulls that NATS answers late fill no more than the slots', async () => {
    await using nats = await startNats();
    await using proxy = await startProxy(nats.access.url);
    await using direct = await nats.open('direct');
    await using adapter = await nats.open('stalled', proxy.url);
    const model = handModel();
    const answers = await watchAnswers(await nats.bare());
    proxy.stall('up');
    await using worker = runWorker(adapter, model, { slots: 2 });
    for (let i = 0; i < 20; i++) {
      await startChat(direct, { request: { priority: 0 } });
    }
    // Longer than the worker waits for a pull: it has asked several times by now.
    await sleep(4_500);
    proxy.pass('up');
    await model.nextCall();
    await model.nextCall();
    // All that was asked for in vain has been answered when what was too much is back.
    await until('the rest to be handed back', () => answers.all.some(({ what }) => what === 'nak'));
    assert.equal(worker.running(), 2);
    assert.equal(model.running(), 2);
  });

  test('law 9: a worker stops in a bounded time, also without NATS', async () => {
    await using nats = await startNats();
    await using proxy = await startProxy(nats.access.url);
    await using direct = await nats.open('direct');
    await using adapter = await nats.open('stalled', proxy.url);
    const model = handModel();
    const worker = runWorker(adapter, model);
    const chat = await startChat(direct);
    const call = await model.nextCall();
    call.sink.text('so far');
    await untilText(direct.log, chat, 'so far');
    proxy.stall();
    const began = performance.now();
    await worker.stop();
    // An append is waited for twelve times as long where no worker stops.
    assert.ok(performance.now() - began < APPEND_SETTLE_MS / 2);
    proxy.pass();
    // Back in time to be heard: the hand-back is stored after all.
    await until('the hand-back', async () => {
      return (await direct.log.last(chat))?.mark?.kind === 'hand-back';
    });
    const status = (await direct.log.tail(chat))?.status.mark.status;
    assert.equal(status, ChatStreamStatus.PROCESSING);
  });
});
