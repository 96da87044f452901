// Law 8, cancel: durable first. A queued chat never starts, a running one stops at once, and a chat
// whose worker is dead ends all the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createInbox } from '@nats-io/transport-node';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ACK_WAIT_MS, CANCEL_TAKEOVER_MS } from '../../src/chat/limits.ts';
import type { CommandInbox } from '../../src/chat/ports/commands.ts';
import { controlCommand } from '../../src/chat/decisions/next-command.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { COMMANDS, CONTROL_CONSUMER } from '../../src/nats/subjects.ts';
import { RunStop } from '../../src/worker/run-stop.ts';
import {
  assertTrueLog,
  cancel,
  casesOf,
  runControlLoop,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, openBlock, say } from '../support/chats/claims.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { onceWithin } from '../support/quick.ts';
import { until } from '../support/until.ts';
import { recordingLogger, watchAnswers } from '../support/chats/watch.ts';

const TAKEN_OVER = 'a cancel was carried out in place of the chat’s worker';
/** Far less than the renewal of a claim, by which a worker finds out as well. */
const BELL_MS = 250;
/** The takeover's own second, and what reading and appending add to it. */
const TAKEOVER_MS = CANCEL_TAKEOVER_MS + 1_500;

/** An adapter whose worker never hears the bell of a control command. */
function deafToControl(adapter: NatsAdapter): Pick<NatsAdapter, 'log' | 'work'> {
  return { log: adapter.log, work: { ...adapter.work, onControl: () => () => undefined } };
}

test('law 8: a queued chat that is cancelled never starts', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const chat = await startChat(adapter, { request: { correlationId: 'trace' } });
  const start = await startCommandOf(adapter.inbox, chat);
  const answer = await cancel(adapter, chat, 'not needed');
  assert.equal(answer.status, ChatStreamStatus.CANCELLED);
  assert.equal((await adapter.inbox.last(chat))?.verb, 'start', 'no command was needed');
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  assert.equal((await answers.next('ack')).command, start.sequence);
  assert.equal(model.begun(), 0);
  const { events } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'cancelled');
  assert.equal(end.value.reason, 'not needed');
  assert.equal(events.at(-1)?.correlationId, 'trace');
});

test('law 8: cancelled before, while or after it is claimed, a chat ends once', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  for (let round = 0; round < 20; round++) {
    const chat = await startChat(adapter);
    for (let i = 0; i < round; i++) await new Promise((resolve) => setImmediate(resolve));
    const answer = await cancel(adapter, chat);
    assert.equal(answer.status, ChatStreamStatus.CANCELLED);
    await assertTrueLog(adapter.log, chat);
  }
  await until('every call to be over', () => model.running() === 0);
});

test('law 8: a running chat’s model call is aborted at once; what it said and used is kept', async () => {
  await using nats = await startNats();
  await using api = await nats.open('api');
  await using adapter = await nats.open('worker');
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  // By the bell, not by a poll.
  await onceWithin(BELL_MS, async () => {
    const chat = await startChat(api);
    const call = await model.nextCall();
    call.sink.text('as far as it ca');
    call.sink.usage({
      inputTokens: 5,
      outputTokens: 4,
      reasoningTokens: undefined,
      cachedInputTokens: undefined,
    });
    await untilText(api.log, chat, 'as far');
    const calledMs = performance.now();
    const cancelled = cancel(api, chat, 'enough of it');
    const why = await call.aborted;
    const tookMs = performance.now() - calledMs;
    assert.ok(why instanceof RunStop && why.why === 'cancelled');
    assert.equal((await cancelled).status, ChatStreamStatus.CANCELLED);
    const { events, text } = await assertTrueLog(api.log, chat);
    assert.equal(text, 'as far as it ca');
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'cancelled');
    assert.equal(end.value.reason, 'enough of it');
    assert.equal(end.value.usage?.outputTokens, 4);
    await answers.next('ack');
    return tookMs;
  });
});

test('law 8: a cancel is a durable command before it is answered', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  await claimedWriter(adapter.log, chat);
  const { sequence } = await startCommandOf(adapter.inbox, chat);
  const first = cancel(adapter, chat, 'first');
  const command = await until('the command', async () => {
    const last = await adapter.inbox.last(chat);
    return last?.verb === 'cancel' && last;
  });
  assert.ok(command.sequence > sequence);
  const again = cancel(adapter, chat, 'again');
  await using _loop = runControlLoop(adapter);
  assert.equal((await first).status, ChatStreamStatus.CANCELLED);
  assert.equal((await again).status, ChatStreamStatus.CANCELLED);
  const last = await adapter.inbox.last(chat);
  assert.equal(last?.sequence, command.sequence, 'the second cancel found the first one there');
});

