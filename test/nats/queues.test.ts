// The queues of commands and the bell: what a pull brings, what comes again, who is asked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBinary } from '@bufbuild/protobuf';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Command, Delivery } from '../../src/chat/ports/commands.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { MAX_METADATA_BYTES } from '../../src/chat/limits.ts';
import {
  chatKey,
  initiateRequest,
  runWorker,
  startChat,
  startCommandOf,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { ownerSubject } from '../../src/nats/subjects.ts';
import { continueCommand } from '../../src/chat/decisions/next-command.ts';
import { promptModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { onceWithin } from '../support/quick.ts';
import { until } from '../support/until.ts';

const idOf = ({ command }: Delivery): string => command.chat.streamId;

function cancelOf(start: Command): Omit<Command, 'sequence'> {
  const meta = { ...start.meta, appendId: 'cancel', requestHash: '', reason: 'why' };
  return { ...start, verb: 'cancel', meta, data: new Uint8Array(0) };
}

test('a pull brings what is there, no more than asked for, oldest first, of its priority', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  for (const streamId of ['a', 'b', 'c']) await startChat(adapter, { streamId });
  await startChat(adapter, { streamId: 'urgent', request: { priority: 0 } });
  const got: Delivery[] = [];
  const receiving = adapter.work.receiveWork((delivery) => got.push(delivery));
  assert.equal(await receiving.pull(5, 2, false), 2);
  assert.deepEqual(got.map(idOf), ['a', 'b']);
  assert.equal(await receiving.pull(5, 10, false), 1);
  await onceWithin(500, async () => {
    const began = performance.now();
    assert.equal(await receiving.pull(5, 10, false), 0, 'nothing more, and that is said at once');
    return performance.now() - began;
  });
  assert.equal(await receiving.pull(0, 10, false), 1);
  assert.deepEqual(got.map(idOf), ['a', 'b', 'c', 'urgent']);
  const { command, deliveries } = got[3] ?? assert.fail();
  assert.deepEqual(command, await startCommandOf(adapter.inbox, chatKey('urgent')));
  assert.equal(deliveries, 1);
  receiving.stop();
});

test('a command that was announced is found by a pull that lingers', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const rung: number[] = [];
  const stop = adapter.work.onWork((priority) => rung.push(priority));
  // By the same connection, behind the bell's own: NATS has that one too.
  const other = adapter.live.subscribe(chatKey('other'), () => undefined);
  await other.listening;
  const receiving = adapter.work.receiveWork(() => undefined);
  for (let i = 0; i < 50; i++) {
    const announced = until('the bell', () => rung.length > i);
    await startChat(adapter);
    await announced;
    assert.equal(await receiving.pull(5, 1, true), 1);
  }
  assert.deepEqual(new Set(rung), new Set([5]));
  other.stop();
  stop();
  receiving.stop();
});

test('what is acknowledged does not come again; what is handed back does, after its delay', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  for (const streamId of ['acked', 'now', 'later']) await startChat(adapter, { streamId });
  const got: Delivery[] = [];
  const cameMs = new Map<string, number>();
  const receiving = adapter.work.receiveWork((delivery) => {
    got.push(delivery);
    cameMs.set(idOf(delivery), performance.now());
  });
  assert.equal(await receiving.pull(5, 3, false), 3);
  const handedBack = performance.now();
  got[0]?.ack();
  got[1]?.nak(0);
  got[2]?.nak(700);
  await until('the two others', async () => {
    await receiving.pull(5, 3, false);
    return got.length >= 5;
  });
  const again = got.slice(3);
  assert.deepEqual(again.map(idOf).toSorted(), ['later', 'now']);
  assert.ok(again.every(({ deliveries }) => deliveries === 2));
  assert.ok((cameMs.get('later') ?? 0) - handedBack >= 690);
  receiving.stop();
});

