// Every api and every worker is stopped and started again, one after another, under load: an upgrade as
// operators do it. Clients that resume see nothing of it.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { SILENT } from '../support/processes/nats.ts';
import { openNats } from '../../src/nats/adapter.ts';
import { startCluster } from '../chaos/cluster.ts';
import { scripted } from '../model-server/model-server.ts';
import { chatKey, initiateRequest } from '../support/chats/chat-fixtures.ts';
import { chatClient, PROTOCOLS } from '../support/clients.ts';
import { refusalOf } from '../support/refusal.ts';
import { Watch } from '../support/chats/watch-chat.ts';

const TOKENS = 60;
const AGAIN_MS = 50;

test('rolling restart of every api and every worker under load: clients that resume see nothing lost, no chat fails, no attempt is counted', async () => {
  await using cluster = await startCluster({ natsServers: 1, apis: 2, workers: 2 });
  using clients = new DisposableStack();
  const ways = PROTOCOLS.flatMap((way) =>
    cluster.apis.map(({ url }) => clients.use(chatClient(way, url))),
  );
  let calls = 0;
  /** At the next api and by the next protocol each time, until one takes it. */
  const untilTaken = async <T>(call: (client: (typeof ways)[number]) => Promise<T>): Promise<T> => {
    for (;;) {
      const client = ways[calls++ % ways.length];
      assert.ok(client !== undefined);
      try {
        return await call(client);
      } catch (error) {
        // An api that stops, or has stopped: whatever its client makes of that. Nothing else.
        const { code } = refusalOf(error);
        assert.match(code, /^(?:Unavailable|Canceled|Aborted|Internal|Unknown)$/);
        await sleep(AGAIN_MS);
      }
    }
  };
  const live = async (streamId: string): Promise<Watch> => {
    const text = scripted({ tokens: TOKENS, interval_ms: 50, id: streamId });
    const request = initiateRequest({ streamId, text });
    await untilTaken((client) => client.initiateChatStream(request));
    const watch = new Watch();
    await untilTaken((client) => watch.follow(client, streamId));
    return watch;
  };

  const chats: Promise<Watch>[] = [];
  const arriving = setInterval(() => chats.push(live(`chat-${chats.length}`)), 150);
  const members = [...cluster.apis.map(({ member }) => member), ...cluster.workers];
  for (const member of members) {
    assert.equal(await member.stop(), 0, `${member.name} ends cleanly`);
    await member.start();
  }
  clearInterval(arriving);

  const watches = await Promise.all(chats);
  assert.ok(watches.length >= 20, 'there was load');
  for (const watch of watches) {
    assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
    assert.equal(watch.text().trim().split(' ').length, TOKENS);
  }
  const servers = cluster.nats.map(({ url }) => url);
  await using nats = await openNats({
    servers,
    name: 'test',
    replicas: 1,
    store: { maxBytes: undefined, diskFreeBytes: undefined },
    logger: SILENT,
  });
  const tails = await Promise.all(chats.map((_, i) => nats.log.tail(chatKey(`chat-${i}`))));
  assert.deepEqual(new Set(tails.map((tail) => tail?.status.mark.tries)), new Set([1]));
  const handedBack = tails.filter((tail) => (tail?.status.mark.attempt ?? 0) > 1);
  assert.ok(handedBack.length > 0, 'workers had chats in hand when they were stopped');
  const resumed = watches.filter(({ attached }) => attached.length > 1);
  assert.ok(resumed.length > 0, 'apis had observers when they were stopped');
});
