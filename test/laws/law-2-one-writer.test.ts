// Law 2: one writer, fenced. A refusal means that the view is old, a timeout is a doubt; both are
// settled by what the leader shows, and no timer decides who is right.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatStreamStatus,
  FailureReason,
  UsageSchema,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { create } from '@bufbuild/protobuf';
import type { Append, EventLog } from '../../src/chat/ports/event-log.ts';
import { MAX_ATTEMPTS } from '../../src/chat/limits.ts';
import { endChat } from '../../src/chat/log/end-chat.ts';
import {
  assertTrueLog,
  casesOf,
  chatKey,
  eventsOf,
  recordsOf,
  runWorker,
  startChat,
  startCommandOf,
  textOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, openBlock, say, testAppend, testMark } from '../support/chats/claims.ts';
import { handModel, promptModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { until } from '../support/until.ts';
import { recordingLogger, watchAnswers, watchedLog, watchedQueue } from '../support/chats/watch.ts';

const NO_USAGE = create(UsageSchema, {});
const COMPLETED = { kind: 'completed', stopReason: 1 } as const;

test('law 2: of two appends on the same view one is stored and one refused, always', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  for (let round = 0; round < 100; round++) {
    const chat = chatKey();
    const outcomes = await Promise.all(
      [one, two].map(({ log }) => log.append(chat, 0, testAppend(1, testMark()))),
    );
    assert.deepEqual(outcomes.map(({ type }) => type).toSorted(), ['refused', 'stored']);
    const last = (await one.log.last(chat))?.storeSequence ?? 0;
    // A status record against a delta: other subjects, the same fence.
    const mixed = await Promise.all([
      one.log.append(chat, last, testAppend(2)),
      two.log.append(chat, last, testAppend(2, testMark({ attempt: 2 }))),
    ]);
    assert.deepEqual(mixed.map(({ type }) => type).toSorted(), ['refused', 'stored']);
    assert.equal((await recordsOf(one.log, chat)).length, 2);
  }
});

test('law 2: a writer whose chat was taken over is refused, stops, and sends nothing more', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = chatKey();
  const log = watchedLog(adapter.log);
  const stale = await claimedWriter(log, chat, { owner: 'stale' });
  openBlock(stale.writer);
  say(stale.writer, 'kept');
  await untilText(adapter.log, chat, 'kept');
  const owner = await claimedWriter(adapter.log, chat, { owner: 'new' });
  say(stale.writer, 'lost');
  await until('the refusal', () => stale.lost() !== undefined);
  assert.equal(stale.lost()?.type, 'moved');
  const tried = log.appends.length;
  say(stale.writer, 'more');
  assert.equal((await stale.writer.end(COMPLETED, NO_USAGE)).type, 'moved');
  assert.equal((await stale.writer.handBack()).type, 'moved');
  assert.equal(log.appends.length, tried, 'nothing more was tried');
  assert.equal(stale.writer.pressure(), undefined);
  openBlock(owner.writer);
  say(owner.writer, 'and now');
  assert.equal((await owner.writer.end(COMPLETED, NO_USAGE)).type, 'stored');
  assert.equal((await assertTrueLog(adapter.log, chat)).text, 'and now');
});

test('law 2: a writer may not go on after another ended its chat', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const { writer, lost } = await claimedWriter(adapter.log, chat);
  const start = await startCommandOf(adapter.inbox, chat);
  const cancelled = { kind: 'cancelled', reason: '' } as const;
  const tail = await adapter.log.tail(chat);
  assert.equal((await endChat(adapter.log, chat, start, tail, cancelled, 1_000)).type, 'stored');
  assert.equal((await writer.end(COMPLETED, NO_USAGE)).type, 'moved');
  assert.equal(lost()?.type, 'moved');
  const { events } = await assertTrueLog(adapter.log, chat);
  assert.deepEqual(casesOf(events), ['started', 'cancelled']);
});

