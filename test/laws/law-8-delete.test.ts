// Law 8, delete: durable first, each step safe to repeat; what is deleted cannot be read or revived, and
// its id stays taken.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ObserveChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { CarryOutDeps } from '../../src/chat/log/carry-out.ts';
import { carryOutDelete } from '../../src/chat/log/carry-out.ts';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import type { Command } from '../../src/chat/ports/commands.ts';
import { controlCommand } from '../../src/chat/decisions/next-command.ts';
import { ChatError } from '../../src/chat/errors.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { createObserveHub } from '../../src/rpc/observe/observe-hub.ts';
import { deleteChatStream } from '../../src/rpc/calls/delete-chat-stream.ts';
import { getChatStream } from '../../src/rpc/calls/get-chat-stream.ts';
import {
  chatKey,
  NO_LIST,
  initiate,
  runControlLoop,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, openBlock, say, untilStored } from '../support/chats/claims.ts';
import { grpcClient } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { SILENT, startNats } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { HANGS_MS, until, within } from '../support/until.ts';
import { watchAnswers } from '../support/chats/watch.ts';
import { Watch } from '../support/chats/watch-chat.ts';

const MARKER = 'the heron stands in the shallow water';

function means(nats: NatsAdapter): CarryOutDeps {
  return { ...nats, ring: nats.control.ring };
}

function remove(nats: NatsAdapter, chat: ChatKey): Promise<unknown> {
  return deleteChatStream({ ...means(nats), logger: SILENT }, chat);
}

/** Only the delete command is there, as after a call that died right behind it. */
async function commandDelete(nats: NatsAdapter, chat: ChatKey): Promise<Command> {
  const start = await startCommandOf(nats.inbox, chat);
  const command = controlCommand(start, 'delete', '');
  const newest = await nats.inbox.last(chat);
  const outcome = await nats.inbox.publish(command, newest?.sequence ?? 0);
  assert.ok(outcome.type === 'stored');
  return { ...command, sequence: outcome.storeSequence };
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof ChatError, 'the call was refused');
  return error.reason;
}

async function assertGone(nats: NatsAdapter, chat: ChatKey): Promise<void> {
  assert.equal(
    await reasonOf(getChatStream({ ...nats, list: NO_LIST }, chat, 1)),
    'STREAM_NOT_FOUND',
  );
  assert.equal(await reasonOf(remove(nats, chat)), 'STREAM_NOT_FOUND');
  const { streamId } = chat;
  assert.equal(await reasonOf(initiate(nats, { streamId })), 'STREAM_ID_RETIRED');
  assert.equal(await reasonOf(initiate(nats, { streamId, text: MARKER })), 'STREAM_ID_RETIRED');
}

async function assertErased(nats: NatsAdapter, chat: ChatKey): Promise<void> {
  const { records } = await nats.log.page(chat, 0, 1_000_000);
  assert.deepEqual(
    records.map((record) => [record.mark?.kind, record.data.length]),
    [['tombstone', 0]],
  );
  assert.equal(await nats.inbox.start(chat), undefined, 'the request is erased');
  assert.equal((await nats.inbox.last(chat))?.verb, 'delete', 'the id stays taken');
}

test('law 8: of a deleted chat nothing can be read, and its id stays taken', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter, { text: MARKER });
  const call = await model.nextCall();
  call.sink.text(MARKER);
  call.finish();
  await untilOver(adapter.log, chat);
  await remove(adapter, chat);
  await assertGone(adapter, chat);
  await assertErased(adapter, chat);
});

test('law 8: a delete whose command lands late knows it for its own', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  // In doubt, not there when it is looked for, and there a moment later.
  let land: (() => Promise<unknown>) | undefined;
  let publishes = 0;
  const inbox: NatsAdapter['inbox'] = {
    ...adapter.inbox,
    publish: (command, expectedLast) => {
      const publish = (): ReturnType<typeof adapter.inbox.publish> =>
        adapter.inbox.publish(command, expectedLast);
      if (++publishes > 1) return publish();
      land = publish;
      return Promise.resolve({ type: 'doubt', cause: new Error('no answer') });
    },
    last: async (chat) => {
      const newest = await adapter.inbox.last(chat);
      await land?.();
      land = undefined;
      return newest;
    },
  };
  await remove({ ...adapter, inbox }, chat);
  await assertGone(adapter, chat);
  await assertErased(adapter, chat);
});

test('law 8: a delete of a running chat stops its model call first', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text(MARKER);
  await untilText(adapter.log, chat, MARKER);
  const deleted = remove(adapter, chat);
  await within(HANGS_MS, 'the abort', call.aborted);
  await deleted;
  await assertGone(adapter, chat);
  await assertErased(adapter, chat);
  await until('the run to be over', () => model.running() === 0);
});

test('law 8: a queued chat that is deleted never starts', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const chat = await startChat(adapter, { text: MARKER });
  await remove(adapter, chat);
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  await using _loop = runControlLoop(adapter);
  // The delete is what is left to be handed out; its acknowledgement comes after the loop's look.
  await answers.next('ack');
  assert.equal(model.begun(), 0);
  await assertErased(adapter, chat);
});

