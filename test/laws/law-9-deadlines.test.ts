// Law 9, time: deadlines that nobody else may be alive to keep are kept by the sweep, whenever it comes
// to life, and by a worker that is handed what is overdue.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { RUN_TIMEOUT_GRACE_MS, RUN_TIMEOUT_MS, START_DEADLINE_MS } from '../../src/chat/limits.ts';
import type { ModelClient } from '../../src/chat/ports/model.ts';
import {
  assertTrueLog,
  runWorker,
  startChat,
  startCommandOf,
  startedAt,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import {
  claimedWriter,
  openBlock,
  say,
  testAppend,
  testMark,
  untilStored,
} from '../support/chats/claims.ts';
import { grpcClient } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { Watch } from '../support/chats/watch-chat.ts';
import {
  runSweep,
  startAwaiting,
  submit,
  submitAndDie,
  waitingChat,
} from '../support/chats/waiting-chat.ts';
import { watchAnswers } from '../support/chats/watch.ts';

const DAY_MS = 24 * 3_600_000;
/** Long enough to be watched before it is over. */
const SHORT_TTL_MS = 3_000;

test('law 9: a chat that no worker took by its deadline ends in ERROR, and says so', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const overdue = await startedAt(adapter, Date.now() - START_DEADLINE_MS - 1, Date.now() + DAY_MS);
  const inTime = await startChat(adapter);
  await using _sweep = await runSweep(adapter);
  await untilOver(adapter.log, overdue);
  const { events } = await assertTrueLog(adapter.log, overdue);
  const end = events.at(-1);
  assert.ok(end?.payload.case === 'error');
  assert.equal(end.payload.value.failure?.reason, FailureReason.START_DEADLINE_EXCEEDED);
  assert.equal(end.correlationId, 'trace');
  assert.equal(await adapter.log.tail(inTime), undefined, 'another waits on');
});

test('law 9: a worker that is handed an overdue start ends it and does not run it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const overdue = await startedAt(adapter, Date.now() - START_DEADLINE_MS - 1, Date.now() + DAY_MS);
  const start = await startCommandOf(adapter.inbox, overdue);
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  assert.equal((await answers.next('ack')).command, start.sequence);
  assert.equal(model.begun(), 0);
  const { events } = await assertTrueLog(adapter.log, overdue);
  assert.equal(events.at(-1)?.payload.case, 'error');
});

test('law 9: a run whose worker is gone is ended after its time, what it said kept', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const startedAtMs = Date.now() - RUN_TIMEOUT_MS - RUN_TIMEOUT_GRACE_MS - 1;
  const { writer } = await claimedWriter(adapter.log, chat, { startedAtMs });
  openBlock(writer);
  say(writer, 'so far');
  await untilStored(adapter.log, chat, 3);
  await using _sweep = await runSweep(adapter);
  await untilOver(adapter.log, chat);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'failed');
  assert.equal(end.value.failure?.reason, FailureReason.RUN_TIMEOUT);
  assert.equal(text, 'so far');
});

test('law 9: the sweep keeps a chat’s own run timeout, which its mark says', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const startedAtMs = Date.now() - 2_000 - RUN_TIMEOUT_GRACE_MS;
  const limits = { runTimeout: durationFromMs(2_000) };
  const own = await startChat(adapter, { request: { limits } });
  const { runTimeoutMs } = (await startCommandOf(adapter.inbox, own)).meta;
  assert.equal(runTimeoutMs, 2_000, 'its start says it in the headers');
  await claimedWriter(adapter.log, own, { startedAtMs, runTimeoutMs });
  const usual = await startChat(adapter);
  await claimedWriter(adapter.log, usual, { startedAtMs });
  await using _sweep = await runSweep(adapter);
  await untilOver(adapter.log, own);
  const end = (await assertTrueLog(adapter.log, own)).events.at(-1)?.payload;
  assert.ok(end?.case === 'failed');
  assert.equal(end.value.failure?.reason, FailureReason.RUN_TIMEOUT);
  assert.match(end.value.failure.message, /longer than 2 s/);
  assert.equal((await adapter.log.tail(usual))?.status.mark.kind, 'claim', 'another runs on');
});

test('law 9: the run timeout counts from the first claim, over attempts', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const limits = { runTimeout: durationFromMs(60_000) };
  const chat = await startChat(adapter, { request: { limits } });
  const start = await startCommandOf(adapter.inbox, chat);
  // A worker that is gone, and had nearly all of the time.
  await claimedWriter(adapter.log, chat, {
    command: start.sequence,
    startedAtMs: Date.now() - 57_000,
    runTimeoutMs: 60_000,
  });
  const model: ModelClient = {
    ...handModel(),
    generate: async (_call, sink, signal) => {
      sink.text('late');
      if (!signal.aborted) await once(signal, 'abort');
      signal.throwIfAborted();
      return assert.fail();
    },
  };
  await using _worker = runWorker(adapter, model);
  await untilOver(adapter.log, chat);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1);
  assert.equal(end?.attempt, 2);
  assert.ok(end.payload.case === 'failed');
  assert.equal(end.payload.value.failure?.reason, FailureReason.RUN_TIMEOUT);
  assert.equal(text, 'late');
});