/** Runs a writer over a log that spoils its second delta, and answers what was tried and stored. */
async function withSpoiledAppend(
  spoil: (log: EventLog, spoiled: Append) => EventLog['append'],
): Promise<{ readonly ids: readonly string[]; readonly stored: readonly string[]; text: string }> {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = chatKey();
  let deltas = 0;
  let spoiled: EventLog['append'] | undefined;
  const spoiling: EventLog = {
    ...adapter.log,
    append: (chat, expectedLast, append) => {
      if (append.mark === undefined && ++deltas === 2) spoiled = spoil(adapter.log, append);
      return (spoiled ?? adapter.log.append)(chat, expectedLast, append);
    },
  };
  const log = watchedLog(spoiling);
  const { writer, lost } = await claimedWriter(log, chat);
  openBlock(writer);
  say(writer, 'a');
  await untilText(adapter.log, chat, 'a');
  say(writer, 'b');
  await untilText(adapter.log, chat, 'b');
  say(writer, 'c');
  assert.equal((await writer.end(COMPLETED, NO_USAGE)).type, 'stored');
  assert.equal(lost(), undefined);
  const { records, text } = await assertTrueLog(adapter.log, chat);
  const ids = log.appends.map(({ appendId }) => appendId);
  return { ids, stored: records.map(({ appendId }) => appendId), text };
}

test('law 2: an own append in doubt that landed counts as stored', async () => {
  const { ids, stored, text } = await withSpoiledAppend((log, spoiled) => async (...args) => {
    const outcome = await log.append(...args);
    return args[2] === spoiled ? { type: 'doubt', cause: new Error('no answer') } : outcome;
  });
  assert.equal(text, 'abc');
  assert.deepEqual(stored, ids, 'nothing was sent twice');
});

test('law 2: an own append in doubt that is not there is sent again under its own id', async () => {
  let lost = 0;
  const { ids, stored, text } = await withSpoiledAppend((log, spoiled) => (...args) => {
    if (args[2].appendId === spoiled.appendId && ++lost <= 2) {
      return Promise.resolve({ type: 'doubt', cause: new Error('lost on the way there') });
    }
    return log.append(...args);
  });
  assert.equal(text, 'abc');
  assert.deepEqual(stored, [...new Set(ids)], 'once only in the log');
  assert.equal(ids.length, stored.length + 2, 'and nothing else was appended meanwhile');
});

test('law 2: an append that lands behind its own retry is in the log once', async () => {
  const late: Promise<string>[] = [];
  let delayed = false;
  const { ids, stored, text } = await withSpoiledAppend((log, spoiled) => async (...args) => {
    if (args[2].appendId !== spoiled.appendId) return log.append(...args);
    if (!delayed) {
      delayed = true;
      return { type: 'doubt', cause: new Error('still under way') };
    }
    const outcome = await log.append(...args);
    late.push(log.append(...args).then(({ type }) => type));
    return outcome;
  });
  assert.deepEqual(await Promise.all(late), ['refused']);
  assert.equal(text, 'abc');
  assert.deepEqual(stored, [...new Set(ids)]);
});

test('law 2: a refusal whose own append is there is its success', async () => {
  const { ids, stored, text } = await withSpoiledAppend((log, spoiled) => async (...args) => {
    // The first answer is lost, and the client sends the same bytes again by itself.
    if (args[2] === spoiled) await log.append(...args);
    return log.append(...args);
  });
  assert.equal(text, 'abc');
  assert.deepEqual(stored, [...new Set(ids)]);
});

