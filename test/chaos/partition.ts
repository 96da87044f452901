// One cluster through three partitions, with clients that look on throughout: an api is cut off from NATS,
// a worker is, and a nats-server from the other two. Nothing is lost, doubled or reordered.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import { initiateRequest, TENANT } from '../support/chats/chat-fixtures.ts';
import type { ChatClient } from '../support/clients.ts';
import { grpcClient } from '../support/clients.ts';
import { refusalOf, refused } from '../support/refusal.ts';
import { takenIn } from '../support/chats/taken.ts';
import { until } from '../support/until.ts';
import { Watch } from '../support/chats/watch-chat.ts';
import type { Cluster } from './cluster.ts';
import { startCluster } from './cluster.ts';
import { leaderOf, untilHealthy } from './faults.ts';
import type { Member } from './member.ts';
import type { Network } from './network.ts';

const TOKENS = 200;
const EVERY_MS = 100;
const API_CUT_MS = 5_000;
/** An election comes within 8 s of it. */
const NATS_CUT_MS = 12_000;
const TAKEN_OVER_MS = 40_000;
const AGAIN_MS = 500;
const TOKEN = 'token-of-a-test-in-a-network-that-others-may-reach';

interface Observed {
  readonly streamId: string;
  /** One at each api. */
  readonly watches: readonly { readonly watch: Watch; readonly ends: Promise<void> }[];
}

interface Ground {
  readonly cluster: Cluster;
  readonly clients: readonly ChatClient[];
  readonly logOf: (name: string) => readonly string[];
  readonly say: (line: string) => void;
}

/** Rejects at the first promise that is broken. `folder` is for a file of tokens. */
export async function runPartitions(
  network: Network,
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  const tokensFile = join(folder, 'tokens');
  const hash = createHash('sha256').update(TOKEN).digest('hex');
  writeFileSync(tokensFile, `${TENANT} ${hash}\n`);
  const logs = new Map<string, string[]>();
  await using cluster = await startCluster({
    natsServers: 3,
    apis: 2,
    workers: 2,
    network,
    env: () => ({ TAILRACE_TOKENS_FILE: tokensFile, TAILRACE_HEARTBEAT_MS: '500' }),
    onLine: (line, by) => logs.set(by, [...(logs.get(by) ?? []), line]),
  });
  await untilHealthy(cluster);
  const ground: Ground = {
    cluster,
    clients: cluster.apis.map(({ url }) => grpcClient(url, { token: TOKEN })),
    logOf: (name) => logs.get(`${name}#1`) ?? [],
    say,
  };
  const [first, second] = cluster.workers;
  assert.ok(first !== undefined && second !== undefined);
  // Each has half of the chats: the other sleeps for a moment when they are handed out.
  const chats = await beginAt(ground, second, ['a', 'b', 'c', 'd']);
  chats.push(...(await beginAt(ground, first, ['e', 'f', 'g', 'h'])));
  say(`${chats.length} chats run`);

  const mendWorker = cutFrom(ground, 'worker-1');
  await apiCutOff(ground, chats);
  await workerBack(ground, chats, mendWorker);
  chats.push(await natsCutOff(ground));

  for (const { watches } of chats) {
    await Promise.all(watches.map(({ ends }) => ends));
    for (const { watch } of watches) {
      assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
      const words = watch.text().trim().split(' ');
      assert.deepEqual(
        words.map((word) => Number(word.split(':')[0])),
        words.map((_, i) => i),
      );
      assert.equal(words.length, TOKENS);
      assert.equal(watch.attached.length, 1, 'nobody had to come again');
    }
    const [one, two] = watches;
    assert.equal(one?.watch.bytes(), two?.watch.bytes(), 'all observers saw the same');
  }
  say('all of them completed, whole, and the same for every observer');
}

/** With one worker asleep until the other has them all. */
async function beginAt(
  ground: Ground,
  asleep: Member,
  ids: readonly string[],
): Promise<Observed[]> {
  asleep.pause();
  const chats = await Promise.all(ids.map((id) => begin(ground, id)));
  await Promise.all(chats.flatMap(({ watches }) => watches.map((w) => w.watch.saw('textDelta'))));
  asleep.goOn();
  return chats;
}

/** Started wherever it is taken, until it is. */
async function begin({ clients }: Ground, id: string): Promise<Observed> {
  const text = scripted({ tokens: TOKENS, interval_ms: EVERY_MS, id });
  const request = initiateRequest({ streamId: `chat-${id}`, text });
  const { streamId } = await until(
    'a start to be taken',
    async () => {
      for (const client of clients) {
        try {
          return await client.initiateChatStream(request, { timeoutMs: 5_000 });
        } catch (error) {
          assert.match(refusalOf(error).code, /^(?:Unavailable|DeadlineExceeded)$/);
        }
      }
      return undefined;
    },
    TAKEN_OVER_MS,
  );
  const watches = clients.map((client) => {
    const watch = new Watch();
    const ends = attached(watch, client, streamId);
    // It is awaited at the end; until then another broken promise is the one to be told.
    ends.catch(() => undefined);
    return { watch, ends };
  });
  return { streamId, watches };
}

