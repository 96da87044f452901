// The list's SQL against the plainest reading of the same chats. Its feed is handed in here, so that
// what is stored can be anything; test/e2e/list.test.ts has the real one.
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { RUN_TIMEOUT_MS } from '../../src/chat/limits.ts';
import type { ChangeFeed, ChatChange, ListFilter } from '../../src/chat/ports/chat-list.ts';
import { LIST_KEEP_EXPIRED_MS } from '../../src/chat/limits.ts';
import { MEMORY, openList, type SqliteList } from '../../src/list/sqlite-list.ts';
import { testMark } from '../support/chats/claims.ts';
import { SILENT, temporaryFolder } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { testMeta } from '../support/chats/test-meta.ts';

interface Chat {
  readonly tenant: string;
  readonly streamId: string;
  readonly createdAtMs: number;
  readonly expired: boolean;
  readonly deleted: boolean;
  readonly status: ChatStreamStatus;
  readonly correlationId: string;
  readonly metadata: Readonly<Record<string, string>>;
}

const LATER_MS = 60_000;
const { PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED } = ChatStreamStatus;

/** All that is listed of these chats, in this order. */
async function listOf(file: string, chats: readonly Chat[]): Promise<SqliteList> {
  const changes = chats.flatMap(changesOf);
  const feed: ChangeFeed = {
    storeId: () => Promise.resolve('a store'),
    follow: (_, onChange) => {
      for (const change of changes) onChange(change);
      return Promise.resolve({ stop: () => Promise.resolve() });
    },
    end: () => Promise.resolve({ commands: changes.length, events: changes.length }),
    next: ({ commands, events }) => {
      const first = (kinds: readonly string[], after: number): number =>
        changes.find(({ kind, sequence }) => sequence > after && kinds.includes(kind))?.sequence ??
        Infinity;
      return Promise.resolve({
        commands: first(['start', 'delete'], commands),
        events: first(['status'], events),
      });
    },
  };
  const list = await openList(file, feed, SILENT);
  await list.caughtUp();
  return list;
}

function changesOf(chat: Chat, place: number): ChatChange[] {
  const { tenant, streamId, createdAtMs, status, correlationId, metadata } = chat;
  const key = { tenant, streamId };
  const expiresAtMs = Date.now() + (chat.expired ? -LATER_MS : LATER_MS);
  const sequence = place * 3 + 1;
  const model = 'm';
  const meta = testMeta({ createdAtMs, expiresAtMs, correlationId, model, metadata });
  const changes: ChatChange[] = [{ kind: 'start', sequence, chat: key, priority: 5, meta }];
  if (status !== PENDING) {
    const mark = testMark({
      status,
      command: sequence,
      startedAtMs: createdAtMs,
      runTimeoutMs: RUN_TIMEOUT_MS,
      createdAtMs,
      expiresAtMs,
      correlationId,
      model,
    });
    const data = Buffer.of();
    changes.push({ kind: 'status', sequence: sequence + 1, chat: key, mark, data });
  }
  if (chat.deleted) changes.push({ kind: 'delete', sequence: sequence + 2, chat: key, meta });
  return changes;
}

function plainly(chats: readonly Chat[], filter: ListFilter): Chat[] {
  const { tenant, statuses, correlationId, metadata, createdAfterMs, createdBeforeMs } = filter;
  return chats
    .filter(
      (chat) =>
        chat.tenant === tenant &&
        !chat.deleted &&
        !chat.expired &&
        (statuses.length === 0 || statuses.includes(chat.status)) &&
        (correlationId === '' || chat.correlationId === correlationId) &&
        Object.entries(metadata).every(([key, value]) => chat.metadata[key] === value) &&
        chat.createdAtMs > (createdAfterMs ?? -Infinity) &&
        chat.createdAtMs < (createdBeforeMs ?? Infinity),
    )
    .toSorted(
      (a, b) =>
        b.createdAtMs - a.createdAtMs ||
        Buffer.compare(Buffer.from(b.streamId), Buffer.from(a.streamId)),
    );
}

/** Few values, so that filters meet chats and each other. */
const status = fc.constantFrom(PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED);
const createdMs = fc.integer({ min: 1, max: 12 });
const oneIn = (count: number) => fc.nat(count - 1).map((n) => n === 0);
const tenant = oneIn(5).map((other) => (other ? 'b' : 'a'));
const label = fc.constantFrom('1', '2');
const perhaps = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined, freq: 2 });

const chats = fc
  .array(
    fc.record({
      tenant,
      createdAtMs: createdMs,
      expired: oneIn(10),
      deleted: oneIn(10),
      status,
      correlationId: fc.constantFrom('', 'x', 'y'),
      metadata: fc.record({ k: label, [`it's "so"`]: label }, { requiredKeys: [] }),
    }),
    { minLength: 10, maxLength: 40 },
  )
  .map((all): Chat[] => all.map((chat, i) => ({ ...chat, streamId: `id-${(i * 7) % 40}` })));

const filters = fc.record({
  tenant,
  statuses: fc.oneof(fc.constant([]), fc.array(status, { maxLength: 4 })),
  correlationId: fc.constantFrom('', 'x'),
  metadata: fc.record({ k: label, [`it's "so"`]: label }, { requiredKeys: [] }),
  createdAfterMs: perhaps(createdMs),
  createdBeforeMs: perhaps(createdMs),
});

test('any filter gives the chats that the plainest reading gives, page by page', async () => {
  await fc.assert(
    fc.asyncProperty(
      chats,
      fc.array(filters, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 1, max: 5 }),
      async (stored, asked, size) => {
        await using list = await listOf(MEMORY, stored);
        for (const filter of asked) {
          const wanted = plainly(stored, filter).map((chat) => chat.streamId);
          const listed: string[] = [];
          for (let after; ;) {
            const page = list.page(filter, after, size);
            listed.push(...page.map((chat) => chat.streamId));
            const last = page.at(-1);
            if (page.length < size || last?.createdAt === undefined) break;
            after = { createdAtMs: timestampMs(last.createdAt), streamId: last.streamId };
          }
          assert.deepEqual(listed, wanted, JSON.stringify(filter));
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('a chat that expired a while ago leaves the list and its labels', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'list.sqlite');
  const chat = {
    tenant: 'a',
    expired: false,
    deleted: false,
    status: PENDING,
    correlationId: '',
    metadata: { k: 'v', "it's": '"quoted"' },
  };
  await using _list = await listOf(file, [
    { ...chat, streamId: 'kept', createdAtMs: 1 },
    { ...chat, streamId: 'deleted', createdAtMs: 2, deleted: true },
    { ...chat, streamId: 'old', createdAtMs: 3 },
  ]);
  const beside = new DatabaseSync(file);
  const idsIn = (table: string): unknown[] =>
    beside
      .prepare(`SELECT DISTINCT stream_id FROM ${table} ORDER BY stream_id`)
      .all()
      .map((row) => row['stream_id']);
  assert.deepEqual(idsIn('labels'), ['kept', 'old'], 'nothing of a deleted one');
  const longAgoMs = Date.now() - LIST_KEEP_EXPIRED_MS - 1;
  beside.prepare(`UPDATE chats SET expires_at_ms = ? WHERE stream_id = 'old'`).run(longAgoMs);
  await until('the old one to be gone', () => !idsIn('chats').includes('old'));
  assert.deepEqual(idsIn('labels'), ['kept']);
  beside.close();
});