test('law 2: connections cut in the middle of appends lose, double and reorder nothing', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using adapter = await nats.open('cut', proxy.url);
  await using direct = await nats.open('direct');
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(direct);
  const call = await model.nextCall();
  const words: string[] = [];
  for (let i = 0; i < 12; i++) {
    for (let j = 0; j < 20; j++) {
      words.push(`${i}.${j} `);
      call.sink.text(`${i}.${j} `);
      await new Promise((resolve) => setImmediate(resolve));
    }
    // Half of the cuts lose what was acknowledged, the others what was sent.
    proxy.stall(i % 2 === 0 ? 'down' : 'up');
    call.sink.text(`stalled ${i} `);
    words.push(`stalled ${i} `);
    await new Promise((resolve) => setImmediate(resolve));
    proxy.cut();
    proxy.pass();
    await until('the connection', () => adapter.connected());
  }
  call.finish();
  await untilOver(direct.log, chat);
  const { records, events, text } = await assertTrueLog(direct.log, chat);
  assert.equal(text, words.join(''));
  assert.ok(events.every((event) => event.attempt === 1));
  const ids = records.map(({ appendId }) => appendId);
  assert.deepEqual(ids, [...new Set(ids)], 'each append is there once');
});

test('law 2: the fence of `job` covers neither `job.s` nor `job.d`, nor theirs `job`', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const ids = ['job', 'job.s', 'job.d', 'job.>', 'job.*', '..', 'job%2Es'];
  for (const streamId of ids) {
    const chat = chatKey(streamId);
    assert.equal(await adapter.log.tail(chat), undefined, streamId);
    const outcome = await adapter.log.append(chat, 0, testAppend(1, testMark({ owner: streamId })));
    assert.equal(outcome.type, 'stored', streamId);
  }
  for (const streamId of ids) {
    const records = await recordsOf(adapter.log, chatKey(streamId));
    assert.deepEqual(
      records.map(({ mark }) => mark?.owner),
      [streamId],
    );
    const again = await adapter.log.append(chatKey(streamId), 0, testAppend(1, testMark()));
    assert.equal(again.type, 'refused', streamId);
  }
});

test('law 2: a claim names its command, its owner and the last finished step', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using worker = runWorker(adapter, model);
  const chat = await startChat(adapter, { request: { correlationId: 'trace-1', priority: 2 } });
  const start = await startCommandOf(adapter.inbox, chat);
  await model.nextCall();
  const tail = await adapter.log.tail(chat);
  const { startedAtMs, ...mark } = tail?.status.mark ?? testMark();
  assert.ok(startedAtMs >= start.meta.createdAtMs);
  assert.deepEqual(mark, {
    kind: 'claim',
    status: ChatStreamStatus.PROCESSING,
    attempt: 1,
    tries: 1,
    stepSequence: 1,
    command: start.sequence,
    owner: worker.owner,
    results: 0,
    waitRecord: 0,
    waitingSinceMs: 0,
    waitedMs: 0,
    deadlineMs: 0,
    runTimeoutMs: start.meta.runTimeoutMs,
    firstSequence: 1,
    lastSequence: 1,
    createdAtMs: start.meta.createdAtMs,
    expiresAtMs: start.meta.expiresAtMs,
    correlationId: 'trace-1',
    model: 'test-model',
    priority: 2,
  });
});

test('law 2: a void command is acknowledged without a claim', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const over = await startChat(adapter, { streamId: 'over' });
  const cancelled = { kind: 'cancelled', reason: '' } as const;
  const command = await startCommandOf(adapter.inbox, over);
  await endChat(adapter.log, over, command, undefined, cancelled, 1_000);
  const expired = await startChat(adapter, { streamId: 'expired', ttlMs: 1 });
  const newer = await startChat(adapter, { streamId: 'newer' });
  await claimedWriter(adapter.log, newer, { command: 1_000, owner: 'other' });
  const commands = await Promise.all(
    [over, expired, newer].map((chat) => startCommandOf(adapter.inbox, chat)),
  );
  await until('the expiry', () => Date.now() >= (commands[1]?.meta.expiresAtMs ?? 0));
  const before = await Promise.all(
    [over, expired, newer].map((chat) => recordsOf(adapter.log, chat)),
  );

  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const acked = [await answers.next('ack'), await answers.next('ack'), await answers.next('ack')];
  assert.deepEqual(
    acked.map((answer) => answer.command).toSorted((a, b) => a - b),
    commands.map(({ sequence }) => sequence),
  );
  assert.equal(model.begun(), 0);
  const after = await Promise.all(
    [over, expired, newer].map((chat) => recordsOf(adapter.log, chat)),
  );
  assert.deepEqual(after, before);
});

