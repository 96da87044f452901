// Law 6: an observer listens first, then reads the past, then splices by sequence. Whatever the live
// edge loses is filled by reading, and every observer sees the same events, whenever it came.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { toBinary } from '@bufbuild/protobuf';
import { ChatStreamStatus, ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  AttachMode,
  ObserveChatStreamResponseSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { LiveFeed, LogRecord } from '../../src/chat/ports/event-log.ts';
import { MAX_FRAME_BYTES } from '../../src/chat/limits.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { logUnavailable } from '../../src/nats/ask-leader.ts';
import { runWorker, startChat, untilOver } from '../support/chats/chat-fixtures.ts';
import { chatClient, grpcClient, WAYS } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { onceWithin } from '../support/quick.ts';
import { refused } from '../support/refusal.ts';
import { stalledObserver } from '../support/chats/stalled-observer.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { HANGS_MS, within } from '../support/until.ts';
import { bytesOf, Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { writeChat } from '../support/chats/written-chat.ts';

const { PENDING, PROCESSING, COMPLETED } = ChatStreamStatus;
/** A frame's own fields beside its events: times, tags, lengths. */
const FRAME_OVERHEAD_BYTES = 64;
/** What a frame may take from the server to the test. */
const WAY_MS = 40;
/** Less than the first silence, after which the log is read anyway. */
const GAP_MS = 900;
const MANY_RECORDS = 200;

/** The same live edge, but for the records that this says are lost. */
function losing(nats: NatsAdapter, isLost: (record: LogRecord) => boolean): NatsAdapter {
  const live: LiveFeed = {
    ...nats.live,
    subscribe: (chat, onRecord) =>
      nats.live.subscribe(chat, (record) => {
        if (!isLost(record)) onRecord(record);
      }),
  };
  return { ...nats, live };
}

test('law 6: whoever comes, before the first event, in the middle, at the end or after it, from any cursor, sees the same', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const written = await writeChat(adapter);

  const early = new Watch();
  const earlyEnds = early.follow(client, written.streamId);
  await early.attachedTimes(1);
  assert.equal(early.attached[0]?.status, PENDING);
  assert.equal(early.attached[0].latestSequence, 0);

  await written.begin();
  await written.say('Gr', 'ü', 'ße, ');
  await early.reached(5);
  const middle = new Watch();
  const middleEnds = middle.follow(client, written.streamId);
  await middle.attachedTimes(1);
  assert.equal(middle.attached[0]?.mode, AttachMode.FULL);
  assert.equal(middle.attached[0].latestSequence, 5);
  assert.equal(middle.attached[0].earliestSequence, 1);
  assert.equal(middle.attached[0].attempt, 1);

  await written.say('世', '界');
  await written.say('!');
  const late = new Watch();
  const lateEnds = late.follow(client, written.streamId);
  await late.reached(8);
  await written.end();
  await Promise.all([earlyEnds, middleEnds, lateEnds]);
  const after = await watchToEnd(client, written.streamId);

  assert.equal(early.end().status, COMPLETED);
  assert.equal(early.text(), 'Grüße, 世界!');
  for (const watch of [middle, late, after]) assert.equal(watch.bytes(), early.bytes());

  // Cursors 3 and 4 lie inside the record of three, 6 inside the record of two.
  for (let cursor = 0; cursor <= early.cursor; cursor++) {
    const rest = new Watch(cursor);
    await rest.follow(client, written.streamId);
    assert.equal(rest.bytes(), bytesOf(early.events.slice(cursor)), `after ${cursor}`);
    const mode = cursor === 0 ? AttachMode.FULL : AttachMode.SUFFIX;
    assert.equal(rest.attached[0]?.mode, mode);
    assert.equal(rest.attached[0].status, COMPLETED);
  }
});

test('law 6: a hundred observers at once, by every protocol, see the same bytes', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const written = await writeChat(adapter);
  using clients = new DisposableStack();
  const perWay = Math.ceil(100 / WAYS.length);
  const watches: Watch[] = [];
  const ends: Promise<void>[] = [];
  for (const way of WAYS) {
    const client = clients.use(chatClient(way, api.url));
    for (let i = 0; i < perWay; i++) {
      const watch = new Watch();
      watches.push(watch);
      ends.push(watch.follow(client, written.streamId));
    }
  }
  await Promise.all(watches.map((watch) => watch.attachedTimes(1)));
  await written.begin();
  for (let i = 0; i < 50; i++) await written.say(`${i} `, `${i}’ `);
  await written.end();
  await Promise.all(ends);
  const [first] = watches;
  assert.ok(first !== undefined);
  first.end();
  for (const watch of watches) assert.equal(watch.bytes(), first.bytes());
});

