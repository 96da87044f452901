// ListChatStreams: filters, pages, and what another api has just done.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { jetstream } from '@nats-io/jetstream';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { openList } from '../../src/list/sqlite-list.ts';
import {
  cancel,
  initiate,
  runWorker,
  startChat,
  TENANT,
  untilOver,
  NO_LIST,
} from '../support/chats/chat-fixtures.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { handModel, promptModel } from '../support/chats/hand-model.ts';
import { SILENT, startNats } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { until } from '../support/until.ts';

async function idsOf(
  client: ChatClient,
  filter: Parameters<ChatClient['listChatStreams']>[0],
): Promise<string[]> {
  return (await client.listChatStreams(filter)).chatStreams.map((chat) => chat.streamId);
}

async function allPages(client: ChatClient, pageSize: number, between?: () => Promise<unknown>) {
  const ids: string[] = [];
  let pageToken = '';
  do {
    const page = await client.listChatStreams({ pageSize, pageToken });
    assert.ok(page.chatStreams.length <= pageSize);
    ids.push(...page.chatStreams.map((chat) => chat.streamId));
    pageToken = page.nextPageToken;
    await between?.();
  } while (pageToken !== '');
  return ids;
}

test('a list at one api shows what was started at another right before', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  await using firstApi = await startTestApi(one);
  await using secondApi = await startTestApi(two);
  const first = grpcClient(firstApi.url);
  const second = grpcClient(secondApi.url);
  for (let i = 0; i < 20; i++) {
    const { streamId } = await startChat(one);
    const [starter, other] = i % 2 === 0 ? [first, second] : [second, first];
    assert.equal((await idsOf(other, { pageSize: 1 }))[0], streamId);
    await starter.cancelChatStream({ streamId });
    const { chatStreams } = await other.listChatStreams({ pageSize: 1 });
    assert.equal(chatStreams[0]?.status, ChatStreamStatus.CANCELLED);
  }
});

test('pages hold each chat once while others are created', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const ids: string[] = [];
  for (let i = 0; i < 25; i++) ids.push((await startChat(adapter)).streamId);
  const listed = await allPages(client, 4, () => startChat(adapter));
  assert.deepEqual(listed, ids.toReversed());
});

test('filters by status, correlation id, metadata and time, joined by "and"', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const start = (streamId: string, correlationId: string, metadata: Record<string, string>) =>
    startChat(adapter, { streamId, request: { correlationId, metadata } });
  await start('a', 'red', { team: 'x', "it's": '"quoted"' });
  await start('b', 'red', { team: 'y' });
  const between = Date.now() + 1;
  await new Promise((resolve) => setTimeout(resolve, 5));
  await start('c', 'blue', { team: 'x' });
  await cancel(adapter, { tenant: TENANT, streamId: 'b' });
  assert.deepEqual(await idsOf(client, {}), ['c', 'b', 'a']);
  assert.deepEqual(await idsOf(client, { correlationId: 'red' }), ['b', 'a']);
  assert.deepEqual(await idsOf(client, { metadata: { team: 'x' } }), ['c', 'a']);
  assert.deepEqual(await idsOf(client, { metadata: { team: 'x', "it's": '"quoted"' } }), ['a']);
  assert.deepEqual(await idsOf(client, { statuses: [ChatStreamStatus.CANCELLED] }), ['b']);
  assert.deepEqual(await idsOf(client, { createdAfter: timestampFromMs(between) }), ['c']);
  assert.deepEqual(await idsOf(client, { createdBefore: timestampFromMs(between) }), ['b', 'a']);
  assert.deepEqual(await idsOf(client, { correlationId: 'red', metadata: { team: 'x' } }), ['a']);
});

test('a listed chat is what GetChatStream says of it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  await using _worker = runWorker(adapter, promptModel(['one ', 'two ']));
  const client = grpcClient(api.url);
  const chat = await startChat(adapter, {
    request: { correlationId: 'trace', metadata: { k: 'v' }, priority: 3 },
  });
  await untilOver(adapter.log, chat);
  const { chatStreams } = await client.listChatStreams({});
  assert.deepEqual(chatStreams, [(await client.getChatStream(chat)).chatStream]);
});

test('a deleted chat is listed no more, whatever comes late', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const kept = await startChat(adapter);
  const { streamId } = await startChat(adapter, { request: { correlationId: 'gone' } });
  await client.deleteChatStream({ streamId });
  assert.deepEqual(await idsOf(client, {}), [kept.streamId]);
  assert.deepEqual(await idsOf(client, { correlationId: 'gone' }), []);
});

test('a list that is removed and built again gives the same answer', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  for (let i = 0; i < 10; i++) await startChat(adapter, { request: { metadata: { i: `${i}` } } });
  const file = join(nats.dataDir, 'list', 'list.sqlite');
  const everything = async () => {
    await using list = await openList(file, adapter.changes, SILENT);
    await list.caughtUp();
    const filter = { tenant: TENANT, statuses: [], correlationId: '', metadata: {} };
    const times = { createdAfterMs: undefined, createdBeforeMs: undefined };
    return list.page({ ...filter, ...times }, undefined, 100);
  };
  const before = await everything();
  assert.equal(before.length, 10);
  assert.deepEqual(await everything(), before, 'opened again');
  rmSync(file);
  assert.deepEqual(await everything(), before, 'built again');
});

test('a message of somebody else on our subjects harms no list', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const foreign = jetstream(await nats.bare());
  await foreign.publish('cmd.default.intruder.start.5', 'not a request');
  await foreign.publish('log.0.default.intruder.s', 'not a record');
  const { streamId } = await startChat(adapter);
  const client = grpcClient(api.url);
  await until('the chat to be listed', async () => (await idsOf(client, {})).includes(streamId));
});

test('a page token is refused where it does not belong, by its path', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  for (let i = 0; i < 3; i++) await startChat(adapter);
  const { nextPageToken } = await client.listChatStreams({ pageSize: 1 });
  for (const [pageToken, correlationId] of [
    ['nonsense', ''],
    [nextPageToken, 'other'],
  ] as const) {
    const { code, fields } = await refused(client.listChatStreams({ pageToken, correlationId }));
    assert.deepEqual({ code, fields }, { code: 'InvalidArgument', fields: ['page_token'] });
  }
  const tooMany = await refused(client.listChatStreams({ pageSize: 501 }));
  assert.deepEqual(tooMany.fields, ['page_size']);
});

test('a tenant that has as many queued chats as it may is refused the next', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const full = { ...adapter, list: { ...NO_LIST, queued: () => 10_000 } };
  await startChat(adapter, { streamId: 'before' });
  const { created } = await initiate(full, { streamId: 'before' });
  assert.equal(created, false, 'a repeat of what was accepted is answered all the same');
  await assert.rejects(initiate(full, { streamId: 'one-more' }), { reason: 'QUEUE_FULL' });
  assert.equal(await adapter.inbox.last({ tenant: TENANT, streamId: 'one-more' }), undefined);
});
