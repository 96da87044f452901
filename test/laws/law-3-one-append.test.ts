// Law 3: one append in flight per chat. The first delta leaves at once; what comes meanwhile is merged
// into the next, so that load makes batches larger and not queues longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { UsageSchema } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { EventBatchSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { MAX_DELTA_CHARS, MAX_EVENT_BYTES } from '../../src/chat/limits.ts';
import { AnswerSink } from '../../src/worker/answer/answer-sink.ts';
import {
  assertTrueLog,
  casesOf,
  chatKey,
  runWorker,
  startChat,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, firstTurn, openBlock, say } from '../support/chats/claims.ts';
import { promptModel } from '../support/chats/hand-model.ts';
import { memoryLog } from '../support/chats/memory-log.ts';
import { startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { watchedLog } from '../support/chats/watch.ts';

const NO_USAGE = create(UsageSchema, {});
const COMPLETED = { kind: 'completed', stopReason: 1 } as const;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('law 3: never two appends of a chat in flight, whole chats at once', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const log = watchedLog(adapter.log);
  const words = Array.from({ length: 300 }, (_, i) => `${i} `);
  await using _worker = runWorker({ log, work: adapter.work }, promptModel(words), { slots: 10 });
  const chats = await Promise.all(Array.from({ length: 10 }, () => startChat(adapter)));
  for (const chat of chats) {
    await untilOver(adapter.log, chat);
    const { text, records } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, words.join(''));
    assert.ok(records.length < words.length, 'words that waited left together');
  }
  assert.equal(log.mostAtOnce(), 1);
});

test('law 3: the first delta leaves at once, those that wait leave as one', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const log = watchedLog(adapter.log);
  const chat = chatKey();
  const { writer } = await claimedWriter(log, chat);
  const release = log.hold();
  openBlock(writer);
  say(writer, 'first ');
  await nextTurn();
  assert.equal(log.appends.length, 2, 'the claim, and the first delta without waiting for another');
  for (let i = 0; i < 1_000; i++) {
    say(writer, `${i} `);
    if (i % 100 === 0) await nextTurn();
  }
  assert.equal(log.appends.length, 2, 'one in flight');
  release();
  await until('the next append', () => log.appends.length === 3);
  assert.equal((await writer.end(COMPLETED, NO_USAGE)).type, 'stored');
  const { events, text } = await assertTrueLog(adapter.log, chat);
  assert.deepEqual(casesOf(events), [
    'started',
    'blockStarted',
    'textDelta',
    'textDelta',
    'completed',
  ]);
  assert.equal(text, `first ${Array.from({ length: 1_000 }, (_, i) => `${i} `).join('')}`);
  assert.equal(log.mostAtOnce(), 1);
});

test('law 3: everything that one turn of the event loop brings leaves in one append', async () => {
  const log = watchedLog(memoryLog());
  const { writer } = await claimedWriter(log, chatKey());
  openBlock(writer);
  for (let i = 0; i < 50; i++) say(writer, `${i} `);
  assert.equal(log.appends.length, 1, 'not before the turn is over');
  await nextTurn();
  assert.equal(log.appends.length, 2);
  const delta = fromBinary(EventBatchSchema, log.appends[1]?.data ?? new Uint8Array());
  assert.deepEqual(casesOf(delta.events), ['blockStarted', 'textDelta']);
});

test('law 3: the end waits for the append in flight and takes with it what waits', async () => {
  const log = watchedLog(memoryLog());
  const chat = chatKey();
  const { writer } = await claimedWriter(log, chat);
  const release = log.hold();
  openBlock(writer);
  await nextTurn();
  say(writer, 'what waits');
  const ended = writer.end(COMPLETED, NO_USAGE);
  await nextTurn();
  assert.equal(log.appends.length, 2);
  release();
  assert.equal((await ended).type, 'stored');
  assert.equal(log.appends.length, 3);
  assert.equal((await assertTrueLog(log, chat)).text, 'what waits');
});

test('law 3: any words in any rhythm keep their order, whole, each event within its bound', async () => {
  const delta = fc.record({
    kind: fc.constantFrom('text', 'thinking'),
    text: fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 12 }),
      fc.nat({ max: 3 * MAX_DELTA_CHARS }).map((length) => '🌊'.repeat(length / 2)),
    ),
    turnsBefore: fc.nat({ max: 2 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(delta, { maxLength: 30 }), fc.boolean(), async (deltas, stream) => {
      const log = watchedLog(memoryLog());
      const chat = chatKey();
      const { writer } = await claimedWriter(log, chat);
      const sink = new AnswerSink(writer, firstTurn(stream));
      for (const { kind, text, turnsBefore } of deltas) {
        for (let i = 0; i < turnsBefore; i++) await nextTurn();
        if (kind === 'text') sink.text(text);
        else sink.thinking(text);
      }
      await writer.end(COMPLETED, sink.finish(COMPLETED));
      const { text } = await assertTrueLog(log, chat);
      const said = deltas.filter(({ kind }) => kind === 'text');
      assert.equal(text, said.map(({ text }) => text).join(''));
      assert.equal(log.mostAtOnce(), 1);
      for (const { data } of log.appends) assert.ok(data.length < MAX_EVENT_BYTES, 'one record');
    }),
    { numRuns: 40 },
  );
});
