// `npm run erasure [-- --replicas 3 --sync 10s --share 80 --minutes 2]`: what a delete leaves. A mark is
// planted in the request, the answer and the metadata of chats; some are deleted. Then all that NATS and
// the api give is searched for it, which must find nothing, and the store's files, which find it for as
// long as the bytes stay.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { ChatRequestSchema } from '../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../gen/tailrace/v1/content_pb.ts';
import type { Cluster } from '../test/chaos/cluster.ts';
import { startCluster } from '../test/chaos/cluster.ts';
import { leaderOf, untilHealthy } from '../test/chaos/faults.ts';
import type { ChatClient } from '../test/support/clients.ts';
import { grpcClient } from '../test/support/clients.ts';
import { count, searchReadable } from './erasure-search.ts';
import { flags } from '../test/support/flags.ts';

const USAGE =
  'npm run erasure [-- --replicas 3 --sync 10s --share 80 --chats 400 --minutes 2 --down]';
const { values } = flags(USAGE, {
  options: {
    replicas: { type: 'string', default: '1' },
    sync: { type: 'string', default: '2m' },
    /** Of the chats that were planted, in percent. */
    share: { type: 'string', default: '80' },
    chats: { type: 'string', default: '400' },
    minutes: { type: 'string', default: '2' },
    /** A replica is down while the chats are deleted. */
    down: { type: 'boolean', default: false },
  },
});
const MARK = `mark-${randomUUID()}`;
const ANSWER_BYTES = 4_000;
/** Fills a block of 8 MB in some seconds. */
const LOAD_BYTES = 40_000;
const PARALLEL = 20;
const replicas = values.replicas === '3' ? 3 : 1;

await using cluster = await startCluster({
  natsServers: replicas,
  syncInterval: values.sync,
  apis: 1,
  workers: 1,
  slots: 100,
});
await untilHealthy(cluster);
const client = grpcClient(cluster.apis[0]?.url ?? '');

const planted = shuffled(await runChats(client, Number(values.chats), MARK));
const found = hitsInFiles(cluster);
console.log(
  `planted in ${planted.length} chats; in the files ${found.map(said).join(', ')}; sync ${values.sync}, ${values.share}% deleted`,
);
const down = values.down ? await takeOneDown(cluster) : undefined;
const deleted = planted.filter((_, i) => (i * 100) / planted.length < Number(values.share));
await inParallel(deleted, (streamId) => client.deleteChatStream({ streamId }));
const kept = planted.filter((streamId) => !deleted.includes(streamId));
const deletedMs = performance.now();

const clean = await searchReadable({ cluster, client, mark: MARK, deleted, kept });
if (!clean) process.exitCode = 1;
const look = (when: string): void => {
  const s = Math.round((performance.now() - deletedMs) / 1_000);
  console.log(
    `${String(s).padStart(4)} s  ${when}: ${hitsInFiles(cluster).map(said).join(', ')} (kept chats account for ${kept.length} of each)`,
  );
};
look('deleted');
if (down !== undefined) {
  await down.start();
  await untilHealthy(cluster);
  look('the replica that was down is whole again');
}
const endMs = deletedMs + Number(values.minutes) * 60_000;
let before = '';
while (performance.now() < endMs) {
  // Load: new blocks are begun, as they are by any server in use.
  await runChats(client, 50, 'other', LOAD_BYTES);
  await sleep(2_000);
  const now = JSON.stringify(hitsInFiles(cluster));
  if (now !== before) look('under load');
  before = now;
}
for (const { member } of cluster.nats) {
  await member.stop();
  await member.start();
}
await untilHealthy(cluster);
look('after a restart of nats-server');

interface Hits {
  readonly server: string;
  readonly requests: number;
  readonly answers: number;
  readonly metadata: number;
}

function said({ server, requests, answers, metadata }: Hits): string {
  return `${server}: ${requests} requests, ${answers} answers, ${metadata} metadata`;
}

/** Chats with the mark in request, answer and metadata; resolves with their ids when all are over. */
async function runChats(
  client: ChatClient,
  count: number,
  mark: string,
  bytes = ANSWER_BYTES,
): Promise<string[]> {
  const ids = Array.from({ length: count }, () => randomUUID());
  await inParallel(ids, async (streamId) => {
    const words = ` answer ${mark} ${'x'.repeat(bytes)}`;
    // The model server says what it is told to; escaped, so that what it is told is not found as well.
    const script = JSON.stringify({ text: words.match(/.{1,2000}/gs) }).replace(
      ' answer',
      ' \\u0061nswer',
    );
    const request = create(ChatRequestSchema, {
      messages: [
        { role: Role.USER, content: [{ block: { case: 'text', value: `request ${mark}` } }] },
        { role: Role.USER, content: [{ block: { case: 'text', value: script } }] },
      ],
      metadata: { note: `metadata ${mark}` },
    });
    await client.initiateChatStream({ streamId, request });
    await client.waitChatStream({ streamId });
  });
  return ids;
}

async function inParallel<T>(
  items: readonly T[],
  act: (item: T) => Promise<unknown>,
): Promise<void> {
  const left = [...items];
  const one = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await act(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, one));
}

/** Another order, so that what is deleted is spread over all blocks. */
function shuffled(ids: readonly string[]): string[] {
  const keys = new Map(ids.map((id) => [id, Math.random()]));
  return ids.toSorted((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
}

function hitsInFiles(cluster: Cluster): Hits[] {
  return cluster.nats.map(({ name, storeDir }) => {
    const hits = { server: name, requests: 0, answers: 0, metadata: 0 };
    for (const file of filesBelow(storeDir)) {
      const bytes = textOf(file);
      hits.requests += count(bytes, `request ${MARK}`);
      hits.answers += count(bytes, ` answer ${MARK}`);
      hits.metadata += count(bytes, `metadata ${MARK}`);
    }
    return hits;
  });
}

function textOf(file: string): string {
  try {
    return readFileSync(file).toString('latin1');
  } catch (error) {
    // A consumer's file, or a block's before it was compacted, went between the listing and the reading.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

async function takeOneDown(cluster: Cluster) {
  const leader = await leaderOf(cluster);
  const node = cluster.nats.find(({ name }) => name !== leader);
  await node?.member.stop();
  return node?.member;
}
