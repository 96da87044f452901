// Law 6 for those who come back: again and again, long after the end, at a server that never saw the
// chat. They miss nothing, see nothing twice, and nobody keeps them once the chat is over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { AttachMode } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { startedAt } from '../support/chats/chat-fixtures.ts';
import { chatClient, grpcClient, PROTOCOLS } from '../support/clients.ts';
import { startNats } from '../support/processes/nats.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { until } from '../support/until.ts';
import { bytesOf, Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { writeChat } from '../support/chats/written-chat.ts';

const HOUR_MS = 3_600_000;
const BEHIND_EVENTS = 4;

test('law 6: resume is not refused minutes after the end, nor hours, at a server that never saw the chat', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const now = Date.now();
  const chat = await startedAt(adapter, now - 23 * HOUR_MS, now + HOUR_MS);
  const written = await writeChat(adapter, {}, chat);
  await written.begin();
  await written.say('a', 'b', 'c');
  await written.end();
  await using fresh = await nats.open('fresh');
  await using api = await startTestApi(fresh);
  const client = grpcClient(api.url);
  const whole = await watchToEnd(client, chat.streamId);
  assert.equal(whole.end().status, ChatStreamStatus.COMPLETED);
  for (let cursor = 0; cursor <= whole.cursor; cursor++) {
    const rest = new Watch(cursor);
    await rest.follow(client, chat.streamId);
    assert.equal(rest.bytes(), bytesOf(whole.events.slice(cursor)), `after ${cursor}`);
  }
});

test('law 6: no events lost at re-join, no text doubled after re-attach, no cursor dropped on reconnect', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  await using firstApi = await startTestApi(one);
  await using secondApi = await startTestApi(two);
  using clients = new DisposableStack();
  const ways = PROTOCOLS.flatMap((way) =>
    [firstApi, secondApi].map(({ url }) => clients.use(chatClient(way, url))),
  );
  const written = await writeChat(one);
  const [client] = ways;
  assert.ok(client !== undefined);
  const stays = new Watch();
  const staysEnds = stays.follow(client, written.streamId);
  // Each leaves after every few events and comes again elsewhere, by another protocol.
  const watches = ways.map(() => new Watch());
  const returning = watches.map(async (watch, i) => {
    for (let round = i; ; round++) {
      const at = ways[round % ways.length];
      assert.ok(at !== undefined);
      const leaving = new AbortController();
      let over = false;
      const ends = watch.follow(at, written.streamId, leaving.signal).then(
        () => (over = true),
        (error: unknown) => {
          if (!leaving.signal.aborted) throw error;
        },
      );
      const leaveAt = watch.cursor + 1 + ((round * 7) % 11);
      await Promise.race([ends, until('some events', () => over || watch.cursor >= leaveAt)]);
      leaving.abort();
      await ends;
      if (over) return watch;
    }
  });
  await stays.attachedTimes(1);
  await written.begin();
  let said = '';
  for (let i = 0; i < 150; i++) {
    // Nobody is so far behind that a few comings would show it all.
    const behind = written.sequence() - BEHIND_EVENTS;
    await Promise.all(watches.map((watch) => watch.reached(behind)));
    const words = [`${i} `, `${i}’ `].slice(0, 1 + (i % 2));
    said += words.join('');
    await written.say(...words);
  }
  await written.end();
  await staysEnds;
  stays.end();
  assert.equal(stays.text(), said);
  for (const watch of await Promise.all(returning)) {
    assert.equal(watch.bytes(), stays.bytes());
    assert.equal(watch.text(), said, 'once');
    assert.ok(watch.attached.length > 10, `it left and came again ${watch.attached.length} times`);
    const later = watch.attached.slice(1);
    assert.ok(later.some(({ mode }) => mode === AttachMode.SUFFIX));
  }
});

test('law 6: no heartbeats for ever on a finished run, whenever its observer came', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const heartbeatMs = 100;
  await using api = await startTestApi(adapter, { heartbeatMs });
  const client = grpcClient(api.url);
  const written = await writeChat(adapter);
  const early = new Watch();
  const earlyEnds = early.follow(client, written.streamId);
  await early.beaten(2);
  await written.begin();
  const caughtUp = new Watch(2);
  const caughtUpEnds = caughtUp.follow(client, written.streamId);
  await caughtUp.beaten(2);
  await written.end();
  // An end that did not come would be waited for in vain, heartbeat after heartbeat.
  await Promise.all([earlyEnds, caughtUpEnds]);
  early.end();
  for (const cursor of [0, 1, 3]) {
    const late = new Watch(cursor);
    await late.follow(client, written.streamId);
    assert.equal(late.attached[0]?.status, ChatStreamStatus.COMPLETED);
  }
});
