// `npm run erasure [-- --replicas 3 --sync 10s --share 80 --minutes 2]`: what a delete leaves. A mark is
// planted in the request, the answer and the metadata of chats; some are deleted. Then all that NATS and
// the api give is searched for it, which must find nothing, and the store's files, which find it for as
// long as the bytes stay.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { create, toBinary } from '@bufbuild/protobuf';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect, headers } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { ChatRequestSchema } from '../gen/tailrace/v1/chat_request_pb.ts';
import { ListChatStreamsResponseSchema } from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../gen/tailrace/v1/content_pb.ts';
import type { Cluster } from '../test/chaos/cluster.ts';
import { startCluster } from '../test/chaos/cluster.ts';
import { leaderOf, untilHealthy } from '../test/chaos/faults.ts';
import type { ChatClient } from '../test/support/clients.ts';
import { grpcClient } from '../test/support/clients.ts';

const { values } = parseArgs({
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
  proxied: false,
});
await untilHealthy(cluster);
const client = grpcClient(cluster.apis[0]?.url ?? '');

const planted = await runChats(client, Number(values.chats), MARK);
const found = hitsInFiles(cluster);
console.log(
  `planted in ${planted.length} chats; in the files ${found.map(said).join(', ')}; sync ${values.sync}, ${values.share}% deleted`,
);
const down = values.down ? await takeOneDown(cluster) : undefined;
const deleted = planted.filter((_, i) => (i * 100) / planted.length < Number(values.share));
// Spread over all blocks, not one end of them.
shuffle(planted);
await inParallel(deleted, (streamId) => client.deleteChatStream({ streamId }));
const kept = planted.filter((streamId) => !deleted.includes(streamId));
const deletedMs = performance.now();

await searchReadable(cluster, client, deleted, kept);
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

function shuffle<T>(items: T[]): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [items[i], items[j]] = [items[j] as T, items[i] as T];
  }
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

function count(text: string, word: string): number {
  return text.split(word).length - 1;
}

async function takeOneDown(cluster: Cluster) {
  const leader = await leaderOf(cluster);
  const node = cluster.nats.find(({ name }) => name !== leader);
  await node?.member.stop();
  return node?.member;
}

/** Everything that NATS and the api give: no mark of a deleted chat may be in it. */
async function searchReadable(
  cluster: Cluster,
  client: ChatClient,
  deleted: readonly string[],
  kept: readonly string[],
): Promise<void> {
  await using nc = await connect({ servers: cluster.nats.map(({ url }) => url) });
  for (const stream of ['COMMANDS', 'EVENTS']) {
    const info = await api(nc, `STREAM.INFO.${stream}`);
    const { first_seq: first, last_seq: last } = (
      info as { state: { first_seq: number; last_seq: number } }
    ).state;
    let bySequence = 0;
    let direct = 0;
    for (let seq = first; seq <= last; seq++) {
      const got = (await api(nc, `STREAM.MSG.GET.${stream}`, { seq })) as {
        message?: { data?: string; hdrs?: string; subject: string };
      };
      const { data = '', hdrs = '' } = got.message ?? {};
      const text =
        Buffer.from(data, 'base64').toString('latin1') +
        Buffer.from(hdrs, 'base64').toString('latin1');
      if (text.includes(MARK) && ofDeleted(got.message?.subject, deleted)) bySequence++;
      const msg = await nc.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify({ seq }));
      const subject = msg.headers?.get('Nats-Subject');
      const whole = Buffer.from(msg.data).toString('latin1') + String(msg.headers ?? headers());
      if (whole.includes(MARK) && ofDeleted(subject, deleted)) direct++;
    }
    const consumed = await consume(nc, stream, deleted);
    console.log(
      `${stream}: by sequence ${bySequence}, by direct get ${direct}, by a consumer ${consumed} records of deleted chats with the mark`,
    );
    if (bySequence + direct + consumed > 0) process.exitCode = 1;
  }
  let byApi = 0;
  for (const streamId of deleted) {
    const answers = await Promise.allSettled([
      client.getChatStream({ streamId, view: 2 }),
      firstOf(client.observeChatStream({ streamId })),
    ]);
    byApi += answers.filter(({ status }) => status === 'fulfilled').length;
  }
  let pageToken = '';
  let listed = 0;
  do {
    const page = await client.listChatStreams({ pageSize: 500, pageToken });
    listed += count(
      Buffer.from(toBinary(ListChatStreamsResponseSchema, page)).toString('latin1'),
      `metadata ${MARK}`,
    );
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  console.log(
    `api: ${byApi} answers about deleted chats, ${listed - kept.length} of them in lists`,
  );
  if (byApi > 0 || listed !== kept.length) process.exitCode = 1;
}

function ofDeleted(subject: string | undefined, deleted: readonly string[]): boolean {
  return deleted.some((id) => subject?.includes(id) === true);
}

async function firstOf<T>(messages: AsyncIterable<T>): Promise<T | undefined> {
  for await (const message of messages) return message;
  return undefined;
}

async function consume(
  nc: NatsConnection,
  stream: string,
  deleted: readonly string[],
): Promise<number> {
  const inbox = `_INBOX.erasure.${randomUUID()}`;
  let hits = 0;
  const drained = Promise.withResolvers<void>();
  nc.subscribe(inbox, {
    callback: (error, msg) => {
      if (error !== null) return drained.reject(error);
      const whole = Buffer.from(msg.data).toString('latin1') + String(msg.headers ?? headers());
      if (whole.includes(MARK) && ofDeleted(msg.subject, deleted)) hits++;
      // $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>
      if (msg.reply?.endsWith('.0') === true) drained.resolve();
    },
  });
  const config = {
    deliver_subject: inbox,
    deliver_policy: 'all',
    ack_policy: 'none',
    inactive_threshold: 60e9,
  };
  await api(nc, `CONSUMER.CREATE.${stream}`, { stream_name: stream, config });
  await drained.promise;
  return hits;
}

async function api(nc: NatsConnection, subject: string, body: unknown = {}): Promise<unknown> {
  return (await nc.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 20_000 })).json();
}