test('law 8: a chat whose worker is dead is ended by a control loop in about a second', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const logger = recordingLogger();
  await using _loop = runControlLoop(adapter, logger);
  await using other = await nats.open('other');
  await using _second = runControlLoop(other, logger);
  await onceWithin(TAKEOVER_MS, async () => {
    const chat = await startChat(adapter, { request: { metadata: { a: '1' } } });
    const { meta } = await startCommandOf(adapter.inbox, chat);
    const dead = await claimedWriter(adapter.log, chat, {
      owner: 'dead',
      createdAtMs: meta.createdAtMs,
    });
    openBlock(dead.writer);
    say(dead.writer, 'its last words');
    await untilText(adapter.log, chat, 'last words');
    const calledMs = performance.now();
    const answer = await cancel(adapter, chat, 'no patience');
    const tookMs = performance.now() - calledMs;
    assert.equal(answer.status, ChatStreamStatus.CANCELLED);
    const { events, records, text } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, 'its last words');
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'cancelled' && end.value.reason === 'no patience');
    const createdAtMs = records.at(-1)?.mark?.createdAtMs;
    assert.equal(createdAtMs, meta.createdAtMs, 'the chat’s, not the cancel’s');
    return tookMs;
  });
  assert.ok(logger.said(TAKEN_OVER));
});

test('law 8: a cancel that was handed to a process which then died is carried out by another one within seconds', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  await claimedWriter(adapter.log, chat, { owner: 'dead' });
  const dying = await nats.bare();
  const { promise: handed, resolve } = Promise.withResolvers<void>();
  const reply = createInbox();
  dying.subscribe(reply, { max: 1, callback: () => resolve() });
  const pull = JSON.stringify({ batch: 1, expires: 20e9 });
  dying.publish(`$JS.API.CONSUMER.MSG.NEXT.${COMMANDS}.${CONTROL_CONSUMER}`, pull, { reply });
  const asked = cancel(adapter, chat, 'now');
  await handed;
  await using _loop = runControlLoop(adapter);
  // Work that is handed to a process which dies comes again after this long; a cancel, far earlier.
  await untilOver(adapter.log, chat, ACK_WAIT_MS);
  await asked;
  await assertTrueLog(adapter.log, chat);
});

test('law 8: a clock that is ahead where a cancel or a delete was taken keeps no loop from carrying it out', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const taken = await Promise.all(
    (['cancel', 'delete'] as const).map(async (verb) => {
      const chat = await startChat(adapter);
      await claimedWriter(adapter.log, chat, { owner: 'dead' });
      const start = await startCommandOf(adapter.inbox, chat);
      const command = controlCommand(start, verb, 'an hour ahead');
      const createdAtMs = Date.now() + 3_600_000;
      const ahead = { ...command, meta: { ...command.meta, createdAtMs } };
      assert.equal((await adapter.inbox.publish(ahead, start.sequence)).type, 'stored');
      return chat;
    }),
  );
  await using _loop = runControlLoop(adapter);
  await Promise.all(taken.map((chat) => untilOver(adapter.log, chat)));
});

test('law 8: a bell that the worker never heard is made up for by a control loop', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using worker = runWorker(deafToControl(adapter), model);
  await using _loop = runControlLoop(adapter);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('talking');
  await untilText(adapter.log, chat, 'talking');
  assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.CANCELLED);
  // The worker finds out by its next append, and stops.
  call.sink.text(' on');
  const why = await call.aborted;
  assert.ok(why instanceof RunStop && why.why === 'lost');
  await until('the run to be over', () => worker.running() === 0);
  assert.equal((await assertTrueLog(adapter.log, chat)).text, 'talking');
});

test('law 8: a worker that appends without pause cannot outrun a cancel', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const model = handModel();
  // The first bell is lost on the worker; the loop, which is refused again and again, rings anew.
  let bells = 0;
  const work: NatsAdapter['work'] = {
    ...adapter.work,
    onControl: (listener) =>
      adapter.work.onControl((command) => {
        if (++bells > 1) listener(command);
      }),
  };
  await using _worker = runWorker({ log: adapter.log, work }, model);
  await using _loop = runControlLoop(other);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  const talking = setInterval(() => call.sink.text('word '), 1);
  try {
    await untilText(adapter.log, chat, 'word word');
    assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.CANCELLED);
  } finally {
    clearInterval(talking);
  }
  await assertTrueLog(adapter.log, chat);
});