test('law 9: nothing expires silently: a queued and a running chat are ended at their expiry', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const queued = await startedAt(adapter, Date.now() - 5_000, Date.now() - 1);
  const running = await startedAt(adapter, Date.now() - 5_000, Date.now() - 1);
  await claimedWriter(adapter.log, running);
  await using _sweep = await runSweep(adapter);
  const ends = await Promise.all([queued, running].map((chat) => untilOver(adapter.log, chat)));
  assert.deepEqual(
    ends.map((tail) => tail.status.mark.status),
    [ChatStreamStatus.ERROR, ChatStreamStatus.FAILED],
  );
});

test('law 9: who watches a queued or a running chat at its expiry sees its end; whoever comes later finds nothing', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const running = await startChat(adapter, { ttlMs: SHORT_TTL_MS });
  const { writer } = await claimedWriter(adapter.log, running, {
    createdAtMs: Date.now(),
    expiresAtMs: Date.now() + SHORT_TTL_MS,
  });
  openBlock(writer);
  say(writer, 'until then');
  const queued = await startChat(adapter, { ttlMs: SHORT_TTL_MS });
  const watched = [running, queued].map(async ({ streamId }) => {
    const watch = new Watch();
    await watch.follow(client, streamId);
    return watch;
  });
  const [ran, waited] = await Promise.all(watched);
  assert.equal(ran?.end().status, ChatStreamStatus.FAILED);
  assert.equal(ran.text(), 'until then');
  assert.equal(waited?.end().failure?.reason, FailureReason.START_DEADLINE_EXCEEDED);
  for (const { streamId } of [running, queued]) {
    const late = await refused(new Watch().follow(client, streamId));
    assert.equal(late.reason, 'STREAM_NOT_FOUND');
  }
});

test('law 9: two sweeps over the same chats end each once', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const chats = await Promise.all(
    Array.from({ length: 20 }, () =>
      startedAt(adapter, Date.now() - START_DEADLINE_MS - 1, Date.now() + DAY_MS),
    ),
  );
  await using _first = await runSweep(adapter);
  await using _second = await runSweep(other);
  await Promise.all(chats.map((chat) => untilOver(adapter.log, chat)));
  for (const chat of chats) await assertTrueLog(adapter.log, chat);
});

/** Far enough that no machine is late for it: the clock is set on to it. */
const DEADLINE_MS = 60_000;

function setClockOn(t: TestContext, byMs: number): void {
  const now = Date.now.bind(Date);
  t.mock.method(Date, 'now', () => now() + byMs);
}

test('law 9: client tools that do not answer in time end the chat as FAILED, also when every process was down', async (t) => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const deadlineMs = Date.now() + DEADLINE_MS;
  const chat = await waitingChat(adapter, { ids: ['a', 'b'], deadlineMs });
  await submit(adapter, chat, { a: 'one of two' });
  const patient = await waitingChat(adapter);
  setClockOn(t, DEADLINE_MS);
  await assert.rejects(submit(adapter, chat, { b: 'late' }), /does not wait for any more/);
  assert.equal((await adapter.log.tail(chat))?.status.mark.kind, 'wait', 'nobody was there');
  await using _sweep = await runSweep(adapter);
  await untilOver(adapter.log, chat);
  const { events } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'failed');
  assert.equal(end.value.failure?.reason, FailureReason.CLIENT_TOOL_TIMEOUT);
  assert.equal((await adapter.log.tail(patient))?.status.mark.kind, 'wait', 'another waits on');
});

test('law 9: results that were acknowledged in time count, though nobody went on from them before the deadline', async (t) => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const deadlineMs = Date.now() + DEADLINE_MS;
  const chat = await waitingChat(adapter, { deadlineMs });
  await submitAndDie(adapter, chat, { call_1: 'in time' });
  setClockOn(t, DEADLINE_MS);
  await using _sweep = await runSweep(adapter);
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const call = await model.nextCall();
  assert.equal(call.call.messages.at(-1)?.content[0]?.block.case, 'toolResult');
  call.sink.text('thanks');
  call.finish();
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
});

test('law 9: the time that a chat waits for its client is not its run’s', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startAwaiting(adapter);
  const { sequence: command, meta } = await startCommandOf(adapter.inbox, chat);
  const waitedMs = 3 * RUN_TIMEOUT_MS;
  const waitingSinceMs = Date.now() - waitedMs;
  const mark = testMark({
    kind: 'results',
    tries: 0,
    command,
    startedAtMs: waitingSinceMs - 1_000,
    waitingSinceMs,
    stepSequence: 1,
    createdAtMs: meta.createdAtMs,
    expiresAtMs: meta.expiresAtMs,
  });
  assert.equal((await adapter.log.append(chat, 0, testAppend(1, mark))).type, 'stored');
  await using _sweep = await runSweep(adapter);
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const call = await model.nextCall();
  const claim = (await adapter.log.tail(chat))?.status.mark;
  assert.ok(claim?.kind === 'claim' && claim.waitedMs >= waitedMs);
  call.sink.text('there is time');
  call.finish();
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
});
