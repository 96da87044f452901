// What the list is asked, as SQL over its tables.
import { create, fromBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { ChatStream } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamSchema, ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ToolUseBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { EventBatchSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../chat/fold/answer.ts';
import type { ChatList, ListFilter, ListPlace } from '../chat/ports/chat-list.ts';
import { applyFold } from '../chat/fold/chat-view.ts';

/** Counting thousands of rows for each start would cost more than the start. */
const COUNT_FRESH_MS = 100;

type Row = Record<string, SQLOutputValue>;

/** A call that a chat waits for, as the list keeps it. */
export interface PendingCall {
  readonly id: string;
  readonly name: string;
}

export function openQueries(
  database: DatabaseSync,
  position: ChatList['position'],
): Pick<ChatList, 'page' | 'overdue' | 'queued'> {
  const overdue = database.prepare(`
    SELECT tenant, stream_id, correlation_id, (
      (status = ${ChatStreamStatus.PENDING} AND created_at_ms < :pending) OR
      coalesce(run_due_ms < :due, 0) OR
      coalesce(ends_at_ms < :ends, 0) OR
      expires_at_ms < :ends) AS ends
    FROM chats
    WHERE status < 3 AND deleted = 0 AND started = 1 AND (
      ends = 1 OR (answered_at_ms < :answered AND results > continued))
    LIMIT :limit`);
  const counted = new Map<string, { readonly count: number; readonly atMs: number }>();
  const queued = database.prepare(`
    SELECT count(*) AS count FROM chats
    WHERE tenant = ? AND status = ${ChatStreamStatus.PENDING} AND status < 3 AND deleted = 0 AND started = 1`);
  return {
    page: (filter, after, size) => {
      const { sql, values } = pageQuery(database, filter, after, size);
      return database
        .prepare(sql)
        .all(...values)
        .map((row) => toChatStream(row, position));
    },
    overdue: (before) =>
      overdue
        .all({
          pending: before.pendingCreatedMs,
          due: before.runDueMs,
          ends: before.endsMs,
          answered: before.answeredMs,
          limit: before.limit,
        })
        .map((row) => ({
          chat: { tenant: String(row['tenant']), streamId: String(row['stream_id']) },
          correlationId: String(row['correlation_id']),
          due: row['ends'] === 1 ? ('end' as const) : ('continue' as const),
        })),
    queued: (tenant) => {
      const now = performance.now();
      const known = counted.get(tenant);
      if (known !== undefined && now - known.atMs < COUNT_FRESH_MS) return known.count;
      const count = Number(queued.get(tenant)?.['count']);
      counted.set(tenant, { count, atMs: now });
      return count;
    },
  };
}

/** Chats that lie together in an index, in the order of the list: what a filter may be read from. */
interface Run {
  readonly table: 'chats' | 'labels';
  /** The key of the metadata that it holds. */
  readonly key: string | undefined;
  readonly from: string;
  readonly where: string;
  readonly values: readonly SQLInputValue[];
}

/** Which of two runs is the shorter need not be known of longer ones: each soon has a page. */
const COUNTED_UP_TO = 1_000;

const LISTED = 'chats.deleted = 0 AND chats.started = 1';

interface Query {
  readonly sql: string;
  readonly values: readonly SQLInputValue[];
}

/**
 * A page is read along the index of what its filter names that holds the fewest chats; each chat on
 * the way is looked at for the rest of the filter.
 */
function pageQuery(
  database: DatabaseSync,
  filter: ListFilter,
  after: ListPlace | undefined,
  size: number,
): Query {
  const pages = fewest(database, waysTo(filter)).map((run) => runQuery(run, filter, after, size));
  const [first, ...more] = pages;
  if (first !== undefined && more.length === 0) return first;
  // Each run's page is in order already and no longer than the whole: what is sorted here is little.
  return {
    sql: `${pages.map(({ sql }) => `SELECT * FROM (${sql})`).join(' UNION ALL ')}
      ORDER BY created_at_ms DESC, stream_id DESC LIMIT ?`,
    values: [...pages.flatMap(({ values }) => values), size],
  };
}

/** Each way to all chats of the filter, as the runs that hold them. */
function waysTo({ tenant, statuses, correlationId, metadata }: ListFilter): Run[][] {
  const inChats = (index: string, ...equal: readonly [string, SQLInputValue][]): Run => ({
    table: 'chats',
    key: undefined,
    // Without statistics the planner would often take another.
    from: `chats INDEXED BY ${index}`,
    where: ['chats.tenant = ?', ...equal.map(([is]) => is), LISTED].join(' AND '),
    values: [tenant, ...equal.map(([, value]) => value)],
  });
  const ways: Run[][] = [];
  if (correlationId !== '') {
    const is = "chats.correlation_id = ? AND chats.correlation_id <> ''";
    ways.push([inChats('by_correlation', [is, correlationId])]);
  }
  for (const [key, value] of Object.entries(metadata)) {
    ways.push([
      {
        table: 'labels',
        key,
        from: 'labels',
        where: 'labels.tenant = ? AND labels.key = ? AND labels.value = ?',
        values: [tenant, key, value],
      },
    ]);
  }
  if (statuses.length > 0) {
    const each = [...new Set(statuses)];
    ways.push(each.map((status) => inChats('by_status', ['chats.status = ?', status])));
  }
  return ways.length > 0 ? ways : [[inChats('newest')]];
}

/** A page of one run. */
function runQuery(run: Run, filter: ListFilter, after: ListPlace | undefined, size: number): Query {
  const { table } = run;
  const conditions = [run.where, 'chats.expires_at_ms > ?'];
  const values: SQLInputValue[] = [...run.values, Date.now()];
  const add = (condition: string, ...more: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...more);
  };
  if (after !== undefined) {
    const { createdAtMs, streamId } = after;
    add(`(${table}.created_at_ms, ${table}.stream_id) < (?, ?)`, createdAtMs, streamId);
  } else if (filter.createdBeforeMs !== undefined) {
    // The place of a later page is before that time already.
    add(`${table}.created_at_ms < ?`, filter.createdBeforeMs);
  }
  if (filter.createdAfterMs !== undefined) {
    add(`${table}.created_at_ms > ?`, filter.createdAfterMs);
  }
  if (table === 'labels') add(LISTED);
  if (filter.statuses.length > 0) {
    add(`chats.status IN (${filter.statuses.map(() => '?').join(', ')})`, ...filter.statuses);
  }
  if (filter.correlationId !== '') add('chats.correlation_id = ?', filter.correlationId);
  for (const [key, value] of Object.entries(filter.metadata)) {
    if (key === run.key) continue;
    add(
      `EXISTS (SELECT 1 FROM labels AS other WHERE other.tenant = ? AND other.key = ? AND other.value = ?
        AND other.created_at_ms = ${table}.created_at_ms AND other.stream_id = ${table}.stream_id)`,
      filter.tenant,
      key,
      value,
    );
  }
  const from =
    table === 'chats'
      ? run.from
      : `labels CROSS JOIN chats ON chats.tenant = labels.tenant AND chats.stream_id = labels.stream_id`;
  const sql = `SELECT chats.* FROM ${from} WHERE ${conditions.join(' AND ')}
    ORDER BY ${table}.created_at_ms DESC, ${table}.stream_id DESC LIMIT ?`;
  return { sql, values: [...values, size] };
}

function fewest(database: DatabaseSync, ways: readonly (readonly Run[])[]): readonly Run[] {
  const [only, ...others] = ways;
  if (only !== undefined && others.length === 0) return only;
  const counted = ways.map((runs) => ({
    runs,
    count: runs.reduce((sum, { from, where, values }) => {
      const sql = `SELECT count(*) AS count FROM (SELECT 1 FROM ${from} WHERE ${where} LIMIT ${COUNTED_UP_TO})`;
      return sum + Number(database.prepare(sql).get(...values)?.['count']);
    }, 0),
  }));
  return counted.reduce((least, each) => (each.count < least.count ? each : least)).runs;
}
function toChatStream(row: Row, position: ChatList['position']): ChatStream {
  const number = (name: string): number => Number(row[name]);
  const view = create(ChatStreamSchema, {
    streamId: String(row['stream_id']),
    status: number('status') as ChatStreamStatus,
    model: String(row['model']),
    priority: number('priority'),
    correlationId: String(row['correlation_id']),
    metadata: JSON.parse(String(row['metadata'])) as Record<string, string>,
    createdAt: timestampFromMs(number('created_at_ms')),
    expiresAt: timestampFromMs(number('expires_at_ms')),
    attempt: number('attempt'),
    latestSequence: number('latest_sequence'),
  });
  if (view.status === ChatStreamStatus.PENDING) {
    view.queuePosition = position(view.priority ?? 0, number('start_sequence'));
  }
  if (number('started_at_ms') > 0) view.startedAt = timestampFromMs(number('started_at_ms'));
  // Their inputs may be large, and many: GetChatStream has them.
  const pending = JSON.parse(String(row['pending'])) as PendingCall[];
  view.pendingToolUses = pending.map((call) => create(ToolUseBlockSchema, call));
  const terminal = row['terminal'];
  if (terminal instanceof Uint8Array) {
    applyFold(view, AnswerFold.ofEnd(fromBinary(EventBatchSchema, terminal).events));
  }
  return view;
}
