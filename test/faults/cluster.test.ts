// Three nats-servers with three replicas, two apis and two workers, each a process: a follower and the
// leader are killed, and a worker sleeps for longer than its lease, while clients look on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { startCluster } from '../chaos/cluster.ts';
import type { Member } from '../chaos/member.ts';
import { leaderOf, untilHealthy } from '../chaos/faults.ts';
import { scripted } from '../model-server/model-server.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { until } from '../support/until.ts';
import { Watch } from '../support/chats/watch-chat.ts';

const NOT_ITS_OWN = 'the chat is not this run’s any more';
/** Longer than the ack wait and an election together. */
const TOKENS = 240;
const EVERY_MS = 100;

interface Observed {
  readonly streamId: string;
  /** One at each api. */
  readonly watches: readonly { readonly watch: Watch; readonly ends: Promise<void> }[];
}

test('leader and follower killed, a worker asleep for longer than its lease: the stale writer is refused and says so, no healthy run loses its chat, and clients see every event once', async () => {
  const logs = new Map<string, string[]>();
  await using cluster = await startCluster({
    natsServers: 3,
    apis: 2,
    workers: 2,
    onLine: (line, by) => logs.set(by, [...(logs.get(by) ?? []), line]),
  });
  await untilHealthy(cluster);
  const clients = cluster.apis.map(({ url }) => grpcClient(url));
  const begin = async (id: string): Promise<Observed> => {
    const text = scripted({ tokens: TOKENS, interval_ms: EVERY_MS, id });
    const [client] = clients;
    assert.ok(client !== undefined);
    const { streamId } = await client.initiateChatStream(initiateRequest({ text }));
    const watches = clients.map((each) => {
      const watch = new Watch();
      return { watch, ends: watch.follow(each, streamId) };
    });
    await Promise.all(watches.map(({ watch }) => watch.saw('textDelta')));
    return { streamId, watches };
  };
  const [sleeper, healthy] = cluster.workers;
  assert.ok(sleeper !== undefined && healthy !== undefined);
  // Each has half of the chats: the other sleeps when they are handed out.
  healthy.pause();
  const sleepers = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(begin));
  healthy.goOn();
  sleeper.pause();
  const others = await Promise.all(['g', 'h', 'i', 'j', 'k', 'l'].map(begin));

  const leader = await leaderOf(cluster);
  const killed = async (find: (name: string) => boolean): Promise<void> => {
    const member = cluster.nats.find(({ name }) => find(name))?.member;
    await member?.kill();
    await member?.start();
    await untilHealthy(cluster);
  };
  await killed((name) => name !== leader);
  await killed((name) => name === leader);
  await until('what it held to be taken over', () =>
    sleepers.every(({ watches }) => watches.every(({ watch }) => attemptOf(watch) === 2)),
  );
  sleeper.goOn();
  const logOf = (member: Member): readonly string[] => logs.get(member.incarnation()) ?? [];
  const said = (streamId: string): string | undefined =>
    logOf(sleeper).find((line) => line.includes(streamId) && line.includes(NOT_ITS_OWN));
  await until('it to have said so', () => sleepers.every(({ streamId }) => said(streamId)));
  for (const { streamId } of sleepers) {
    assert.match(said(streamId) ?? '', /its append was refused|the log shows another writer/);
  }

  for (const chat of [...sleepers, ...others]) {
    const { watches } = chat;
    await Promise.all(watches.map(({ ends }) => ends));
    for (const { watch } of watches) {
      assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
      assert.equal(watch.text().trim().split(' ').length, TOKENS);
      assert.equal(
        attemptOf(watch),
        sleepers.includes(chat) ? 2 : 1,
        'no healthy run lost its chat',
      );
      assert.equal(watch.attached.length, 1, 'and nobody had to come again');
    }
    const [one, two] = watches;
    assert.equal(one?.watch.bytes(), two?.watch.bytes());
  }
});

function attemptOf({ events }: Watch): number {
  return events.at(-1)?.attempt ?? 0;
}