test('law 6: a cursor beyond the end is refused with the latest sequence, while it runs and after', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const written = await writeChat(adapter);
  const beyond = async (afterSequence: number): Promise<void> => {
    const refusal = await refused(new Watch(afterSequence).follow(client, written.streamId));
    assert.equal(refusal.code, 'OutOfRange');
    assert.equal(refusal.reason, 'CURSOR_BEYOND_END');
    assert.equal(refusal.metadata['latest_sequence'], String(written.sequence()));
  };
  await beyond(1);
  await written.begin();
  await beyond(3);
  await written.end();
  await beyond(4);
  await beyond(2 ** 31 - 1);

  const atTheEnd = new Watch(3);
  await atTheEnd.follow(client, written.streamId);
  assert.equal(atTheEnd.attached.length, 1);
  assert.deepEqual(atTheEnd.events, []);
});

test('law 6: a cursor that another server’s observer is ahead with is not called beyond the end', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  // This server hears nothing at all: what it knows, it has read.
  await using api = await startTestApi(losing(adapter, () => true));
  const client = grpcClient(api.url);
  const written = await writeChat(adapter);
  await written.begin();
  const leaving = new AbortController();
  const first = new Watch();
  const firstEnds = first.follow(client, written.streamId, leaving.signal);
  await first.reached(2);
  await written.say('a', 'b');
  const ahead = new Watch(4);
  const aheadEnds = ahead.follow(client, written.streamId, leaving.signal);
  await ahead.attachedTimes(1);
  leaving.abort();
  await Promise.allSettled([firstEnds, aheadEnds]);
});

test('law 6: a live message that is lost before another is filled when the gap is heard', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  let deltas = 0;
  // The first, the third, …
  const lossy = losing(adapter, ({ mark }) => mark === undefined && ++deltas % 2 === 1);
  await using api = await startTestApi(lossy);
  const written = await writeChat(adapter);
  const watch = new Watch();
  const ends = watch.follow(grpcClient(api.url), written.streamId);
  await watch.attachedTimes(1);
  await written.begin();
  await watch.reached(2);
  await onceWithin(GAP_MS, async () => {
    await written.say('lost');
    await written.say('heard');
    const saidMs = performance.now();
    await watch.reached(written.sequence());
    return performance.now() - saidMs;
  });
  await written.end();
  await ends;
  watch.end();
});

test('law 6: the last live message before a silence is filled after a second, also the terminal one', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const lossy = losing(adapter, (record) => record.mark?.kind === 'end');
  await using api = await startTestApi(lossy);
  const written = await writeChat(adapter);
  const client = grpcClient(api.url);
  const watch = new Watch();
  const ends = watch.follow(client, written.streamId);
  await watch.attachedTimes(1);
  await written.begin();
  await written.end();
  await ends;
  watch.end();
});

test('law 6: a gap that cannot be filled is tried again each second, not with each record that comes behind it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  let pages = 0;
  let readable = true;
  const log: NatsAdapter['log'] = {
    ...adapter.log,
    page: (...asked) => {
      pages++;
      return readable ? adapter.log.page(...asked) : Promise.reject(logUnavailable('not now'));
    },
  };
  let lost = false;
  const lossy = losing({ ...adapter, log }, () => {
    const lose = !readable && !lost;
    lost ||= lose;
    return lose;
  });
  await using api = await startTestApi(lossy);
  const written = await writeChat(adapter);
  const watch = new Watch();
  const ends = watch.follow(grpcClient(api.url), written.streamId);
  ends.catch(() => undefined);
  await watch.attachedTimes(1);
  await written.begin();
  await watch.reached(2);
  readable = false;
  pages = 0;
  const beganMs = performance.now();
  for (let i = 0; i < MANY_RECORDS; i++) await written.say(`${i} `);
  const seconds = Math.ceil((performance.now() - beganMs) / 1_000);
  assert.ok(lost);
  // By what comes and by silence.
  assert.ok(pages <= 2 * seconds, `${pages} times in ${seconds} s`);
  readable = true;
  await written.end();
  await ends;
  watch.end();
});