/** Comes again only where the api could not attach it: it may be at the wrong side of a partition. */
async function attached(watch: Watch, client: ChatClient, streamId: string): Promise<void> {
  for (;;) {
    try {
      return await watch.follow(client, streamId);
    } catch (error) {
      if (watch.attached.length > 0 || refusalOf(error).code !== 'Unavailable') throw error;
      await sleep(AGAIN_MS);
    }
  }
}

/** From every nats-server. Returns what mends it. */
function cutFrom({ cluster }: Ground, name: string): () => void {
  for (const server of cluster.nats) cluster.network.cut(name, server.name);
  return () => {
    for (const server of cluster.nats) cluster.network.mend(name, server.name);
  };
}

/** Its observers stay, and hear that it lives; its calls say when to come again; the other api serves. */
async function apiCutOff(ground: Ground, chats: readonly Observed[]): Promise<void> {
  const [cut, other] = ground.clients;
  assert.ok(cut !== undefined && other !== undefined);
  const mend = cutFrom(ground, 'api-1');
  ground.say('api-1 and worker-1 are cut off');
  const attached = chats.map(({ watches }) => watches[0]?.watch ?? assert.fail());
  const before = attached.map(({ heartbeats }) => heartbeats.length);
  await sleep(API_CUT_MS);
  for (const [i, { heartbeats }] of attached.entries()) {
    assert.ok(heartbeats.length > (before[i] ?? 0) + 2, 'heartbeats came');
  }
  const streamId = chats[0]?.streamId ?? '';
  const refusal = await refused(cut.getChatStream({ streamId }));
  assert.equal(refusal.code, 'Unavailable');
  assert.ok((refusal.retryMs ?? 0) > 0);
  assert.equal((await other.getChatStream({ streamId })).chatStream?.streamId, streamId);
  mend();
  await Promise.all(
    chats.map(async ({ watches }) => {
      const [here, there] = watches;
      await here?.watch.reached(there?.watch.cursor ?? 0);
    }),
  );
  ground.say('api-1 is back, and its observers have caught up');
}

/** What it held goes on elsewhere; back again it is refused, and says so. */
async function workerBack(
  ground: Ground,
  chats: readonly Observed[],
  mend: () => void,
): Promise<void> {
  const held = takenIn(ground.logOf('worker-1'));
  const its = chats.filter(({ streamId }) => held.has(streamId));
  assert.ok(its.length > 0 && its.length < chats.length, 'both workers had chats');
  const takenOver = (): boolean =>
    its.every(({ watches }) => watches.every(({ watch }) => attemptOf(watch) === 2));
  await until('what it held to be taken over', takenOver, TAKEN_OVER_MS);
  mend();
  const saidOf = (streamId: string): boolean =>
    ground
      .logOf('worker-1')
      .some(
        (line) =>
          line.includes(streamId) &&
          line.includes('the chat is not this run’s any more') &&
          /its append was refused|the log shows another writer/.test(line),
      );
  await until(
    'worker-1 to have said that it was refused',
    () => its.every(({ streamId }) => saidOf(streamId)),
    TAKEN_OVER_MS,
  );
  for (const { streamId, watches } of chats) {
    if (held.has(streamId)) continue;
    for (const { watch } of watches) assert.equal(attemptOf(watch), 1, 'others lost nothing');
  }
  ground.say(`worker-1 is back, refused for ${its.length} chats, and has said so`);
}

/** The leader, from the other two: they elect another, and who is at the old one waits. */
async function natsCutOff(ground: Ground): Promise<Observed> {
  const { cluster } = ground;
  const leader = await leaderOf(cluster);
  assert.ok(leader !== undefined);
  const others = cluster.nats.map(({ name }) => name).filter((name) => name !== leader);
  for (const name of others) cluster.network.cut(leader, name);
  ground.say(`${leader}, the leader, is cut off from the others`);
  const cutMs = performance.now();
  const meanwhile = begin(ground, 'begun-in-a-partition');
  await sleep(NATS_CUT_MS);
  for (const name of others) cluster.network.mend(leader, name);
  const chat = await meanwhile;
  await untilHealthy(cluster);
  const tookMs = Math.round(performance.now() - cutMs - NATS_CUT_MS);
  ground.say(`${leader} is back; the cluster was whole again after ${tookMs} ms`);
  return chat;
}

function attemptOf({ events }: Watch): number {
  return events.at(-1)?.attempt ?? 0;
}
