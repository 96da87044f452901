// Law 9: the store is bounded too, and a full one loses nothing: what can still be stored is, the rest is
// refused in words that help, and when there is room everything goes on.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { FULL_STORE_WAIT_MS, MAX_UNSTORED_CHARS, WORKER_POLL_MS } from '../../src/chat/limits.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { deleteChatStream } from '../../src/rpc/calls/delete-chat-stream.ts';
import {
  assertTrueLog,
  cancel,
  chatKey,
  initiate,
  recordsOf,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import type { TestNats } from '../support/processes/nats.ts';
import { embeddedNats, openAdapter, SILENT, startNats } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { sayUntilPressure } from '../support/chats/say.ts';
import { needsSmallDisk, smallDisk } from '../support/processes/small-disk.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { until } from '../support/until.ts';
import { recordingLogger } from '../support/chats/watch.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** Longer than a full store is waited for before a running chat is handed back. */
const HAND_BACK_WITHIN_MS = 2 * FULL_STORE_WAIT_MS;

const MORE_THAN_FIT = 1_000;

/** Changes one setting of a stream, as an operator would. */
async function setStream(
  nats: TestNats,
  stream: string,
  change: Readonly<Record<string, unknown>>,
): Promise<void> {
  const nc = await nats.bare();
  const info = await nc.request(`$JS.API.STREAM.INFO.${stream}`);
  const { config } = info.json<{ config: Record<string, unknown> }>();
  const answer = await nc.request(
    `$JS.API.STREAM.UPDATE.${stream}`,
    JSON.stringify({ ...config, ...change }),
  );
  assert.equal(answer.json<{ error?: unknown }>().error, undefined);
  await nc.close();
}

/** Starts chats of this size until no more are taken; the refusal is held against its promise. */
async function fillWithStarts(adapter: NatsAdapter, bytes: number): Promise<ChatKey[]> {
  const chats: ChatKey[] = [];
  for (;;) {
    try {
      chats.push(await startChat(adapter, { text: 'f'.repeat(bytes) }));
      assert.ok(chats.length < MORE_THAN_FIT, 'the store was never full');
    } catch (error) {
      if (!(error instanceof ChatError)) throw error;
      assert.equal(error.reason, 'QUEUE_FULL');
      assert.match(error.message, /nothing was created.*Delete chats/);
      assert.ok(error.retryAfterMs !== undefined);
      return chats;
    }
  }
}

function deleteChat(adapter: NatsAdapter, chat: ChatKey): Promise<unknown> {
  return deleteChatStream({ ...adapter, ring: adapter.control.ring, logger: SILENT }, chat);
}

function openBounded(nats: TestNats, maxBytes: number, logger = recordingLogger()) {
  const store = { maxBytes };
  return openAdapter(nats.access, 'bounded', nats.access.url, { store, logger });
}

const saysFull = (line: { readonly message: string }): boolean =>
  /^(the store is|NATS refuses)/.test(line.message);

// Some of these wait for what a worker waits for, and so all run side by side.
describe('law 9', { concurrency: true }, () => {
  test('law 9: a stream at its max_bytes refuses new chats, drops none, and recovers', async () => {
    await using nats = await startNats();
    const logger = recordingLogger();
    await using adapter = await openAdapter(nats.access, 'test', nats.access.url, { logger });
    const kept = await startChat(adapter);
    await setStream(nats, 'COMMANDS', { max_bytes: 16 * KIB });
    await assert.rejects(
      initiate(adapter, { streamId: 'too-many', text: 'z'.repeat(32 * KIB) }),
      (error) =>
        error instanceof ChatError &&
        error.reason === 'QUEUE_FULL' &&
        error.retryAfterMs !== undefined,
    );
    assert.equal(await adapter.inbox.last(chatKey('too-many')), undefined);
    await setStream(nats, 'EVENTS', { max_bytes: 4 * KIB });
    const model = handModel();
    await using _worker = runWorker(adapter, model);
    const call = await model.nextCall();
    call.sink.text('f'.repeat(8 * KIB));
    call.finish();
    await until('the refusal in the log', () => logger.lines.find(saysFull));
    const stored = await recordsOf(adapter.log, kept);
    await setStream(nats, 'EVENTS', { max_bytes: -1 });
    await setStream(nats, 'COMMANDS', { max_bytes: -1 });
    await untilOver(adapter.log, kept);
    const { records, text } = await assertTrueLog(adapter.log, kept);
    assert.deepEqual(records.slice(0, stored.length), stored);
    assert.equal(text, 'f'.repeat(8 * KIB));
    const again = (): Promise<unknown> =>
      initiate(adapter, { streamId: 'too-many' }).catch(() => undefined);
    await until('room for a start', again);
  });

  test('law 9: a full store refuses starts by every api, and is emptied through the api', async () => {
    await using nats = await startNats();
    const logger = recordingLogger();
    await using adapter = await openBounded(nats, 8 * MIB, logger);
    await using api = await startTestApi(adapter);
    const client = grpcClient(api.url);
    const chats = await fillWithStarts(adapter, 128 * KIB);
    assert.ok(chats.length > 40, `${chats.length} fitted`);
    const text = 'x'.repeat(128 * KIB);
    const request = {
      messages: [{ role: 1, content: [{ block: { case: 'text', value: text } }] }],
    };
    const refusal = await refused(
      client.initiateChatStream({ streamId: 'late', request } as never),
    );
    assert.equal(refusal.code, 'ResourceExhausted');
    assert.equal(refusal.reason, 'QUEUE_FULL');
    assert.ok((refusal.retryMs ?? 0) > 0);
    assert.match(refusal.message, /nothing was created/);
    assert.equal((await refused(client.getChatStream({ streamId: 'late' }))).code, 'NotFound');

    // Nothing that was taken is gone; the first is cancelled, and all are deleted.
    for (const chat of chats) await startCommandOf(adapter.inbox, chat);
    const [first] = chats;
    assert.ok(first !== undefined);
    const { streamId } = first;
    const { chatStream } = await client.cancelChatStream({ streamId });
    assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
    for (const chat of chats) await client.deleteChatStream({ streamId: chat.streamId });
    await until('room for a start', () =>
      client.initiateChatStream({ streamId: 'late', request } as never).catch(() => undefined),
    );
    assert.equal(logger.lines.filter(saysFull).length, 1, 'told once');
    assert.ok(logger.said('the store has room again: new chats are taken'));
  });

  test('law 9: in a full store a running chat’s model is read up to a bound, and goes on when there is room', async () => {
    await using nats = await startNats();
    const logger = recordingLogger();
    await using adapter = await openBounded(nats, 4 * MIB, logger);
    await using other = await nats.open('unbounded');
    const model = handModel();
    await using _worker = runWorker(adapter, model, { slots: 2, logger });
    const [chat, cancelled] = [await startChat(adapter), await startChat(adapter)];
    const calls = [await model.nextCall(), await model.nextCall()];
    for (const { sink } of calls) sink.text('begun ');
    for (const each of [chat, cancelled]) await untilText(adapter.log, each, 'begun ');
    const large = await startChat(other, { text: 'l'.repeat(4 * MIB), request: { priority: 9 } });
    await until('no room for answers', () => logger.lines.find(saysFull));
    const said = calls.map(({ sink }) => sayUntilPressure(sink, 'y'.repeat(1_000)));
    for (const much of said) assert.ok(much <= MAX_UNSTORED_CHARS + 1_000, `${much} were taken`);
    // A cancel finds room, and waits for none.
    const view = await cancel(adapter, cancelled);
    assert.equal(view.status, ChatStreamStatus.CANCELLED);
    await assertTrueLog(adapter.log, cancelled);
    await deleteChat(adapter, large);
    const running = calls.find(({ signal }) => !signal.aborted);
    await until('room again', () => running?.sink.pressure() === undefined);
    running?.sink.text(' end');
    running?.finish();
    await untilOver(adapter.log, chat);
    const { text, events } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, `begun ${'y'.repeat(said[0] ?? 0)} end`);
    assert.equal(events.at(-1)?.attempt, 1, 'without another attempt');
    assert.equal(logger.lines.filter(saysFull).length, 1, 'told once, not for each append');
  });

  test('law 9: a chat that a full store stops for long is handed back, loses no try, and ends', async () => {
    await using nats = await startNats();
    const logger = recordingLogger();
    await using adapter = await openBounded(nats, 4 * MIB, logger);
    await using other = await nats.open('unbounded');
    const model = handModel();
    await using worker = runWorker(adapter, model, { slots: 1, logger });
    const chat = await startChat(adapter);
    const call = await model.nextCall();
    call.sink.text('begun ');
    await untilText(adapter.log, chat, 'begun ');
    const large = await startChat(other, { text: 'l'.repeat(4 * MIB), request: { priority: 9 } });
    await until('no room for answers', () => logger.lines.find(saysFull));
    call.sink.text('never stored');
    await until('the hand-back', () => worker.running() === 0, HAND_BACK_WITHIN_MS);
    assert.equal(call.signal.aborted, true, 'its model call is closed');
    assert.equal((await adapter.log.last(chat))?.mark?.kind, 'hand-back');
    await sleep(2 * WORKER_POLL_MS);
    assert.equal(model.begun(), 1, 'and nothing is taken while there is no room');
    await deleteChat(adapter, large);
    const again = await model.nextCall();
    again.sink.text('whole');
    again.finish();
    await untilOver(adapter.log, chat);
    const { text, records } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, 'whole');
    assert.equal(records.at(-1)?.mark?.tries, 1);
    assert.equal(logger.lines.filter(saysFull).length, 1, 'told once');
  });

  test(
    'law 9: a disk that Tailrace fills refuses starts before it is full, and deletes make room',
    { skip: needsSmallDisk() },
    async () => {
      using disk = smallDisk(48);
      const logger = recordingLogger();
      await using server = await embeddedNats(disk.path, logger);
      const { diskFreeBytes } = server;
      const options = { store: { diskFreeBytes }, logger };
      await using adapter = await openAdapter(server, 'test', server.url, options);
      const chats = await fillWithStarts(adapter, 200 * KIB);
      assert.ok(disk.freeBytes() > 2 * MIB, `${disk.freeBytes()} bytes are free`);
      for (const chat of chats) await startCommandOf(adapter.inbox, chat);
      for (const chat of chats) await deleteChat(adapter, chat);
      await until('room for a start', () => startChat(adapter).catch(() => undefined));
      assert.equal(logger.lines.filter(saysFull).length, 1, 'told once');
    },
  );

  test(
    'law 9: a disk that something else fills loses nothing, and everything goes on when it has room',
    { skip: needsSmallDisk() },
    async () => {
      using disk = smallDisk(48);
      const logger = recordingLogger();
      await using server = await embeddedNats(disk.path, logger);
      const { diskFreeBytes } = server;
      // Without the disk's room: so that NATS itself comes to the end of it.
      await using adapter = await openAdapter(server, 'test', server.url, { logger });
      await using guarded = await openAdapter(server, 'guarded', server.url, {
        store: { diskFreeBytes },
        logger,
      });
      const model = handModel();
      await using _worker = runWorker(adapter, model, { logger });
      const [chat, queued] = [await startChat(adapter), await startChat(adapter)];
      const calls = [await model.nextCall(), await model.nextCall()];
      for (const { sink } of calls) sink.text('begun ');
      for (const each of [chat, queued]) await untilText(adapter.log, each, 'begun ');
      disk.fillUp(0);
      for (const { sink } of calls) sink.text('w'.repeat(60_000));
      await until('nats-server’s last word', () =>
        logger.lines.find(({ message }) =>
          message.startsWith('nats-server cannot write its store'),
        ),
      );
      await until('the end of the room', () => logger.lines.find(saysFull));
      assert.equal((await refusalOfStart(guarded)).reason, 'QUEUE_FULL');
      disk.makeRoom();
      await until('another nats-server', () =>
        logger.said('nats-server died; it is started again on the same store'),
      );
      await until('its answers', () => recordsOf(adapter.log, chat).catch(() => undefined));
      for (const { sink, finish } of calls) {
        await until('room', () => sink.pressure() === undefined);
        sink.text(' end');
        finish();
      }
      for (const each of [chat, queued]) {
        await untilOver(adapter.log, each);
        const { text } = await assertTrueLog(adapter.log, each);
        assert.equal(text, `begun ${'w'.repeat(60_000)} end`);
      }
      await until('room for a start', () => startChat(guarded).catch(() => undefined));
    },
  );
});

async function refusalOfStart(adapter: NatsAdapter): Promise<ChatError> {
  try {
    await startChat(adapter);
  } catch (error) {
    if (error instanceof ChatError) return error;
    throw error;
  }
  assert.fail('the start was taken');
}