test('law 6: observers stay attached through an absence of NATS, hear heartbeats, and miss nothing', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using writer = await nats.open('writer');
  await using adapter = await nats.open('api', proxy.url);
  await using api = await startTestApi(adapter, { heartbeatMs: 200 });
  const client = grpcClient(api.url);
  const written = await writeChat(writer);
  await written.begin();
  const watches = [new Watch(), new Watch()];
  const ends = watches.map((watch) => watch.follow(client, written.streamId));
  await Promise.all(watches.map((watch) => watch.reached(2)));

  proxy.stall();
  proxy.cut();
  await written.say('while ', 'it ', 'was ', 'away ');
  const before = watches.map((watch) => watch.heartbeats.length);
  await Promise.all(watches.map((watch, i) => watch.beaten((before[i] ?? 0) + 2)));
  assert.ok(watches.every((watch) => watch.cursor === 2));
  proxy.pass();
  proxy.cut();

  await Promise.all(watches.map((watch) => watch.reached(6)));
  await written.say('and after');
  await written.end();
  await Promise.all(ends);
  for (const watch of watches) {
    watch.end();
    assert.equal(watch.attached.length, 1);
    assert.equal(watch.text(), 'while it was away and after');
  }
});

test('law 6: a nats-server that dies and comes back leaves observers attached', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const written = await writeChat(adapter);
  await written.begin();
  const watch = new Watch();
  const ends = watch.follow(grpcClient(api.url), written.streamId);
  await watch.reached(2);
  const back = Promise.withResolvers<void>();
  const stop = adapter.onConnectedChange((connected) => connected && back.resolve());
  process.kill(nats.server.pid() ?? 0, 'SIGKILL');
  await within(HANGS_MS, 'the reconnect', back.promise);
  stop();
  await written.say('after');
  await written.end();
  await ends;
  watch.end();
  assert.equal(watch.text(), 'after');
});

test('law 6: calls while NATS is away answer UNAVAILABLE and when to come again', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using writer = await nats.open('writer');
  await using adapter = await nats.open('api', proxy.url);
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const { streamId } = await writeChat(writer);
  proxy.stall();
  proxy.cut();
  const refusals = await Promise.all([
    refused(new Watch().follow(client, streamId)),
    refused(client.getChatStream({ streamId })),
    refused(client.waitChatStream({ streamId })),
    refused(client.cancelChatStream({ streamId })),
  ]);
  for (const refusal of refusals) {
    assert.equal(refusal.code, 'Unavailable', refusal.message);
    assert.equal(refusal.reason, 'LOG_UNAVAILABLE');
    assert.ok((refusal.retryMs ?? 0) > 0);
  }
  proxy.pass();
  proxy.cut();
});

test('law 6: 5,000 events are replayed in a few frames of at most 64 KiB, from any place', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const written = await writeChat(adapter);
  await written.begin();
  for (let i = 0; i < 1_000; i++) {
    await written.say(...Array.from({ length: 5 }, (_, j) => `${i * 5 + j} `.padEnd(100, '.')));
  }
  await written.end();
  assert.equal(written.sequence(), 5_003);

  let frames = 0;
  for await (const message of client.observeChatStream({ streamId: written.streamId })) {
    frames++;
    const bytes = toBinary(ObserveChatStreamResponseSchema, message).length;
    assert.ok(bytes <= MAX_FRAME_BYTES + FRAME_OVERHEAD_BYTES, `a frame of ${bytes} bytes`);
  }
  assert.ok(frames < 50, `${frames} frames`);
  const whole = await watchToEnd(client, written.streamId);
  for (const cursor of [1, 2_500, 4_999, 5_002]) {
    const rest = new Watch(cursor);
    await rest.follow(client, written.streamId);
    assert.equal(rest.bytes(), bytesOf(whole.events.slice(cursor)));
  }
});

