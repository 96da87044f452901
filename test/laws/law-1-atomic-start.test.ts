// Law 1: one conditional publish makes the chat and queues it. Whatever is lost on the way, there is
// one chat or none, never two.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { CommandInbox } from '../../src/chat/ports/commands.ts';
import { endChat } from '../../src/chat/log/end-chat.ts';
import { ChatError } from '../../src/chat/errors.ts';
import type { AppendOutcome } from '../../src/chat/ports/event-log.ts';
import { commandFence } from '../../src/nats/subjects.ts';
import {
  assertTrueLog,
  chatKey,
  initiate,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { handModel } from '../support/chats/hand-model.ts';
import type { TestNats } from '../support/processes/nats.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { until } from '../support/until.ts';

/** How many messages the chat's commands are, asked of the server itself. */
async function commandsOf(nats: TestNats, streamId: string): Promise<number> {
  const nc = await nats.bare();
  try {
    const filter = commandFence(chatKey(streamId));
    const answer = await nc.request(
      '$JS.API.STREAM.INFO.COMMANDS',
      JSON.stringify({ subjects_filter: filter }),
    );
    const { state } = answer.json<{ state: { subjects?: Record<string, number> } }>();
    return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
  } finally {
    await nc.close();
  }
}

function watchedInbox(
  inbox: CommandInbox,
  meddle: (outcome: AppendOutcome, nth: number) => AppendOutcome = (outcome) => outcome,
): { readonly inbox: CommandInbox; readonly published: () => number } {
  let published = 0;
  return {
    published: () => published,
    inbox: {
      ...inbox,
      publish: async (command, expectedLast) => {
        const nth = ++published;
        return meddle(await inbox.publish(command, expectedLast), nth);
      },
    },
  };
}

const isTaken = (error: unknown): boolean =>
  error instanceof ChatError && error.reason === 'STREAM_ID_TAKEN';
const isRetired = (error: unknown): boolean =>
  error instanceof ChatError && error.reason === 'STREAM_ID_RETIRED';

test('law 1: a start is one publish, and that is the chat, queued', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const watched = watchedInbox(adapter.inbox);
  const answer = await initiate({ inbox: watched.inbox, log: adapter.log }, { streamId: 'one' });
  assert.equal(answer.created, true);
  assert.equal(answer.status, ChatStreamStatus.PENDING);
  assert.equal(watched.published(), 1);
  assert.equal(await commandsOf(nats, 'one'), 1);
  assert.equal(await adapter.log.tail(chatKey('one')), undefined, 'PENDING is an empty log');
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const call = await model.nextCall();
  call.sink.text('hello');
  call.finish();
  await untilOver(adapter.log, chatKey('one'));
  await assertTrueLog(adapter.log, chatKey('one'));
});

test('law 1: the same id and the same request is the chat that is there', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const init = { streamId: 'again', text: 'the same', request: { metadata: { b: '2', a: '1' } } };
  const first = await initiate(adapter, init);
  const second = await initiate(adapter, {
    ...init,
    request: { metadata: { a: '1', b: '2' } },
  });
  assert.equal(first.created, true);
  assert.equal(second.created, false);
  assert.equal(second.streamId, 'again');
  assert.deepEqual(second.chatStream?.createdAt, first.chatStream?.createdAt);
  assert.equal(await commandsOf(nats, 'again'), 1);
});

test('law 1: the same id and another request is refused, and changes nothing', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await initiate(adapter, { streamId: 'taken', text: 'first' });
  await assert.rejects(initiate(adapter, { streamId: 'taken', text: 'second' }), isTaken);
  // A sampling value that is set to what would be its default is another request: presence matters.
  await assert.rejects(
    initiate(adapter, { streamId: 'taken', text: 'first', request: { temperature: 0 } }),
    isTaken,
  );
  assert.equal(await commandsOf(nats, 'taken'), 1);
});

test('law 1: ids that begin alike are different chats', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  for (const streamId of ['job', 'job.s', 'job.d', 'job.>', 'job.*', '..', '%2E', '%', 'job:1']) {
    const { created } = await initiate(adapter, { streamId, text: streamId });
    assert.equal(created, true, streamId);
    assert.equal(await commandsOf(nats, streamId), 1, streamId);
  }
});

test('law 1: an acknowledgement that is lost on the way is read back; there is one chat', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using through = await nats.open('through', proxy.url);
  await using direct = await nats.open('direct');
  const streamId = randomUUID();
  // What is read before the publish goes another way; the publish arrives, its answer does not.
  const ports = { log: direct.log, inbox: { ...through.inbox, last: direct.inbox.last } };
  proxy.stall('down');
  const lost = initiate(ports, { streamId });
  await until('the start to land', async () => direct.inbox.start(chatKey(streamId)));
  proxy.drop('down');
  proxy.cut();
  proxy.pass('down');
  const { created } = await lost;
  assert.equal(created, true, 'it was this call that made it');
  assert.equal(await commandsOf(nats, streamId), 1);
  const again = await initiate(direct, { streamId });
  assert.equal(again.created, false);
});