test('an answer for a superseded delivery counts for the new one: the fact behind law 7', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await startChat(adapter);
  const got: Delivery[] = [];
  const receiving = adapter.work.receiveWork((delivery) => got.push(delivery));
  await receiving.pull(5, 1, false);
  got[0]?.nak(0);
  await until('the second delivery', async () => (await receiving.pull(5, 1, false)) === 1);
  got[0]?.ack();
  const nc = await nats.bare();
  await until('the acknowledgement to be taken', async () => {
    const msg = await nc.request('$JS.API.CONSUMER.INFO.COMMANDS.work-5');
    const info = msg.json<{ num_ack_pending: number; num_pending: number }>();
    return info.num_ack_pending === 0 && info.num_pending === 0;
  });
  receiving.stop();
});

test('control commands have a queue and a bell of their own', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter, { streamId: 'job.1', request: { correlationId: 'c' } });
  const start = await startCommandOf(adapter.inbox, chat);
  const heard: Omit<Command, 'data'>[] = [];
  const stop = adapter.control.onControl((command) => heard.push(command));
  const got: Delivery[] = [];
  const receiving = adapter.control.receiveControl((delivery) => got.push(delivery));
  assert.equal(await receiving.pull(10, false), 0, 'a start is no control command');
  const cancel = cancelOf(start);
  assert.equal((await adapter.inbox.publish(cancel, start.sequence)).type, 'stored');
  await until('the bell', () => heard.length === 1);
  assert.equal(await receiving.pull(10, true), 1);
  const { command } = got[0] ?? assert.fail();
  const { data: _, ...announced } = command;
  assert.deepEqual(heard[0], announced);
  assert.equal(command.meta.reason, 'why');
  adapter.control.ring(command);
  await until('the bell once more', () => heard.length === 2);
  assert.deepEqual(heard[1], announced, 'rung by hand it says the same');
  const work = adapter.work.receiveWork(() => undefined);
  assert.equal(await work.pull(5, 10, false), 1, 'and a cancel is no work');
  stop();
  work.stop();
  receiving.stop();
});

test('the inbox is fenced: a second start, a second cancel on the same view are refused', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const start = await startCommandOf(adapter.inbox, chat);
  assert.deepEqual(await adapter.inbox.publish(start, 0), { type: 'refused' });
  const outcomes = await Promise.all([
    adapter.inbox.publish(cancelOf(start), start.sequence),
    adapter.inbox.publish(cancelOf(start), start.sequence),
  ]);
  assert.deepEqual(outcomes.map(({ type }) => type).toSorted(), ['refused', 'stored']);
  assert.equal((await adapter.inbox.last(chat))?.verb, 'cancel');
  assert.deepEqual(await adapter.inbox.start(chat), start, 'the start is found behind it');
});

test('the owner is asked: yes, no, and nobody there', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const chat = chatKey('a.b');
  const stop = one.work.answerAsOwner('me', (asked, command) => {
    return asked.streamId === 'a.b' && asked.tenant === chat.tenant && command === 7;
  });
  await until('the answer', () => two.work.askOwner('me', chat, 7));
  assert.equal(await two.work.askOwner('me', chat, 8), false);
  assert.equal(await two.work.askOwner('me', chatKey('a'), 7), false);
  assert.equal(await two.work.askOwner('nobody', chat, 7), false);
  stop();
});

test('an owner that answers late is asked again before it counts as dead', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const nc = await nats.bare();
  const asked: unknown[] = [];
  nc.subscribe(ownerSubject('slow'), {
    callback: (error, msg) => {
      assert.equal(error, null);
      asked.push(msg.json());
      // The first question is not heard in time.
      if (asked.length > 1) msg.respond('yes');
    },
  });
  await nc.flush();
  const chat = chatKey('a.b');
  assert.equal(await adapter.work.askOwner('slow', chat, 7), true);
  assert.deepEqual(asked[1], asked[0]);
});

