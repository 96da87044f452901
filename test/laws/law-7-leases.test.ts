// Law 7 against the clock, second part: leases that run out while somebody waits, sleeps or is cut off.
// Each waits for the real times (ack wait 15 s, renewals each 4 s), so they run side by side, each on a
// nats-server of its own.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test } from 'node:test';
import { ACK_WAIT_MS, RENEW_EVERY_MS } from '../../src/chat/limits.ts';
import {
  assertTrueLog,
  casesOf,
  runWorker,
  startChat,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import { handModel, promptModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { until } from '../support/until.ts';
import { watchAnswers, watchedLog, watchedQueue } from '../support/chats/watch.ts';

const AWAY_MS = 4_000;
const HOLDERS = 40;

describe('law 7', { concurrency: true }, () => {
  test('law 7: a paused worker wakes and acknowledges nothing: the new owner’s job does not vanish', async () => {
    await using nats = await startNats();
    await using one = await nats.open('one');
    await using two = await nats.open('two');
    const answers = await watchAnswers(await nats.bare());
    const log = watchedLog(one.log);
    const model = handModel();
    await using paused = runWorker({ log, work: one.work }, model, { slots: 1 });
    const chat = await startChat(two);
    const call = await model.nextCall();
    call.sink.text('all but ');
    await untilText(two.log, chat, 'all but');
    // It stands still between its answer and the append of its end, and another takes the chat.
    const goOn = log.hold();
    call.finish();
    await until('the end to be on its way', () => log.appends.at(-1)?.mark?.kind === 'end');
    await claimedWriter(two.log, chat, { owner: 'the new owner, who then dies' });
    goOn();
    await until('the paused worker to have let go', () => paused.running() === 0);
    assert.deepEqual(answers.all, [], 'neither an acknowledgement nor a hand-back');
    await paused.stop();
    await using _third = runWorker(two, promptModel(['done']));
    await untilOver(two.log, chat);
    const { events, text } = await assertTrueLog(two.log, chat);
    assert.equal(text, 'done');
    assert.equal(casesOf(events).filter((kind) => kind === 'attemptStarted').length, 2);
  });

  test('law 7: prefetch plus lease expiry runs twice nowhere: what waits is in no worker’s hands', async () => {
    await using nats = await startNats();
    await using one = await nats.open('one');
    await using two = await nats.open('two');
    const slots = 2;
    const chats = await Promise.all(Array.from({ length: 10 }, () => startChat(one)));
    const model = handModel();
    const watched = watchedQueue(one.work);
    await using _busy = runWorker({ log: one.log, work: watched.work }, model, { slots });
    const held = [await model.nextCall(), await model.nextCall()];
    const nc = await nats.bare();
    const inHands = async (): Promise<number> => {
      const answer = await nc.request('$JS.API.CONSUMER.INFO.COMMANDS.work-5');
      return answer.json<{ num_ack_pending: number }>().num_ack_pending;
    };
    // Longer than a lease: had it taken more than it runs, that would be handed out again now.
    const untilMs = performance.now() + ACK_WAIT_MS + 2_000;
    while (performance.now() < untilMs) {
      assert.equal(await inHands(), slots);
      await sleep(500);
    }
    assert.equal(watched.deliveries.length, slots);
    await using _free = runWorker(two, promptModel(['once']), { slots: chats.length });
    // It takes all that waits, and none of what is held.
    for (const chat of chats.slice(slots)) await untilOver(one.log, chat);
    for (const call of held) {
      call.sink.text('once');
      call.finish();
    }
    for (const chat of chats) {
      await untilOver(one.log, chat);
      const { events, text } = await assertTrueLog(one.log, chat);
      assert.equal(text, 'once');
      assert.ok(events.every(({ attempt }) => attempt === 1));
    }
  });

  test('law 7: NATS away for 4 s, just when renewals are due: no healthy run loses its chat', async () => {
    await using nats = await startNats();
    await using proxy = await startProxy(nats.access.url);
    await using cut = await nats.open('cut', proxy.url);
    await using other = await nats.open('other');
    const answers = await watchAnswers(await nats.bare());
    const model = handModel();
    await using _holder = runWorker(cut, model, { slots: HOLDERS });
    const chats = await Promise.all(Array.from({ length: HOLDERS }, () => startChat(other)));
    const calls = [];
    for (const _ of chats) calls.push(await model.nextCall());
    const idle = handModel();
    // It would take what is handed out again.
    await using _heir = runWorker(other, idle, { slots: HOLDERS });
    await answers.next('working');
    const lastMs = answers.all.at(-1)?.atMs ?? 0;
    await until('the next renewals to be due', () => {
      return performance.now() > lastMs + RENEW_EVERY_MS - 200;
    });
    proxy.stall();
    proxy.cut();
    for (const call of calls) call.sink.text('meanwhile ');
    await sleep(AWAY_MS);
    proxy.cut();
    proxy.pass();
    await until('NATS to be back', () => cut.connected());
    // Past every lease that could have run out.
    await until('renewals that follow', () => {
      return answers.all.filter(({ atMs }) => atMs > lastMs + ACK_WAIT_MS).length >= HOLDERS;
    });
    for (const call of calls) {
      call.sink.text('and after');
      call.finish();
    }
    for (const chat of chats) {
      await untilOver(other.log, chat);
      const { events, text } = await assertTrueLog(other.log, chat);
      assert.equal(text, 'meanwhile and after');
      assert.ok(events.every(({ attempt }) => attempt === 1));
    }
    assert.equal(idle.begun(), 0);
    assert.ok(
      answers.all.every(({ delivery }) => delivery === 1),
      'nothing was handed out again',
    );
  });
});
