// The place in the queue, as callers and observers see it: it falls as chats begin and as others leave,
// every api says the same, and what is taken has none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { initiateRequest, runWorker } from '../support/chats/chat-fixtures.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { until } from '../support/until.ts';
import { Watch } from '../support/chats/watch-chat.ts';

const PRIORITIES = [5, 5, 2, 5, 8, 2];
/** By priority and then by age: the chats' places when the last has come. */
const PLACES = [2, 3, 0, 4, 5, 1];

async function start(client: ChatClient, i: number): Promise<number | undefined> {
  const init = { streamId: `q${i}`, request: { priority: PRIORITIES[i] ?? 5 } };
  const { chatStream } = await client.initiateChatStream(initiateRequest(init));
  return chatStream?.queuePosition;
}

async function positionsAt(client: ChatClient): Promise<(number | undefined)[]> {
  const { chatStreams } = await client.listChatStreams({});
  return PRIORITIES.map((_, i) => {
    return chatStreams.find(({ streamId }) => streamId === `q${i}`)?.queuePosition;
  });
}

test('positions are right at every api and in every answer, and fall as chats begin and leave', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  await using one = await startTestApi(adapter, { heartbeatMs: 100 });
  await using two = await startTestApi(other, { heartbeatMs: 100 });
  const clients = [grpcClient(one.url), grpcClient(two.url)];
  const [client, second] = clients;
  assert.ok(client !== undefined && second !== undefined);
  const model = handModel();
  await using _worker = runWorker(adapter, model, { slots: 1 });
  await client.initiateChatStream(initiateRequest({ streamId: 'running' }));
  const running = await model.nextCall();
  for (const i of PRIORITIES.keys()) await start(client, i);

  for (const each of clients) {
    await until('both lists', async () => (await positionsAt(each)).join() === PLACES.join());
    const got = await Promise.all(
      PRIORITIES.map((_, i) => each.getChatStream({ streamId: `q${i}` })),
    );
    assert.deepEqual(
      got.map(({ chatStream }) => chatStream?.queuePosition),
      PLACES,
    );
    const waited = await each.waitChatStream({
      streamId: 'q3',
      timeout: { seconds: 0n, nanos: 1 },
    });
    assert.equal(waited.chatStream?.queuePosition, 4);
    const taken = await each.getChatStream({ streamId: 'running' });
    assert.equal(taken.chatStream?.queuePosition, undefined);
  }

  const watch = new Watch();
  const gone = new AbortController();
  const watching = watch.follow(second, 'q3', gone.signal);
  await watch.attachedTimes(1);
  assert.equal(watch.attached[0]?.queuePosition, 4);
  const beats = async (position: number): Promise<void> => {
    await until(
      `a heartbeat at ${position}`,
      () => watch.heartbeats.at(-1)?.queuePosition === position,
    );
  };
  await beats(4);
  // A queued chat that is cancelled leaves the queue, and one that is deleted.
  await client.cancelChatStream({ streamId: 'q0' });
  await beats(3);
  await second.deleteChatStream({ streamId: 'q5' });
  await beats(2);
  // The running one ends, and the best of those that wait begins.
  running.sink.text('ok');
  running.finish();
  const next = await model.nextCall();
  await beats(1);
  next.sink.text('ok');
  next.finish();
  const last = await model.nextCall();
  await beats(0);
  last.sink.text('ok');
  last.finish();
  const own = await model.nextCall();
  own.sink.text('mine');
  await watch.saw('started');
  await until('a heartbeat without one', () => {
    const beat = watch.heartbeats.at(-1);
    return beat?.status === ChatStreamStatus.PROCESSING && beat.queuePosition === undefined;
  });
  own.finish();
  await watching;
  const falling = watch.heartbeats.flatMap(({ queuePosition = -1 }) => queuePosition);
  assert.deepEqual(
    falling,
    falling.toSorted((a, b) => b - a),
    'it only falls',
  );
});

test('whoever has just begun is told its place: those before it within one', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  for (let i = 0; i < 5; i++) {
    const { chatStream } = await client.initiateChatStream(initiateRequest());
    const position = chatStream?.queuePosition ?? -1;
    assert.ok(position >= i - 1 && position <= i, `${position} where ${i} are before it`);
    await until('the list', async () => (await client.listChatStreams({})).chatStreams.length > i);
  }
});