/** Each character is six bytes in JSON, and each pair as long as it may be. */
function worstMetadata(pairs: number): Record<string, string> {
  const metadata: Record<string, string> = {};
  for (let i = 0; i < pairs; i++) metadata[`${i}`.padEnd(64, '\u{1}')] = '\u{1}'.repeat(470);
  return metadata;
}

test('metadata that NATS has no room for is refused before anything is made', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const init = { streamId: 'heavy', request: { metadata: worstMetadata(32) } };
  await assert.rejects(
    startChat(adapter, init),
    (error) =>
      error instanceof ChatError &&
      error.reason === 'INVALID_REQUEST' &&
      error.violations.some(({ path }) => path === 'request.metadata'),
  );
  assert.equal(await adapter.inbox.last(chatKey('heavy')), undefined);
});

test('the largest request that is taken fits NATS, with the worst of metadata', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const request = { metadata: worstMetadata(10), correlationId: '\u{1}'.repeat(256) };
  const metadataBytes = Buffer.byteLength(JSON.stringify(request.metadata));
  assert.ok(metadataBytes > MAX_METADATA_BYTES * 0.9 && metadataBytes <= MAX_METADATA_BYTES);
  const schema = InitiateChatStreamRequestSchema;
  const bare = toBinary(schema, initiateRequest({ text: '', request })).length;
  // Tags and lengths of the text that is not there yet take a few bytes.
  const text = 'x'.repeat(adapter.maxRequestBytes - bare - 16);
  const chat = await startChat(adapter, { text, request });
  const start = await startCommandOf(adapter.inbox, chat);
  assert.ok(start.data.length > adapter.maxRequestBytes - 32);
  await using _worker = runWorker(adapter, promptModel(['ok']));
  await untilOver(adapter.log, chat);
});

test('a message that is no command of ours harms no worker and no chat', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const nc = await nats.bare();
  await nc.request('cmd.a.b.start.5', 'not a command');
  await nc.request('cmd.a.b.cancel.5', 'not a command');
  await nc.request('cmd.short.start.5', 'not a command');
  await using _worker = runWorker(adapter, promptModel(['ok']));
  const chat = await startChat(adapter);
  await untilOver(adapter.log, chat);
});

test('a peer that takes connections and says nothing is given up, and NATS is found again', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using adapter = await nats.open('away', proxy.url);
  proxy.stall('up');
  await until('the silence to be noticed', () => !adapter.connected());
  // The next connection is taken, and then hangs as well.
  await until('another connection', () => proxy.connections() > 0);
  proxy.cut();
  proxy.pass('up');
  await until('NATS again', () => adapter.connected());
  assert.equal(await adapter.log.tail(chatKey()), undefined);
});

test('who asks after the connection was closed is told so at once', async () => {
  await using nats = await startNats();
  const adapter = await nats.open();
  await adapter[Symbol.asyncDispose]();
  await assert.rejects(
    adapter.log.tail(chatKey()),
    (error) => error instanceof ChatError && error.reason === 'LOG_UNAVAILABLE',
  );
});

test('a worker reads the start of the chat that a continue is about, and none that is not there', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startChat(adapter);
  const start = await startCommandOf(adapter.inbox, chat);
  const next = continueCommand(start, 7);
  assert.equal((await adapter.inbox.publish(next, start.sequence)).type, 'stored');
  assert.deepEqual(await adapter.work.startOf(chat), start);
  assert.equal(await adapter.work.startOf(chatKey()), undefined);
  const got: Delivery[] = [];
  const receiving = adapter.work.receiveWork((delivery) => got.push(delivery));
  assert.equal(await receiving.pull(start.priority, 10, false), 2, 'work of the same priority');
  assert.deepEqual(
    got.map(({ command }) => [command.verb, command.meta.results]),
    [
      ['start', 0],
      ['continue', 7],
    ],
  );
  receiving.stop();
});