test('law 8: a chat whose worker is dead is deleted all the same', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const { writer, lost } = await claimedWriter(adapter.log, chat);
  openBlock(writer);
  say(writer, MARKER);
  await untilStored(adapter.log, chat, 3);
  await remove(adapter, chat);
  await assertErased(adapter, chat);
  say(writer, 'more of it');
  await until('the stale writer to be refused', () => lost() !== undefined);
  await assertErased(adapter, chat);
  await assertGone(adapter, chat);
});

test('law 8: a delete that stops after any step is finished by a control loop', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const stop = new Error('the process dies here');
  // Each of these is what a call does before it dies; the erasures are its last two steps.
  const deaths: readonly ((command: Command) => Promise<void>)[] = [
    async () => undefined,
    (command) =>
      carryOutDelete(
        { ...means(adapter), eraser: { eraseBefore: () => Promise.reject(stop) } },
        command,
        0,
      ),
    (command) =>
      carryOutDelete(
        { ...means(adapter), inbox: { ...adapter.inbox, eraseBefore: () => Promise.reject(stop) } },
        command,
        0,
      ),
    (command) => carryOutDelete(means(adapter), command, 0),
  ];
  const chats: ChatKey[] = [];
  for (const die of deaths) {
    const chat = await startChat(adapter, { text: MARKER });
    const command = await commandDelete(adapter, chat);
    await die(command).catch((error: unknown) => assert.equal(error, stop));
    assert.equal(
      await reasonOf(getChatStream({ ...adapter, list: NO_LIST }, chat, 1)),
      'STREAM_NOT_FOUND',
    );
    chats.push(chat);
  }
  await using _loop = runControlLoop(adapter);
  for (const chat of chats) {
    await until(`${chat.streamId} to be erased`, async () => {
      const start = await adapter.inbox.start(chat);
      return start === undefined && (await adapter.log.page(chat, 0, 1_000)).records.length === 1;
    });
    await assertErased(adapter, chat);
    await assertGone(adapter, chat);
  }
});

test('law 8: two deletes at once are one', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const chat = await startChat(adapter);
  const results = await Promise.allSettled([remove(adapter, chat), remove(other, chat)]);
  assert.ok(results.some((result) => result.status === 'fulfilled'));
  for (const result of results) {
    if (result.status === 'fulfilled') continue;
    assert.ok(result.reason instanceof ChatError && result.reason.reason === 'STREAM_NOT_FOUND');
  }
  await assertErased(adapter, chat);
});

test('law 8: deleting `job` leaves `job.s` and `job1` alone', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  for (const id of ['job', 'job.s', 'job1']) await startChat(adapter, { streamId: id });
  await remove(adapter, chatKey('job'));
  for (const id of ['job.s', 'job1']) {
    const view = await getChatStream({ ...adapter, list: NO_LIST }, chatKey(id), 1);
    assert.equal(view.status, ChatStreamStatus.PENDING);
  }
});

test('law 8: observers of a chat that is deleted are told so, later callers only that there is none', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  await using api = await startTestApi(adapter);
  await using second = await nats.open('second');
  await using otherApi = await startTestApi(second);
  const client = grpcClient(api.url);
  const chat = await startChat(adapter);
  const { streamId } = chat;
  const call = await model.nextCall();
  call.sink.text(MARKER);
  await untilText(adapter.log, chat, MARKER);
  const watches = [new Watch(), new Watch()];
  const ends = [
    refused(watches[0]?.follow(client, streamId) ?? Promise.resolve()),
    refused(watches[1]?.follow(grpcClient(otherApi.url), streamId) ?? Promise.resolve()),
  ];
  await until('both to be attached', () => watches.every((watch) => watch.events.length > 0));
  await client.deleteChatStream({ streamId });
  for (const end of ends) {
    const { code, reason } = await within(HANGS_MS, 'the end of an observer', end);
    assert.deepEqual({ code, reason }, { code: 'NotFound', reason: 'STREAM_DELETED' });
  }
  const later = await refused(new Watch().follow(client, streamId));
  assert.equal(later.reason, 'STREAM_NOT_FOUND');
  const again = await refused(client.deleteChatStream({ streamId }));
  assert.equal(again.reason, 'STREAM_NOT_FOUND');
});

test('law 8: an observer that reads nothing keeps no deleted chat alive for others', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const { onControl } = adapter.control;
  const hub = createObserveHub({
    ...adapter,
    list: NO_LIST,
    onControl,
    logger: SILENT,
    heartbeatMs: 15_000,
  });
  const chat = await startChat(adapter);
  const request = create(ObserveChatStreamRequestSchema, { streamId: chat.streamId });
  const { signal } = new AbortController();
  const call = { tenant: chat.tenant, request, signal };
  const stalled = await hub.observe(call);
  assert.ok(stalled.next() !== undefined, 'it is attached');
  const told = new Promise<void>((resolve) => stalled.onReady(resolve));
  await remove(adapter, chat);
  await within(HANGS_MS, 'the end of the observer', told);
  assert.equal(await reasonOf(hub.observe(call)), 'STREAM_NOT_FOUND');
  assert.equal(stalled.next(), undefined);
  assert.equal(stalled.end?.error?.reason, 'STREAM_DELETED');
  stalled.close();
  hub.close();
});
