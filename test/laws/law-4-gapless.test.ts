// Law 4: sequences are gapless, per chat, from 1, given by the writer and stored in the record; lost
// workers, hand-backs and new attempts make no gap.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sequenceRange } from '../../src/chat/log/record.ts';
import {
  assertTrueLog,
  casesOf,
  eventsOf,
  recordsOf,
  runWorker,
  startChat,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, openBlock, say } from '../support/chats/claims.ts';
import { handModel, promptModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';

test('law 4: sequences are a chat’s own, whatever else is stored between its records', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const words = Array.from({ length: 50 }, (_, i) => `${i} `);
  await using _worker = runWorker(adapter, promptModel(words), { slots: 5 });
  const chats = await Promise.all(Array.from({ length: 5 }, () => startChat(adapter)));
  for (const chat of chats) {
    await untilOver(adapter.log, chat);
    const { records } = await assertTrueLog(adapter.log, chat);
    const stored = records.map(({ storeSequence }) => storeSequence);
    assert.deepEqual(
      stored,
      stored.toSorted((a, b) => a - b),
    );
    for (const { data, mark } of records) {
      if (mark === undefined) continue;
      const range = sequenceRange(data);
      assert.deepEqual(range, { first: mark.firstSequence, last: mark.lastSequence });
    }
  }
});

test('law 4: a new attempt goes on behind what the lost one stored, and supersedes it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const dead = await claimedWriter(adapter.log, chat, { owner: 'dead' });
  openBlock(dead.writer);
  say(dead.writer, 'said in vain');
  await untilText(adapter.log, chat, 'in vain');
  const before = await recordsOf(adapter.log, chat);

  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const call = await model.nextCall();
  call.sink.thinking('hm');
  call.sink.text('said again');
  call.finish();
  await untilOver(adapter.log, chat);
  const { events, records, text } = await assertTrueLog(adapter.log, chat);
  assert.equal(text, 'said again');
  assert.deepEqual(records.slice(0, before.length), before, 'what was stored is never changed');
  const attempt = events[eventsOf(before).length];
  assert.ok(attempt?.payload.case === 'attemptStarted');
  assert.equal(attempt.attempt, 2);
  assert.equal(attempt.payload.value.supersedesAfterSequence, 1);
  const reopened = events.slice(attempt.sequence).find((e) => e.payload.case === 'blockStarted');
  assert.ok(reopened?.payload.case === 'blockStarted');
  assert.equal(reopened.payload.value.index, 0, 'indices go on from the last kept block');
});

test('law 4: hand-backs have no events and make no gap, however many', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  // More often than a chat may lose its worker: a clean hand-back does not count.
  const rounds = 5;
  for (let i = 0; i < rounds; i++) {
    const model = handModel();
    await using worker = await nats.open(`worker-${i}`);
    await using _running = runWorker(worker, model);
    const call = await model.nextCall();
    call.sink.text(`round ${i}`);
    await untilText(adapter.log, chat, `round ${i}`);
  }
  await using _last = runWorker(adapter, promptModel(['done']));
  await untilOver(adapter.log, chat);
  const { events, records, text } = await assertTrueLog(adapter.log, chat);
  assert.equal(text, 'done');
  const handBacks = records.filter(({ mark }) => mark?.kind === 'hand-back');
  assert.equal(handBacks.length, rounds);
  assert.ok(handBacks.every(({ data }) => data.length === 0));
  assert.equal(casesOf(events).filter((kind) => kind === 'attemptStarted').length, rounds);
});

test('law 4: a worker lost between an answer and its repair makes no gap; both are said anew', async () => {
  await using nats = await startNats();
  const schema = '{"type":"object"}';
  const format = { format: { case: 'jsonSchema', value: { name: 'any', schema } } } as const;
  await using adapter = await nats.open();
  const chat = await startChat(adapter, { request: { responseFormat: format } });
  const model = handModel();
  {
    await using worker = await nats.open('worker');
    await using _running = runWorker(worker, model);
    const first = await model.nextCall();
    first.sink.text('no JSON');
    first.finish();
    const repair = await model.nextCall();
    assert.equal(repair.call.turn, 2);
    repair.sink.text('{"half":');
    await untilText(adapter.log, chat, '{"half":');
  }
  await using _other = runWorker(adapter, model);
  const again = await model.nextCall();
  assert.equal(again.call.turn, 1, 'an answer that did not fit is no finished step');
  again.sink.text('still none');
  again.finish();
  const repair = await model.nextCall();
  assert.equal(repair.call.messages.length, 3);
  repair.sink.text('{}');
  repair.finish();
  await untilOver(adapter.log, chat);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  assert.equal(text, 'still none{}');
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'completed');
  assert.equal(end.value.outputJson, '{}');
  assert.equal(end.value.usage?.modelCalls, 2, 'the calls of the effective attempt');
});