test('law 8: a finished chat answers its true status and gets no second end', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('all of it');
  call.finish();
  await untilOver(adapter.log, chat);
  const answer = await cancel(adapter, chat);
  assert.equal(answer.status, ChatStreamStatus.COMPLETED);
  assert.equal((await adapter.inbox.last(chat))?.verb, 'start', 'no command is left behind');
  const cancelled = await startChat(adapter);
  await model.nextCall();
  assert.equal((await cancel(adapter, cancelled, 'one')).status, ChatStreamStatus.CANCELLED);
  const { records } = await assertTrueLog(adapter.log, cancelled);
  assert.equal((await cancel(adapter, cancelled, 'two')).status, ChatStreamStatus.CANCELLED);
  assert.deepEqual((await assertTrueLog(adapter.log, cancelled)).records, records);
});

test('law 8: a cancelled chat is not revived by a redelivery or another worker', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using _loop = runControlLoop(adapter);
  const chat = await startChat(adapter);
  // Dead between its claim and its first word; the start is still to be handed out again.
  await claimedWriter(adapter.log, chat, { owner: 'dead' });
  assert.equal((await cancel(adapter, chat)).status, ChatStreamStatus.CANCELLED);
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  await answers.next('ack');
  assert.equal(model.begun(), 0);
  const { events } = await assertTrueLog(adapter.log, chat);
  assert.deepEqual(casesOf(events), ['started', 'cancelled']);
});

test('law 8: cancel of `job1` leaves `job10` and `job1.s` alone', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chats = [];
  for (const streamId of ['job1', 'job10', 'job1.s', 'job1:x']) {
    chats.push({ chat: await startChat(adapter, { streamId }), call: await model.nextCall() });
  }
  const [first, ...others] = chats;
  assert.ok(first !== undefined);
  assert.equal((await cancel(adapter, first.chat)).status, ChatStreamStatus.CANCELLED);
  for (const { chat, call } of others) {
    assert.equal(call.signal.aborted, false, chat.streamId);
    call.finish();
    const { status } = await untilOver(adapter.log, chat);
    assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
  }
});

test('law 8: a cancel whose acknowledgement is lost says so or is durable, and ends the chat', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using through = await nats.open('through', proxy.url);
  await using direct = await nats.open('direct');
  await using _loop = runControlLoop(direct);
  const chat = await startChat(direct);
  await claimedWriter(direct.log, chat);
  const ports = {
    log: direct.log,
    inbox: { ...direct.inbox, publish: through.inbox.publish },
  };
  proxy.stall('down');
  const cancelled = cancel(ports, chat);
  await until('the command to land', async () => {
    return (await direct.inbox.last(chat))?.verb === 'cancel';
  });
  proxy.drop('down');
  proxy.cut();
  proxy.pass('down');
  assert.equal((await cancelled).status, ChatStreamStatus.CANCELLED);
  await assertTrueLog(direct.log, chat);
});

test('law 8: a cancel in doubt that is not there is sent again, as beside another write of the chat on its way', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  await model.nextCall();
  let sent = 0;
  const inbox: CommandInbox = {
    ...adapter.inbox,
    publish: (command, expectedLast) =>
      ++sent === 1
        ? Promise.resolve({ type: 'doubt', cause: new Error('another write in flight (10164)') })
        : adapter.inbox.publish(command, expectedLast),
  };
  const { status } = await cancel({ ...adapter, inbox }, chat);
  assert.equal(status, ChatStreamStatus.CANCELLED);
  assert.equal(sent, 2);
});

test('law 8: a cancel that stays in doubt is LOG_UNAVAILABLE, and what was in doubt counts where it landed late', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const lost = await startChat(adapter);
  await model.nextCall();
  const inbox: CommandInbox = {
    ...adapter.inbox,
    publish: () => Promise.resolve({ type: 'doubt', cause: new Error('never answered') }),
  };
  await assert.rejects(cancel({ ...adapter, inbox }, lost), { reason: 'LOG_UNAVAILABLE' });
  const late: CommandInbox = {
    ...adapter.inbox,
    publish: async (command, expectedLast) => {
      await adapter.inbox.publish(command, expectedLast);
      return { type: 'doubt', cause: new Error('answered too late') };
    },
  };
  const { status } = await cancel({ ...adapter, inbox: late }, lost);
  assert.equal(status, ChatStreamStatus.CANCELLED);
});
