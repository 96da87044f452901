// Law 7 against the clock: workers that die, that sleep through their lease, that lose their chat, and
// a NATS that is away for a moment. Each waits for the real times (ack wait 15 s, renewals each 4 s), so
// they run side by side, each on a nats-server of its own.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RunStop } from '../../src/worker/run-stop.ts';
import {
  assertTrueLog,
  casesOf,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { watchAnswers } from '../support/chats/watch.ts';
import { forkWorker, numbers } from '../support/processes/worker-child.ts';

const RECOVERY_MS = 25_000;

describe('law 7', { concurrency: true }, () => {
  test('law 7: a killed worker’s chats are taken up within 25 s and go on visibly', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const slow = { access: nats.access, slots: 4, words: 10_000, everyMs: 20 };
    await using dead = await forkWorker(slow);
    const chats = await Promise.all([startChat(adapter), startChat(adapter), startChat(adapter)]);
    for (const chat of chats) await untilText(adapter.log, chat, '5 ');
    await using next = await forkWorker({ ...slow, words: 10, everyMs: 1 });
    await dead.kill();
    const killedMs = Date.now();
    for (const chat of chats) {
      await untilOver(adapter.log, chat);
      const { events, records, text } = await assertTrueLog(adapter.log, chat);
      const taken = records.findLast(({ mark }) => mark?.kind === 'claim');
      // By NATS's clock, which is this one: the test may have slept.
      assert.ok((taken?.storedAtMs ?? Infinity) - killedMs < RECOVERY_MS);
      assert.equal(text, numbers(10));
      assert.equal(casesOf(events).filter((kind) => kind === 'attemptStarted').length, 1);
      assert.equal(events.at(-1)?.attempt, 2);
    }
    assert.equal(next.calls(), chats.length);
  });

  test('law 7: a worker that slept past its lease is refused, stops and sends nothing', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const answers = await watchAnswers(await nats.bare());
    const options = { access: nats.access, slots: 4, words: 200, everyMs: 20 };
    await using sleeper = await forkWorker({ ...options, words: 10_000 });
    const chat = await startChat(adapter);
    await untilText(adapter.log, chat, '5 ');
    sleeper.pause();
    await using next = await forkWorker({ ...options, words: 400, everyMs: 10 });
    await next.hears('call');
    sleeper.goOn();
    await sleeper.hears('aborted');
    await sleeper.hears('the chat is not this run’s any more');
    const { status } = await untilOver(adapter.log, chat);
    assert.equal(status.mark.owner, next.owner);
    const { text } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, numbers(400));
    await answers.next('ack');
    const ofSleeper = answers.all.filter(({ delivery }) => delivery === 1);
    assert.ok(
      ofSleeper.every(({ what }) => what === 'working'),
      'neither ack nor nak',
    );
    assert.equal(sleeper.calls(), 1);
  });

  test('law 7: a run is renewed past its ack wait; a lost chat is not renewed any more', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const answers = await watchAnswers(await nats.bare());
    const model = handModel();
    await using worker = runWorker(adapter, model);
    const kept = await startChat(adapter);
    const keptCall = await model.nextCall();
    const lost = await startChat(adapter);
    const lostCall = await model.nextCall();
    await using other = await nats.open('other');
    await claimedWriter(other.log, lost, { owner: 'new owner' });
    // Its model says nothing, so that only the renewal can find out; before it is handed out again.
    const why = await lostCall.aborted;
    assert.ok(why instanceof RunStop && why.why === 'lost');
    await until('the lost run to be over', () => worker.running() === 1);
    const { sequence } = await startCommandOf(adapter.inbox, lost);
    const seen = answers.all.length;
    // Its claimed owner is nobody, so that the lost chat comes again after the ack wait, not before.
    const again = await model.nextCall();
    const since = answers.all.slice(seen);
    const ofLost = since.filter(({ command, delivery }) => command === sequence && delivery === 1);
    assert.deepEqual(ofLost, []);
    assert.ok(
      since.some(({ what, command }) => what === 'working' && command !== sequence),
      'the other one is renewed',
    );
    again.finish();
    keptCall.sink.text('patience');
    keptCall.finish();
    await untilOver(adapter.log, kept);
    const { events, text } = await assertTrueLog(adapter.log, kept);
    assert.equal(text, 'patience');
    assert.ok(
      events.every(({ attempt }) => attempt === 1),
      'silence is no loss',
    );
  });

  test('law 7: NATS away for a moment costs no healthy run its chat', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const model = handModel();
    await using _worker = runWorker(adapter, model);
    const chats = await Promise.all([startChat(adapter), startChat(adapter)]);
    const calls = [await model.nextCall(), await model.nextCall()];
    for (const call of calls) call.sink.text('before ');
    for (const chat of chats) await untilText(adapter.log, chat, 'before');
    const pid = nats.server.pid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    for (const call of calls) call.sink.text('meanwhile ');
    await until('NATS to be away', () => !adapter.connected());
    await until('NATS to be back', () => adapter.connected());
    for (const call of calls) {
      call.sink.text('after');
      call.finish();
    }
    for (const chat of chats) {
      await untilOver(adapter.log, chat);
      const { events, text } = await assertTrueLog(adapter.log, chat);
      assert.equal(text, 'before meanwhile after');
      assert.ok(events.every(({ attempt }) => attempt === 1));
    }
  });

  test('law 7: renewals lost past the ack wait: redelivered, asked about, and run once', async () => {
    await using nats = await startNats();
    await using one = await nats.open('one');
    await using two = await nats.open('two');
    const answers = await watchAnswers(await nats.bare());
    const model = handModel();
    const work = {
      ...one.work,
      receiveWork: (onDelivery: Parameters<typeof one.work.receiveWork>[0]) =>
        one.work.receiveWork((delivery) => onDelivery({ ...delivery, working: () => undefined })),
    };
    await using _owner = runWorker({ log: one.log, work }, model, { slots: 1 });
    const chat = await startChat(two);
    const call = await model.nextCall();
    const other = handModel();
    await using _other = runWorker(two, other);
    const handedBack = await answers.next('nak');
    assert.equal(handedBack.delivery, 2);
    call.sink.text('all along');
    call.finish();
    await untilOver(two.log, chat);
    assert.equal(other.begun(), 0);
    const { events, text } = await assertTrueLog(two.log, chat);
    assert.equal(text, 'all along');
    assert.ok(events.every(({ attempt }) => attempt === 1));
    await answers.next('ack');
  });
});