test('law 6: heartbeats come in time while a chat is queued and while its model is silent', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const heartbeatMs = 400;
  await using api = await startTestApi(adapter, { heartbeatMs });
  const written = await writeChat(adapter);
  const client = grpcClient(api.url);
  await onceWithin(heartbeatMs + WAY_MS, async () => {
    const leaving = new AbortController();
    const first = new Watch();
    const left = refused(first.follow(client, written.streamId, leaving.signal));
    await first.attachedTimes(1);
    const attachedMs = performance.now();
    await first.beaten(1);
    const waitedMs = performance.now() - attachedMs;
    leaving.abort();
    await left;
    return waitedMs;
  });
  const watch = new Watch();
  const ends = watch.follow(client, written.streamId);
  await watch.beaten(1);
  assert.equal(watch.heartbeats[0]?.status, PENDING);
  assert.equal(watch.heartbeats[0].latestSequence, 0);
  await written.begin();
  await watch.reached(2);
  const beaten = watch.heartbeats.length;
  await watch.beaten(beaten + 2);
  assert.equal(watch.heartbeats.at(-1)?.status, PROCESSING);
  assert.equal(watch.heartbeats.at(-1)?.latestSequence, 2);
  await written.end();
  await ends;
});

test('law 6: leaving is not cancelling', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using api = await startTestApi(adapter, { model });
  await using worker = runWorker(adapter, model);
  const chat = await startChat(adapter);
  const call = await model.nextCall();
  call.sink.text('one ');
  const leaving = new AbortController();
  const watch = new Watch();
  const ends = watch.follow(grpcClient(api.url), chat.streamId, leaving.signal);
  await watch.reached(3);
  leaving.abort();
  assert.equal((await refused(ends)).code, 'Canceled');
  assert.equal(call.signal.aborted, false);
  call.sink.text('two');
  call.finish();
  await untilOver(adapter.log, chat);
  const all = await watchToEnd(grpcClient(api.url), chat.streamId);
  assert.equal(all.end().status, COMPLETED);
  assert.equal(all.text(), 'one two');
  assert.equal(worker.running(), 0);
});

test('law 6: an observer that reads nothing slows nobody, and gets everything when it reads again', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const written = await writeChat(adapter);
  await written.begin();
  using stalled = await stalledObserver(api.url, written.streamId);
  const quick = new Watch();
  const ends = quick.follow(grpcClient(api.url), written.streamId);
  await quick.attachedTimes(1);
  // 4 MB: far more than the stalled one's window, its socket and the ring together. Each is seen by the one that
  // reads while the other still reads nothing.
  for (let i = 0; i < 1_000; i++) {
    await written.say('x'.repeat(4_000));
    await quick.reached(3 + i);
  }
  await written.end();
  await ends;
  quick.end();
  const messages = await stalled.resume();
  const events = messages.flatMap(({ frame }) =>
    frame.case === 'batch' ? frame.value.events : [],
  );
  assert.equal(bytesOf(events), quick.bytes());
});

test('law 6: WaitChatStream answers at the end, or at its timeout with the true status', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using api = await startTestApi(adapter);
  const client = grpcClient(api.url);
  const written = await writeChat(adapter);
  const { streamId } = written;
  const waitedMs = async (ms: number): Promise<readonly [ChatStreamStatus | undefined, number]> => {
    const beganMs = performance.now();
    const { chatStream } = await client.waitChatStream({ streamId, timeout: durationFromMs(ms) });
    return [chatStream?.status, performance.now() - beganMs];
  };
  assert.equal((await waitedMs(0))[0], PENDING);
  const [status, took] = await waitedMs(300);
  assert.equal(status, PENDING);
  // The chat has not moved: nothing but its timeout ends the call.
  assert.ok(took >= 299, `${took} ms`);

  await written.begin();
  assert.equal((await waitedMs(10))[0], PROCESSING);
  const waiting = client.waitChatStream({ streamId, view: ChatStreamView.FULL });
  await written.say('done');
  await written.end();
  const { chatStream } = await waiting;
  assert.equal(chatStream?.status, COMPLETED);
  assert.deepEqual(
    chatStream.output.map(({ block }) => block.value),
    ['done'],
  );
  assert.equal((await waitedMs(60_000))[0], COMPLETED);

  const unknown = await refused(client.waitChatStream({ streamId: 'nobody' }));
  assert.equal(unknown.code, 'NotFound');
  assert.equal(unknown.reason, 'STREAM_NOT_FOUND');
});
