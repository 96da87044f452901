// What the list is asked, as SQL over its tables.
import { create, fromBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite';
import type { ChatStream } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamSchema, ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { EventBatchSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../chat/answer.ts';
import type { ChatList, ListFilter, ListPlace } from '../chat/chat-list.ts';
import { applyFold } from '../chat/chat-view.ts';

/** Counting thousands of rows for each start would cost more than the start. */
const COUNT_FRESH_MS = 100;

type Row = Record<string, SQLOutputValue>;

export function openQueries(database: DatabaseSync): Pick<ChatList, 'page' | 'overdue' | 'queued'> {
  const overdue = database.prepare(`
    SELECT tenant, stream_id, status FROM chats
    WHERE status < 3 AND deleted = 0 AND started = 1 AND (
      (status = ${ChatStreamStatus.PENDING} AND created_at_ms < :pending) OR
      (status = ${ChatStreamStatus.PROCESSING} AND started_at_ms < :processing) OR
      expires_at_ms < :expires)
    LIMIT :limit`);
  const counted = new Map<string, { readonly count: number; readonly atMs: number }>();
  const queued = database.prepare(`
    SELECT count(*) AS count FROM chats
    WHERE tenant = ? AND status = ${ChatStreamStatus.PENDING} AND status < 3 AND deleted = 0 AND started = 1`);
  return {
    page: (filter, after, size) => {
      const { sql, values } = pageQuery(filter, after, size);
      return database
        .prepare(sql)
        .all(...values)
        .map(toChatStream);
    },
    overdue: (before) =>
      overdue
        .all({
          pending: before.pendingCreatedMs,
          processing: before.processingStartedMs,
          expires: before.expiresMs,
          limit: before.limit,
        })
        .map((row) => ({
          chat: { tenant: String(row['tenant']), streamId: String(row['stream_id']) },
          status: Number(row['status']) as ChatStreamStatus,
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

function pageQuery(
  filter: ListFilter,
  after: ListPlace | undefined,
  size: number,
): { readonly sql: string; readonly values: readonly SQLInputValue[] } {
  const conditions = ['tenant = ?', 'deleted = 0', 'started = 1', 'expires_at_ms > ?'];
  const values: SQLInputValue[] = [filter.tenant, Date.now()];
  const add = (condition: string, ...more: SQLInputValue[]): void => {
    conditions.push(condition);
    values.push(...more);
  };
  if (after !== undefined) {
    add('(created_at_ms, stream_id) < (?, ?)', after.createdAtMs, after.streamId);
  }
  if (filter.statuses.length > 0) {
    add(`status IN (${filter.statuses.map(() => '?').join(', ')})`, ...filter.statuses);
  }
  if (filter.correlationId !== '') {
    add("correlation_id = ? AND correlation_id <> ''", filter.correlationId);
  }
  if (filter.createdAfterMs !== undefined) add('created_at_ms > ?', filter.createdAfterMs);
  if (filter.createdBeforeMs !== undefined) add('created_at_ms < ?', filter.createdBeforeMs);
  for (const [key, value] of Object.entries(filter.metadata)) {
    add(
      'stream_id IN (SELECT stream_id FROM labels WHERE tenant = ? AND key = ? AND value = ?)',
      filter.tenant,
      key,
      value,
    );
  }
  const sql = `SELECT * FROM chats WHERE ${conditions.join(' AND ')}
    ORDER BY created_at_ms DESC, stream_id DESC LIMIT ?`;
  return { sql, values: [...values, size] };
}

function toChatStream(row: Row): ChatStream {
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
  if (number('started_at_ms') > 0) view.startedAt = timestampFromMs(number('started_at_ms'));
  const terminal = row['terminal'];
  if (terminal instanceof Uint8Array) {
    applyFold(view, AnswerFold.ofEnd(fromBinary(EventBatchSchema, terminal).events));
  }
  return view;
}
