// Law 6, with a NATS that is there and answers late: its connections stand, and every byte is held for
// longer than a call waits.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_UNSTORED_CHARS, NATS_REQUEST_MS, PUBLISH_TRIES } from '../../src/chat/limits.ts';
import {
  assertTrueLog,
  chatKey,
  initiateRequest,
  runWorker,
  startChat,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { refused } from '../support/refusal.ts';
import { sayUntilPressure } from '../support/chats/say.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { HANGS_MS, until, within } from '../support/until.ts';
import { Watch } from '../support/chats/watch-chat.ts';

/** A start that is in doubt reads back before it tries again. */
const START_GIVES_UP_MS = 2 * PUBLISH_TRIES * NATS_REQUEST_MS;
/** What the slowest machine adds. */
const SLOW_MS = 20_000;

test('law 6: a NATS that is silent for longer than a call waits costs UNAVAILABLE, and no observer, event or attempt', async () => {
  await using nats = await startNats();
  await using proxy = await startProxy(nats.access.url);
  await using direct = await nats.open('direct');
  await using slow = await nats.open('slow', proxy.url);
  const model = handModel();
  await using api = await startTestApi(slow, { heartbeatMs: 200, model });
  await using _worker = runWorker(slow, model);
  const client = grpcClient(api.url);
  const chat = await startChat(direct);
  const { streamId } = chat;
  const call = await model.nextCall();
  call.sink.text('before ');
  const watch = new Watch();
  const ends = watch.follow(client, streamId);
  await watch.reached(3);

  const stalledMs = performance.now();
  proxy.stall();
  // What is asked for now is held on its way; the caller hears of it in a bounded time.
  const calls = [
    client.getChatStream({ streamId }),
    client.cancelChatStream({ streamId: 'another' }),
    client.deleteChatStream({ streamId: 'another' }),
    client.listChatStreams({}),
  ].map((asked) => within(2 * NATS_REQUEST_MS + SLOW_MS, 'a refusal', refused(asked)));
  const late = initiateRequest({ streamId: 'late' });
  const starting = within(
    START_GIVES_UP_MS + SLOW_MS,
    'a refusal of a start',
    refused(client.initiateChatStream(late)),
  );
  call.sink.text('x'.repeat(10));
  await new Promise((resolve) => setImmediate(resolve));
  const said = sayUntilPressure(call.sink, 'y'.repeat(1_000));
  assert.ok(said <= MAX_UNSTORED_CHARS + 1_000, 'the model is read up to a bound');
  for (const refusal of await Promise.all([...calls, starting])) {
    assert.equal(refusal.code, 'Unavailable', refusal.message);
    assert.equal(refusal.reason, 'LOG_UNAVAILABLE');
    assert.ok((refusal.retryMs ?? 0) > 0);
  }
  await watch.beaten(watch.heartbeats.length + 2);
  assert.ok(watch.cursor < 5, 'nothing came while NATS was silent');
  await sleep(Math.max(0, stalledMs + NATS_REQUEST_MS + 1_000 - performance.now()));
  proxy.pass();

  await until('room again', () => call.sink.pressure() === undefined);
  call.sink.text(' after');
  call.finish();
  await within(HANGS_MS, 'the end', ends);
  watch.end();
  assert.equal(watch.attached.length, 1, 'attached all the time');
  assert.equal(watch.text(), `before ${'x'.repeat(10)}${'y'.repeat(said)} after`);
  const { events } = await assertTrueLog(direct.log, chat);
  assert.equal(events.at(-1)?.attempt, 1, 'no attempt was lost');

  // The start that was held may have landed, or not: the same again is one chat.
  const again = await until('a start', () =>
    client.initiateChatStream(late).catch(() => undefined),
  );
  assert.equal(again.streamId, 'late');
  const next = await model.nextCall();
  next.finish();
  await untilOver(direct.log, chatKey('late'));
  await assertTrueLog(direct.log, chatKey('late'));
  assert.equal(model.begun(), 2, 'one chat, run once');
});