test('law 2: when every attempt has lost its worker the chat ends in ERROR and says so', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const chat = await startChat(adapter);
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const { writer } = await claimedWriter(adapter.log, chat, { owner: `dead-${attempt}` });
    openBlock(writer);
    say(writer, `try ${attempt}`);
    await untilText(adapter.log, chat, `try ${attempt}`);
  }
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.ERROR);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'error');
  assert.equal(end.value.failure?.reason, FailureReason.ATTEMPTS_EXHAUSTED);
  assert.equal(text, `try ${MAX_ATTEMPTS}`, 'what the last one said is kept');
  assert.equal(model.begun(), 0);
  await answers.next('ack');
});

test('law 2: the last attempt is not given up while its owner is alive', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const chat = await startChat(one);
  for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt++) {
    await claimedWriter(one.log, chat, { owner: `dead-${attempt}` });
  }
  const model = handModel();
  const watched = watchedQueue(one.work);
  await using _owner = runWorker({ log: one.log, work: watched.work }, model, { slots: 1 });
  const call = await model.nextCall();
  call.sink.text('alive');
  await untilText(one.log, chat, 'alive');

  const answers = await watchAnswers(await nats.bare());
  const other = handModel();
  await using _other = runWorker(two, other);
  // A lost renewal: the command is handed to the other worker.
  watched.deliveries.at(-1)?.nak(0);
  await until('the hand-back', () => answers.all.some((a) => a.what === 'nak' && a.delivery === 2));
  call.sink.text(' and well');
  call.finish();
  await untilOver(one.log, chat);
  const { text, events } = await assertTrueLog(one.log, chat);
  assert.equal(text, 'alive and well');
  assert.equal(events.at(-1)?.payload.case, 'completed');
  assert.equal(other.begun(), 0);
});

test('law 2: a claim that loses its race is decided again, and its loser sends nothing', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const answers = await watchAnswers(await nats.bare());
  // Another takes the chat between this worker's decision and its claim, and is alive.
  let raced = false;
  const racing: EventLog = {
    ...adapter.log,
    append: async (chat, expectedLast, append) => {
      if (!raced) {
        raced = true;
        await claimedWriter(adapter.log, chat, { owner: 'quicker' });
      }
      return adapter.log.append(chat, expectedLast, append);
    },
  };
  const stop = adapter.work.answerAsOwner('quicker', () => true);
  const model = handModel();
  const logger = recordingLogger();
  const worker = runWorker({ log: racing, work: adapter.work }, model, { logger });
  await until('the worker to let go', () => raced && worker.running() === 0);
  await worker.stop();
  stop();
  await using outside = await nats.open('outside');
  assert.deepEqual(casesOf(eventsOf(await recordsOf(outside.log, chat))), ['started']);
  assert.equal(model.begun(), 0);
  assert.deepEqual(answers.all, []);
});

test('law 2: a whole chat through two workers that both want it runs once', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  await using _a = runWorker(one, promptModel(['one ', 'word ', 'after ', 'another']));
  await using _b = runWorker(two, promptModel(['one ', 'word ', 'after ', 'another']));
  const chats = await Promise.all(Array.from({ length: 40 }, () => startChat(one)));
  for (const chat of chats) {
    await untilOver(one.log, chat);
    const { events, text } = await assertTrueLog(one.log, chat);
    assert.equal(text, 'one word after another');
    assert.equal(textOf(events), text);
    assert.ok(events.every((event) => event.attempt === 1));
  }
});
