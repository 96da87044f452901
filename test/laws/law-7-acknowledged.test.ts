// Law 7: a command is acknowledged after the leader shows its effect. Until then it is renewed; it may
// come twice, to anyone, and runs once all the same. What needs the real ack wait is in law-7-recovery.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ACK_WAIT_MS, RENEW_EVERY_MS } from '../../src/chat/limits.ts';
import { RunStop } from '../../src/worker/run-stop.ts';
import {
  assertTrueLog,
  recordsOf,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import { handModel, promptModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { onceWithin } from '../support/quick.ts';
import { HANGS_MS, until, within } from '../support/until.ts';
import { recordingLogger, watchAnswers, watchedLog, watchedQueue } from '../support/chats/watch.ts';

test('law 7: the acknowledgement is sent after the end is stored, and once', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const stored = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const log = watchedLog(adapter.log, async (outcome, append) => {
    if (append.mark?.kind === 'end') {
      stored.resolve();
      await release.promise;
    }
    return outcome;
  });
  const model = handModel();
  const worker = runWorker({ log, work: adapter.work }, model);
  const chat = await startChat(adapter);
  const start = await startCommandOf(adapter.inbox, chat);
  const call = await model.nextCall();
  call.sink.text('done');
  call.finish();
  await stored.promise;
  assert.deepEqual(answers.all, [], 'not before the worker knows that it is stored');
  release.resolve();
  const ack = await answers.next('ack');
  assert.equal(ack.command, start.sequence);
  await worker.stop();
  assert.equal(answers.all.filter(({ what }) => what === 'ack').length, 1);
});

test('law 7: a command handed again to the worker that runs it is adopted', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const watched = watchedQueue(adapter.work);
  const model = handModel();
  await using worker = runWorker({ log: adapter.log, work: watched.work }, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('once');
  watched.deliveries[0]?.nak(0);
  await until('the second delivery', () => watched.deliveries.length === 2);
  assert.equal(worker.running(), 1);
  call.finish();
  await untilOver(adapter.log, chat);
  const ack = await answers.next('ack');
  assert.equal(ack.delivery, 2, 'the newest delivery is the one that is acknowledged');
  assert.equal(model.begun(), 1);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  assert.equal(text, 'once');
  assert.ok(events.every(({ attempt }) => attempt === 1));
});

test('law 7: a command handed to another while its owner is alive is handed back, not run', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const answers = await watchAnswers(await nats.bare());
  const watched = watchedQueue(one.work);
  const model = handModel();
  await using _owner = runWorker({ log: one.log, work: watched.work }, model, { slots: 1 });
  const chat = await startChat(one);
  const call = await model.nextCall();
  const other = handModel();
  await using _other = runWorker(two, other);
  watched.deliveries[0]?.nak(0);
  await until('the hand-back', () => answers.all.some((a) => a.what === 'nak' && a.delivery === 2));
  call.sink.text('mine');
  call.finish();
  await untilOver(one.log, chat);
  assert.equal(other.begun(), 0);
  const { events } = await assertTrueLog(one.log, chat);
  assert.ok(events.every(({ attempt }) => attempt === 1));
});

test('law 7: the command of a finished chat that comes once more is acknowledged and not run', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const watched = watchedQueue(adapter.work);
  const model = handModel();
  const answers = await watchAnswers(await nats.bare());
  {
    // The acknowledgement goes down with the worker: this one sends none.
    const work = {
      ...watched.work,
      receiveWork: (onDelivery: Parameters<typeof adapter.work.receiveWork>[0]) =>
        watched.work.receiveWork((delivery) => onDelivery({ ...delivery, ack: () => undefined })),
    };
    await using _worker = runWorker({ log: adapter.log, work }, model);
    const chat = await startChat(adapter, { streamId: 'twice' });
    const call = await model.nextCall();
    call.finish();
    await untilOver(adapter.log, chat);
  }
  const before = (await recordsOf(adapter.log, { tenant: 'default', streamId: 'twice' })).length;
  watched.deliveries[0]?.nak(0);
  await using second = await nats.open('second');
  await using _worker = runWorker(second, model);
  const ack = await answers.next('ack');
  assert.equal(ack.delivery, 2);
  assert.equal(model.begun(), 1);
  const after = await recordsOf(second.log, { tenant: 'default', streamId: 'twice' });
  assert.equal(after.length, before);
});

test('law 7: a worker that stops cleanly hands its chats over at once, and loses no try', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const model = handModel();
  const worker = runWorker(one, model, { slots: 3 });
  const chats = await Promise.all([startChat(one), startChat(one), startChat(one)]);
  for (const chat of chats) {
    const call = await model.nextCall();
    call.sink.text('unfinished');
    assert.ok(chat);
  }
  const answers = await watchAnswers(await nats.bare());
  await using _next = runWorker(two, promptModel(['finished']));
  const stopped = performance.now();
  await worker.stop();
  for (const chat of chats) {
    const { status } = await untilOver(two.log, chat);
    assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
    assert.equal(status.mark.attempt, 2);
    assert.equal(status.mark.tries, 1, 'the hand-back took its try back');
    assert.equal((await assertTrueLog(two.log, chat)).text, 'finished');
  }
  assert.ok(performance.now() - stopped < ACK_WAIT_MS, 'at once, not after the ack wait');
  const naks = (): number =>
    answers.all.filter(({ what, delivery }) => what === 'nak' && delivery === 1).length;
  await until('their hand-backs', () => naks() === 3);
});

test('law 7: only who had its hand-back stored naks', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  const worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  await model.nextCall();
  const owner = await claimedWriter(adapter.log, chat, { owner: 'new owner' });
  await worker.stop();
  assert.deepEqual(answers.all, [], 'the hand-back lost its race: not a word');
  assert.equal(owner.lost(), undefined);
  const marks = (await recordsOf(adapter.log, chat)).map(({ mark }) => mark?.kind);
  assert.deepEqual(marks, ['claim', 'claim']);
});

test('law 7: who lost the chat to another writer stops, and sends nothing for its delivery', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  const logger = recordingLogger();
  await using worker = runWorker(adapter, model, { logger });
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('mine');
  await untilText(adapter.log, chat, 'mine');
  await claimedWriter(adapter.log, chat, { owner: 'new owner' });
  call.sink.text('still mine?');
  const why = await within(HANGS_MS, 'the abort', call.aborted);
  assert.ok(why instanceof RunStop && why.why === 'lost');
  await until('the run to be over', () => worker.running() === 0);
  assert.deepEqual(answers.all, []);
  const line = logger.lines.find(
    ({ message }) => message === 'the chat is not this run’s any more',
  );
  assert.match(String(line?.fields['why']), /refused: another attempt owns the chat/);
});

test('law 7: after a reconnect every claim is renewed at once', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using adapter = await nats.open('cut', proxy.url);
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  await using _worker = runWorker(adapter, model, { slots: 3 });
  for (let i = 0; i < 3; i++) await startChat(adapter);
  for (let i = 0; i < 3; i++) await model.nextCall();
  // A renewal is due every 4 s; these come with the connection.
  await onceWithin(RENEW_EVERY_MS / 2, async () => {
    const seen = answers.all.length;
    const cutMs = performance.now();
    proxy.cut();
    await until('three renewals', () => {
      const renewed = answers.all.slice(seen).filter(({ what }) => what === 'working');
      return new Set(renewed.map(({ command }) => command)).size === 3;
    });
    return performance.now() - cutMs;
  });
});