test('law 1: in doubt and not there, the same start is sent again', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  let sent = 0;
  const inbox: CommandInbox = {
    ...adapter.inbox,
    publish: (command, expectedLast) =>
      ++sent === 1
        ? Promise.resolve({ type: 'doubt', cause: new Error('lost on the way there') })
        : adapter.inbox.publish(command, expectedLast),
  };
  const { created } = await initiate({ inbox, log: adapter.log }, { streamId: 'resent' });
  assert.equal(created, true);
  assert.equal(sent, 2);
  assert.equal(await commandsOf(nats, 'resent'), 1);
});

test('law 1: a start that timed out and lands behind its own retry makes one chat', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  let late: (() => Promise<AppendOutcome>) | undefined;
  const inbox: CommandInbox = {
    ...adapter.inbox,
    publish: (command, expectedLast) => {
      if (late !== undefined) return adapter.inbox.publish(command, expectedLast);
      late = () => adapter.inbox.publish(command, expectedLast);
      return Promise.resolve({ type: 'doubt', cause: new Error('no answer in time') });
    },
  };
  const { created } = await initiate({ inbox, log: adapter.log }, { streamId: 'late' });
  assert.equal(created, true);
  assert.equal((await late?.())?.type, 'refused');
  assert.equal(await commandsOf(nats, 'late'), 1);
});

test('law 1: two starts at once for one id make one chat, and one of them made it', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  for (let round = 0; round < 20; round++) {
    const streamId = `race-${round}`;
    const answers = await Promise.all(
      [one, two, one, two].map((adapter) => initiate(adapter, { streamId })),
    );
    assert.equal(answers.filter((answer) => answer.created).length, 1);
    assert.equal(await commandsOf(nats, streamId), 1);
  }
  const different = await Promise.allSettled(
    [one, two].map((adapter, i) => initiate(adapter, { streamId: 'other', text: `text ${i}` })),
  );
  assert.equal(different.filter((answer) => answer.status === 'fulfilled').length, 1);
  const refused = different.find((answer) => answer.status === 'rejected');
  assert.ok(refused?.status === 'rejected' && isTaken(refused.reason));
  assert.equal(await commandsOf(nats, 'other'), 1);
});

test('law 1: no duplicate ids in one millisecond: of a thousand starts at once each is a chat', async (t) => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  // However slow the machine is, all of them are made in one.
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const answers = await Promise.all(
    Array.from({ length: 1_000 }, (_, i) => initiate(i % 2 === 0 ? one : two)),
  );
  const ids = answers.map(({ streamId }) => streamId ?? '');
  // A UUIDv7 begins with its millisecond.
  const perMs = Map.groupBy(ids, (id) => id.slice(0, 13));
  assert.equal(perMs.size, 1);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(answers.every(({ created }) => created));
});

test('law 1: an id used again between its commands’ expiry and its log’s is taken as long as its log is there', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter, { streamId: 'old' });
  const start = await startCommandOf(adapter.inbox, chat);
  const end = { kind: 'cancelled', reason: '' } as const;
  await endChat(adapter.log, chat, start, undefined, end, 1_000);
  const nc = await nats.bare();
  // Commands expire a day before logs do.
  await nc.request('$JS.API.STREAM.PURGE.COMMANDS', JSON.stringify({ filter: commandFence(chat) }));
  await nc.close();
  assert.equal(await adapter.inbox.last(chat), undefined);
  await assert.rejects(initiate(adapter, { streamId: 'old' }), isRetired);
  assert.equal(await commandsOf(nats, 'old'), 0);
});

test('law 1: the id of an expired chat stays taken, for the same request too', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const init = { streamId: 'expired', ttlMs: 1 };
  await initiate(adapter, init);
  const { meta } = await startCommandOf(adapter.inbox, chatKey('expired'));
  await until('its expiry', () => Date.now() >= meta.expiresAtMs);
  await assert.rejects(initiate(adapter, init), isRetired);
  assert.equal(await commandsOf(nats, 'expired'), 1);
});

test('law 1: with the api dead right after the publish, the chat runs all the same', async () => {
  await using nats = await startNats();
  await using worker = await nats.open('worker');
  const model = handModel();
  await using _running = runWorker(worker, model);
  {
    await using api = await nats.open('api');
    await startChat(api, { streamId: 'orphan' });
  }
  const call = await model.nextCall();
  call.sink.text('here');
  call.finish();
  await untilOver(worker.log, chatKey('orphan'));
});
