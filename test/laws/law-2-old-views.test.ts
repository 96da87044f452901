// Law 2, views that are old: what was read, or not answered, and has changed since. The fence refuses
// what rests on it, and the leader's log says what became of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventLog } from '../../src/chat/ports/event-log.ts';
import { deleteChatStream } from '../../src/rpc/calls/delete-chat-stream.ts';
import { RunStop } from '../../src/worker/run-stop.ts';
import {
  assertTrueLog,
  recordsOf,
  runWorker,
  startChat,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { SILENT, startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { recordingLogger, watchAnswers, watchedQueue } from '../support/chats/watch.ts';

test('law 2: own late append found after a delete: it is no success, and nothing follows it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const chat = await startChat(adapter);
  const remove = (): Promise<unknown> =>
    deleteChatStream({ ...other, ring: other.control.ring, logger: SILENT }, chat);
  let deltas = 0;
  let tried = 0;
  // The second delta lands, and its answer is so late that the chat is deleted before it.
  const late: EventLog = {
    ...adapter.log,
    append: async (chat, expectedLast, append) => {
      tried++;
      const outcome = await adapter.log.append(chat, expectedLast, append);
      if (append.mark !== undefined || ++deltas !== 2) return outcome;
      assert.equal(outcome.type, 'stored');
      await remove();
      return { type: 'doubt', cause: new Error('no answer in time') };
    },
  };
  // It hears no bell either: only the log can tell it.
  const work = { ...adapter.work, onControl: () => () => undefined };
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  await using worker = runWorker({ log: late, work }, model);
  const call = await model.nextCall();
  call.sink.text('first');
  await untilText(adapter.log, chat, 'first');
  call.sink.text('second');
  const why = await call.aborted;
  assert.ok(why instanceof RunStop && why.why === 'lost');
  const triedBy = tried;
  call.sink.text('third');
  await until('the run to be over', () => worker.running() === 0);
  assert.equal(tried, triedBy, 'nothing more was appended');
  const marks = (await recordsOf(adapter.log, chat)).map(({ mark }) => mark?.kind);
  assert.deepEqual(marks, ['tombstone'], 'and nothing of the chat is there');
  assert.deepEqual(answers.all, [], 'not a word for a command that is not there');
});

test('law 2: a follower’s stale read before a claim: the claim is refused, and its owner runs on', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const watched = watchedQueue(one.work);
  const model = handModel();
  await using owner = runWorker({ log: one.log, work: watched.work }, model, { slots: 1 });
  const chat = await startChat(one);
  const call = await model.nextCall();
  call.sink.text('all ');
  await untilText(one.log, chat, 'all');

  // What a server answers that has not heard of the newest records: first of none, then of the claim alone.
  const [claim] = await recordsOf(one.log, chat);
  assert.ok(claim?.mark !== undefined);
  const { mark } = claim;
  const dead = { ...mark, owner: 'somebody who is gone' };
  const views = [
    undefined,
    { last: claim, status: { ...claim, mark: dead }, lastSequence: mark.lastSequence },
  ];
  let reads = 0;
  const stale: EventLog = {
    ...two.log,
    tail: async (chat) => {
      const at = reads++;
      // Each decision reads, and each refusal reads again: that one is the leader's.
      return at % 2 === 0 && at / 2 < views.length ? views[at / 2] : two.log.tail(chat);
    },
  };
  const answers = await watchAnswers(await nats.bare());
  const other = handModel();
  const logger = recordingLogger();
  const worker = runWorker({ log: stale, work: two.work }, other, { logger });
  watched.deliveries[0]?.nak(0);
  await until('it to have let go', () => reads > 2 * views.length && worker.running() === 0);
  call.sink.text('along');
  call.finish();
  await untilOver(one.log, chat);
  await until('the owner to be free', () => owner.running() === 0);
  await worker.stop();
  const { text, events } = await assertTrueLog(one.log, chat);
  assert.equal(text, 'all along');
  assert.ok(events.every(({ attempt }) => attempt === 1));
  assert.equal(other.begun(), 0);
  const said = answers.all.filter(({ delivery, what }) => delivery === 2 && what !== 'working');
  assert.deepEqual(said, [], 'who was refused sends nothing');
});
