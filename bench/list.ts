// ListChatStreams over very many chats: how long a page takes, and the view of them to be made.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ChatStreamStatus } from '../gen/tailrace/v1/chat_stream_pb.ts';
import {
  ChatStreamService,
  ListChatStreamsRequestSchema,
} from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../src/chat/errors.ts';
import { EMBEDDED_NATS_SYNC_MS } from '../src/chat/limits.ts';
import type { Logger } from '../src/chat/ports/logger.ts';
import { openList } from '../src/list/sqlite-list.ts';
import type { NatsAdapter } from '../src/nats/adapter.ts';
import { openNats } from '../src/nats/adapter.ts';
import { startEmbeddedNats } from '../src/nats/embedded/embedded-server.ts';
import { writeManyChats } from './many-chats.ts';
import { memoryMibOf, startTailraceProcess } from './processes.ts';
import type { Summary } from './stats.ts';
import { summary } from './stats.ts';

type Filter = MessageInitShape<typeof ListChatStreamsRequestSchema>;
type ListClient = Client<typeof ChatStreamService>;

export interface ListFigures {
  readonly fillSeconds: number;
  /** The view alone, into a file. */
  readonly buildSeconds: number;
  readonly fileMib: number;
  /** An api process from its start to its first page: the view in memory. */
  readonly readyMs: number;
  readonly programMib: number;
  readonly natsServerMib: number;
  readonly pages: readonly {
    readonly what: string;
    readonly chats: number;
    readonly ms: Summary;
  }[];
}

const HOUR_MS = 3_600_000;
const ROUNDS = 200;
const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (_, message) => void process.stderr.write(`${message}\n`),
};

/** On a nats-server of its own: a worker would run the queued ones. */
export async function listMany(
  program: string,
  modelUrl: string,
  count: number,
): Promise<ListFigures> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tailrace-bench-'));
  try {
    await using server = await startEmbeddedNats({
      program,
      dataDir,
      logger: SILENT,
      environment: process.env,
      sync: EMBEDDED_NATS_SYNC_MS,
    });
    const { url, user, password } = server;
    await using nats = await openNats({
      servers: [url],
      user,
      password,
      name: 'bench',
      replicas: 1,
      store: { maxBytes: undefined, diskFreeBytes: undefined },
      logger: SILENT,
    });
    const filling = performance.now();
    const newestMs = await writeManyChats(nats, count);
    const fillSeconds = secondsSince(filling);
    const view = await buildView(nats, join(dataDir, 'list.sqlite'));
    const access = new URL(url);
    access.username = user;
    access.password = password;
    const started = performance.now();
    await using tailrace = await startTailraceProcess(modelUrl, {
      TAILRACE_NATS_URL: access.href,
      TAILRACE_ROLES: 'api',
    });
    const baseUrl = tailrace.url;
    const client = createClient(ChatStreamService, createGrpcTransport({ baseUrl }));
    await firstPage(client);
    const readyMs = performance.now() - started;
    const measured = await pages(client, count, newestMs);
    return {
      fillSeconds,
      ...view,
      readyMs,
      programMib: memoryMibOf(tailrace.pid),
      natsServerMib: memoryMibOf(server.pid() ?? 0),
      pages: measured,
    };
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function buildView(
  nats: NatsAdapter,
  file: string,
): Promise<Pick<ListFigures, 'buildSeconds' | 'fileMib'>> {
  const started = performance.now();
  await using list = await openList(file, nats.changes, SILENT);
  await untilThere(
    () => list.caughtUp(),
    (error) => error instanceof ChatError,
  );
  const buildSeconds = secondsSince(started);
  const bytes = ['', '-wal'].map((suffix) => statSync(`${file}${suffix}`).size);
  return { buildSeconds, fileMib: bytes.reduce((sum, each) => sum + each, 0) / 2 ** 20 };
}

/** Until the view has caught up, a list is refused and says when to come again. */
async function firstPage(client: ListClient): Promise<void> {
  await untilThere(
    () => client.listChatStreams({}),
    (error) => ConnectError.from(error).code === Code.Unavailable,
  );
}

async function untilThere(
  ask: () => Promise<unknown>,
  isNotYet: (error: unknown) => boolean,
): Promise<void> {
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (!isNotYet(error)) throw error;
    }
  }
}

function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1_000;
}

async function pages(
  client: ListClient,
  count: number,
  newestMs: number,
): Promise<ListFigures['pages']> {
  const found: { what: string; chats: number; ms: Summary }[] = [];
  const measure = async (what: string, filter: Filter): Promise<string> => {
    const request = create(ListChatStreamsRequestSchema, filter);
    const times: number[] = [];
    let chats = 0;
    let next = '';
    for (let round = 0; round < ROUNDS; round++) {
      const started = performance.now();
      const page = await client.listChatStreams(request);
      times.push(performance.now() - started);
      chats = page.chatStreams.length;
      next = page.nextPageToken;
    }
    found.push({ what, chats, ms: summary(times) });
    return next;
  };
  await measure('first page', {});
  await measure('first page of 500', { pageSize: 500 });
  await measure('page in the middle', { pageToken: await tokenAt(client, count / 2) });
  for (const [what, status] of [
    ['COMPLETED (98%)', ChatStreamStatus.COMPLETED],
    ['PENDING (1%)', ChatStreamStatus.PENDING],
    ['FAILED (0.1%)', ChatStreamStatus.FAILED],
    ['ERROR (none)', ChatStreamStatus.ERROR],
  ] as const) {
    await measure(`status ${what}`, { statuses: [status] });
  }
  await measure('status FAILED or CANCELLED', {
    statuses: [ChatStreamStatus.FAILED, ChatStreamStatus.CANCELLED],
  });
  await measure('correlation id of 50, oldest', { correlationId: 'trace-0' });
  await measure('metadata of one, oldest', { metadata: { order: '0' } });
  await measure('metadata of 10%', { metadata: { team: 'team-3' } });
  await measure('metadata of all', { metadata: { env: 'production' } });
  await measure('metadata of 10% and of all', { metadata: { env: 'production', team: 'team-3' } });
  await measure('metadata of none', { metadata: { env: 'test' } });
  await measure('metadata of all, FAILED', {
    metadata: { env: 'production' },
    statuses: [ChatStreamStatus.FAILED],
  });
  await measure('created in one hour, 12 hours ago', {
    createdAfter: timestampFromMs(newestMs - 12 * HOUR_MS),
    createdBefore: timestampFromMs(newestMs - 11 * HOUR_MS),
  });
  await measure('created in one hour, FAILED', {
    createdAfter: timestampFromMs(newestMs - 12 * HOUR_MS),
    createdBefore: timestampFromMs(newestMs - 11 * HOUR_MS),
    statuses: [ChatStreamStatus.FAILED],
  });
  return found;
}

async function tokenAt(client: ListClient, place: number): Promise<string> {
  let pageToken = '';
  for (let passed = 0; passed < place;) {
    const page = await client.listChatStreams({ pageSize: 500, pageToken });
    passed += page.chatStreams.length;
    pageToken = page.nextPageToken;
  }
  // The page's size is no part of the token.
  return pageToken;
}
