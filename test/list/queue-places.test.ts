// Places in the queue, against the plainest count of the same chats: whatever order the two streams of
// changes are read in, and after the list was opened again.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChangeFeed, ChatChange, ListPosition } from '../../src/chat/ports/chat-list.ts';
import { MEMORY, openList, type SqliteList } from '../../src/list/sqlite-list.ts';
import { testMark } from '../support/chats/claims.ts';
import { SILENT, temporaryFolder } from '../support/processes/nats.ts';
import { testMeta } from '../support/chats/test-meta.ts';

interface Chat {
  readonly tenant: string;
  readonly priority: number;
  readonly became: 'queued' | 'taken' | 'cancelled' | 'deleted';
  /** The record of what it became is read before its start. */
  readonly early: boolean;
}

const chat: fc.Arbitrary<Chat> = fc.record({
  tenant: fc.constantFrom('a', 'b'),
  priority: fc.integer({ min: 0, max: 9 }),
  became: fc.constantFrom('queued', 'queued', 'taken', 'cancelled', 'deleted'),
  early: fc.boolean(),
});

const LATER_MS = 3_600_000;

function changesOf({ tenant, priority, became, early }: Chat, i: number): ChatChange[] {
  const key = { tenant, streamId: `chat-${i}` };
  const createdAtMs = Date.now();
  const expiresAtMs = createdAtMs + LATER_MS;
  const meta = testMeta({ createdAtMs, expiresAtMs });
  const sequence = startOf(i);
  const start: ChatChange = { kind: 'start', sequence, chat: key, priority, meta };
  if (became === 'queued') return [start];
  if (became === 'deleted')
    return [start, { kind: 'delete', sequence: sequence + 1, chat: key, meta }];
  const { PROCESSING, CANCELLED } = ChatStreamStatus;
  const status = became === 'taken' ? PROCESSING : CANCELLED;
  const mark = testMark({ status, priority, createdAtMs, expiresAtMs });
  const changed: ChatChange = { kind: 'status', sequence, chat: key, mark, data: Buffer.of() };
  return early ? [changed, start] : [start, changed];
}

function startOf(i: number): number {
  return i * 2 + 1;
}

async function listOf(file: string, changes: readonly ChatChange[]): Promise<SqliteList> {
  const last: ListPosition = { commands: 1_000_000, events: 1_000_000 };
  const feed: ChangeFeed = {
    storeId: () => Promise.resolve('a store'),
    follow: (after, onChange) => {
      if (after.commands === 0) for (const change of changes) onChange(change);
      return Promise.resolve({ stop: () => Promise.resolve() });
    },
    end: () => Promise.resolve({ commands: 0, events: 0 }),
    next: () => Promise.resolve(last),
  };
  const list = await openList(file, feed, SILENT);
  await list.caughtUp();
  return list;
}

function before(chats: readonly Chat[], i: number): number {
  const own = chats[i]?.priority ?? 0;
  return chats.filter(
    ({ became, priority }, j) =>
      became === 'queued' && (priority < own || (priority === own && j < i)),
  ).length;
}

test('a position counts the queued chats of all tenants that are before it, and no others', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(chat, { minLength: 1, maxLength: 60 }), async (chats) => {
      await using list = await listOf(MEMORY, chats.flatMap(changesOf));
      for (const [i, { priority }] of chats.entries()) {
        assert.equal(list.position(priority, startOf(i)), before(chats, i), `chat ${i}`);
      }
    }),
    { numRuns: 60 },
  );
});

test('a list that is opened again knows the places; its pages show them', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'list.sqlite');
  const chats = Array.from({ length: 40 }, (_, i): Chat => ({
    tenant: i % 2 === 0 ? 'a' : 'b',
    priority: i % 3,
    became: i % 5 === 0 ? 'taken' : 'queued',
    early: false,
  }));
  {
    await using _first = await listOf(file, chats.flatMap(changesOf));
  }
  await using list = await listOf(file, []);
  const filter = {
    tenant: 'a',
    statuses: [],
    correlationId: '',
    metadata: {},
    createdAfterMs: undefined,
    createdBeforeMs: undefined,
  };
  const page = list.page(filter, undefined, 100);
  assert.equal(page.length, 20);
  for (const { streamId, status, queuePosition } of page) {
    const i = Number(streamId.slice('chat-'.length));
    const queued = status === ChatStreamStatus.PENDING;
    assert.equal(queuePosition, queued ? before(chats, i) : undefined, streamId);
  }
});
