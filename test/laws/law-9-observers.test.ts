// Law 9: bounded everything. What an observer costs that waits, and what it may not: each would be
// there a thousand times. Memory is measured by npm run bench; a reader that stalls has its bound in
// test/e2e/backpressure.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startChat } from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { startNats } from '../support/processes/nats.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { until } from '../support/until.ts';

const OBSERVERS = 1_000;
/** What the rest of the process may be waiting for at one moment and not at another. */
const PASSING_TIMERS = 10;

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

test('law 9: a thousand observers of a chat share one subscription and one reading, and set no timer', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  let listening = 0;
  let readings = 0;
  const { live, log } = adapter;
  await using api = await startTestApi({
    ...adapter,
    live: {
      ...live,
      subscribe: (chat, onRecord) => {
        const { listening: heard, stop } = live.subscribe(chat, onRecord);
        listening++;
        return {
          listening: heard,
          stop: () => {
            listening--;
            stop();
          },
        };
      },
    },
    log: {
      ...log,
      tail: (chat) => {
        readings++;
        return log.tail(chat);
      },
      page: (chat, from, maxBytes) => {
        readings++;
        return log.page(chat, from, maxBytes);
      },
    },
  });
  const { streamId } = await startChat(adapter);
  const client = grpcClient(api.url);
  const leaving = new AbortController();
  const attach = async (): Promise<void> => {
    const frames = client.observeChatStream({ streamId }, { signal: leaving.signal });
    const first = await frames[Symbol.asyncIterator]().next();
    assert.equal(first.value?.frame.case, 'attached');
  };
  await attach();
  const alone = { listening, readings };
  const timersAlone = timers();
  assert.equal(alone.listening, 1);
  await Promise.all(Array.from({ length: OBSERVERS - 1 }, attach));
  const with1000 = { listening, readings };
  const more = timers() - timersAlone;
  leaving.abort();
  assert.deepEqual(with1000, alone);
  assert.ok(more < PASSING_TIMERS, `there are ${more} timers more`);
  await until('the subscription to go with the last observer', () => listening === 0);
});
