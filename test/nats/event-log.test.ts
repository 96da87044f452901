// The log on NATS and its reference model under one contract, and what only the adapter can get wrong.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatError } from '../../src/chat/errors.ts';
import { MAX_CATCH_UP_RECORDS, NATS_REQUEST_MS } from '../../src/chat/limits.ts';
import { logSubject } from '../../src/nats/subjects.ts';
import { chatKey, recordsOf } from '../support/chats/chat-fixtures.ts';
import { testAppend, testMark } from '../support/chats/claims.ts';
import { memoryLog } from '../support/chats/memory-log.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { until } from '../support/until.ts';
import type { OpenLog } from './event-log-contract.ts';
import { eventLogContract, sameUnderRandomCommands } from './event-log-contract.ts';

function openMemory(): Promise<OpenLog> {
  return Promise.resolve({ log: memoryLog(), [Symbol.asyncDispose]: () => Promise.resolve() });
}

async function openOnNats(): Promise<OpenLog> {
  const nats = await startNats();
  const adapter = await nats.open();
  return {
    log: adapter.log,
    [Symbol.asyncDispose]: async () => {
      await adapter[Symbol.asyncDispose]();
      await nats[Symbol.asyncDispose]();
    },
  };
}

eventLogContract('in memory', openMemory);
eventLogContract('on NATS', openOnNats);
sameUnderRandomCommands(async () => {
  const [one, two] = await Promise.all([openMemory(), openOnNats()]);
  return { one, two, [Symbol.asyncDispose]: () => two[Symbol.asyncDispose]() };
});

test('a log of more records than one answer may hold is read to its end', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = chatKey();
  const outcome = await adapter.log.append(chat, 0, testAppend(1, testMark()));
  let last = outcome.type === 'stored' ? outcome.storeSequence : 0;
  const count = MAX_CATCH_UP_RECORDS * 2 + 10;
  for (let sequence = 2; sequence <= count; sequence++) {
    const next = await adapter.log.append(chat, last, testAppend(sequence));
    assert.ok(next.type === 'stored');
    last = next.storeSequence;
  }
  const page = await adapter.log.page(chat, 0, 100_000_000);
  assert.equal(page.records.length, MAX_CATCH_UP_RECORDS);
  assert.equal(page.more, true);
  const records = await recordsOf(adapter.log, chat);
  assert.equal(records.length, count);
  assert.equal(new Set(records.map(({ storeSequence }) => storeSequence)).size, count);
});

test('a page that is larger than its bound allows still moves on', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = chatKey();
  const first = await adapter.log.append(chat, 0, testAppend(1, testMark()));
  const expectedLast = first.type === 'stored' ? first.storeSequence : 0;
  await adapter.log.append(chat, expectedLast, testAppend(2, undefined, 'x'.repeat(900_000)));
  const { records } = await adapter.log.page(chat, expectedLast + 1, 1_000);
  assert.equal(records.length, 1);
});

test('without NATS reads are LOG_UNAVAILABLE and appends are in doubt, in a bounded time', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using adapter = await nats.open('stalled', proxy.url);
  const chat = chatKey();
  proxy.stall();
  const began = performance.now();
  const [append, ...reads] = await Promise.all([
    adapter.log.append(chat, 0, testAppend(1, testMark())),
    ...[adapter.log.last(chat), adapter.log.tail(chat), adapter.log.page(chat, 0, 1_000)].map(
      (read) =>
        read.then(
          () => 'answered',
          (error: unknown) => (error instanceof ChatError ? error.reason : String(error)),
        ),
    ),
  ]);
  assert.equal(append.type, 'doubt');
  assert.deepEqual(reads, ['LOG_UNAVAILABLE', 'LOG_UNAVAILABLE', 'LOG_UNAVAILABLE']);
  assert.ok(performance.now() - began < 5 * NATS_REQUEST_MS);
  proxy.pass();
  // It landed after all: that is what a doubt is.
  await until('the append', async () => (await adapter.log.last(chat)) !== undefined);
});

test('a page that is asked for when the connection is closed is LOG_UNAVAILABLE, and that is all', async () => {
  await using nats = await startNats();
  const adapter = await nats.open();
  await adapter[Symbol.asyncDispose]();
  await assert.rejects(adapter.log.page(chatKey(), 0, 1_000), { reason: 'LOG_UNAVAILABLE' });
});

test('a message that NATS would not take spoils nothing but itself', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = chatKey();
  const tooLarge = { ...testAppend(1, testMark()), data: new Uint8Array(10 * 1024 * 1024) };
  const [refused, stored] = await Promise.all([
    adapter.log.append(chatKey(), 0, tooLarge),
    adapter.log.append(chat, 0, testAppend(1, testMark())),
  ]);
  assert.equal(refused.type, 'doubt');
  assert.equal(stored.type, 'stored');
});

test('a log whose status is missing is a fault that is said, not guessed over', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = chatKey();
  const nc = await nats.bare();
  await nc.request(logSubject(chat, 'd'), testAppend(1).data);
  await assert.rejects(
    adapter.log.tail(chat),
    (error) => error instanceof ChatError && error.reason === 'INTERNAL',
  );
});
