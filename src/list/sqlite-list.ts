// src/list: the list of chats, a SQLite view of the commands and status records that every api process
// builds for itself. What does not belong here: a decision about a chat; the log decides.
import { fromBinary } from '@bufbuild/protobuf';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue } from 'node:sqlite';
import { EventBatchSchema } from '../../gen/tailrace/v1/event_pb.ts';
import type { ChangeFeed, ChatChange, ChatList, ListPosition } from '../chat/ports/chat-list.ts';
import { runDueMs } from '../chat/decisions/deadlines.ts';
import { ChatError } from '../chat/errors.ts';
import {
  LIST_CATCH_UP_MS,
  LIST_CLEAN_BATCH,
  LIST_CLEAN_EVERY_MS,
  LIST_FLUSH_MS,
  LIST_KEEP_EXPIRED_MS,
} from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { PendingCall } from './queries.ts';
import { openQueries } from './queries.ts';
import type { QueuePlaces } from './queue-places.ts';
import { openQueuePlaces } from './queue-places.ts';
import {
  CONTINUE,
  DELETE,
  DROP_EXPIRED,
  LABEL,
  SCHEMA,
  SCHEMA_VERSION,
  START,
  STATUS,
  UNLABEL,
  UNLABEL_EXPIRED,
} from './schema.ts';

export const MEMORY = ':memory:';

export interface SqliteList extends ChatList, AsyncDisposable {}

/** `file`: MEMORY where the data folder is not this process's alone. */
export async function openList(
  file: string,
  feed: ChangeFeed,
  logger: Logger,
): Promise<SqliteList> {
  const storeId = await feed.storeId();
  const database = openDatabase(file, storeId);
  const places = openQueuePlaces(database);
  const writer = openWriter(database, places.changed);
  let position = readPosition(database);
  /** Up to here the leaders were seen to have no change that is not in: deltas lie behind the last. */
  let looked: ListPosition = { commands: 0, events: 0 };
  let waiting: ChatChange[] = [];
  let flushing: NodeJS.Timeout | undefined;
  const reached = new Set<() => void>();

  const flush = (): void => {
    clearTimeout(flushing);
    flushing = undefined;
    if (waiting.length === 0) return;
    const changes = waiting;
    waiting = [];
    position = writer.apply(changes, position);
    for (const listener of reached) listener();
  };
  const following = await feed.follow(position, (change) => {
    waiting.push(change);
    // In one transaction with what comes with it, and with the position that they bring.
    flushing ??= setTimeout(flush, reached.size > 0 ? 0 : LIST_FLUSH_MS);
  });
  const cleaning = setInterval(
    () => writer.dropExpired(Date.now() - LIST_KEEP_EXPIRED_MS),
    LIST_CLEAN_EVERY_MS,
  );
  logger.debug(position, 'the list is open');

  const isReached = (target: ListPosition): boolean =>
    position.commands >= target.commands && position.events >= target.events;

  const untilReached = async (target: ListPosition, timeoutMs: number): Promise<void> => {
    if (isReached(target)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const listener = (): void => {
      if (isReached(target)) resolve();
    };
    const timer = setTimeout(() => reject(behind()), Math.max(timeoutMs, 0));
    reached.add(listener);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      reached.delete(listener);
    }
  };

  return {
    ...openQueries(database, places.before),
    position: places.before,
    caughtUp: async () => {
      const deadlineMs = performance.now() + LIST_CATCH_UP_MS;
      // What is stored later came after the call: it is not waited for, or there were no end to it.
      const end = await feed.end();
      flush();
      for (;;) {
        const next = await feed.next(later(position, looked));
        const target = {
          commands: next.commands <= end.commands ? next.commands : 0,
          events: next.events <= end.events ? next.events : 0,
        };
        if (target.commands === 0 && target.events === 0) break;
        await untilReached(target, deadlineMs - performance.now());
      }
      looked = later(looked, end);
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(cleaning);
      await following.stop();
      flush();
      database.close();
    },
  };
}

function later(a: ListPosition, b: ListPosition): ListPosition {
  return { commands: Math.max(a.commands, b.commands), events: Math.max(a.events, b.events) };
}

function behind(): ChatError {
  return new ChatError(
    'LOG_UNAVAILABLE',
    'The list has not caught up with the log yet, as after a start on many stored chats. Call again.',
    { retryAfterMs: 2_000 },
  );
}

function openDatabase(file: string, storeId: string): DatabaseSync {
  if (file !== MEMORY) mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(file);
  // A view that is lost is built again: it need not survive a loss of power.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;');
  if (!isCurrent(database, storeId)) {
    const tables = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .all();
    for (const { name } of tables) database.exec(`DROP TABLE "${String(name)}"`);
    database.exec(SCHEMA);
    database
      .prepare('INSERT INTO position (id, store_id, commands, events) VALUES (1, ?, 0, 0)')
      .run(storeId);
    database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
  }
  return database;
}

function isCurrent(database: DatabaseSync, storeId: string): boolean {
  const version = database.prepare('PRAGMA user_version').get()?.['user_version'];
  if (version !== SCHEMA_VERSION) return false;
  return database.prepare('SELECT store_id FROM position').get()?.['store_id'] === storeId;
}

function readPosition(database: DatabaseSync): ListPosition {
  const row = database.prepare('SELECT commands, events FROM position').get();
  return { commands: Number(row?.['commands']), events: Number(row?.['events']) };
}

interface Writer {
  /** Applies the changes and moves the position in one transaction; returns the new position. */
  readonly apply: (changes: readonly ChatChange[], from: ListPosition) => ListPosition;
  readonly dropExpired: (nowMs: number) => void;
}

function openWriter(database: DatabaseSync, changed: QueuePlaces['changed']): Writer {
  const start = database.prepare(START);
  const label = database.prepare(LABEL);
  const goOn = database.prepare(CONTINUE);
  const pendingOf = database.prepare(
    'SELECT pending FROM chats WHERE tenant = ? AND stream_id = ?',
  );
  const remove = database.prepare(DELETE);
  const unlabel = database.prepare(UNLABEL);
  const status = database.prepare(STATUS);
  const move = database.prepare('UPDATE position SET commands = ?, events = ?');
  const unlabelExpired = database.prepare(UNLABEL_EXPIRED);
  const dropExpired = database.prepare(DROP_EXPIRED);
  const write = (change: ChatChange): void => {
    if (change.kind === 'foreign') return;
    const { tenant, streamId } = change.chat;
    switch (change.kind) {
      case 'start': {
        const row = startRow(change);
        changed(start.get(row));
        const { created_at_ms, metadata } = row;
        label.run({ tenant, stream_id: streamId, created_at_ms, metadata });
        return;
      }
      case 'continue':
        goOn.run({
          tenant,
          stream_id: streamId,
          expires_at_ms: change.meta.expiresAtMs,
          continued: change.meta.results,
        });
        return;
      case 'delete':
        unlabel.run({ tenant, stream_id: streamId });
        changed(
          remove.get({ tenant, stream_id: streamId, expires_at_ms: change.meta.expiresAtMs }),
        );
        return;
      case 'status':
        changed(
          status.get(
            statusRow(change, () => {
              return String(pendingOf.get(tenant, streamId)?.['pending'] ?? '[]');
            }),
          ),
        );
        return;
    }
  };
  return {
    apply: (changes, from) => {
      let { commands, events } = from;
      database.exec('BEGIN');
      for (const change of changes) {
        write(change);
        if (placeOf(change) === 'events') events = Math.max(events, change.sequence);
        else commands = Math.max(commands, change.sequence);
      }
      move.run(commands, events);
      database.exec('COMMIT');
      return { commands, events };
    },
    dropExpired: (nowMs) => {
      const which = { now: nowMs, limit: LIST_CLEAN_BATCH };
      database.exec('BEGIN');
      unlabelExpired.run(which);
      for (const row of dropExpired.all(which)) changed(row);
      database.exec('COMMIT');
    },
  };
}

function placeOf(change: ChatChange): keyof ListPosition {
  if (change.kind === 'foreign') return change.in;
  return change.kind === 'status' ? 'events' : 'commands';
}

type Row = Record<string, SQLInputValue>;

function startRow(change: Extract<ChatChange, { kind: 'start' }>): {
  readonly [column: string]: SQLInputValue;
  readonly created_at_ms: number;
  readonly metadata: string;
} {
  const { chat, meta, priority } = change;
  return {
    tenant: chat.tenant,
    stream_id: chat.streamId,
    created_at_ms: meta.createdAtMs,
    expires_at_ms: meta.expiresAtMs,
    model: meta.model,
    priority,
    start_sequence: change.sequence,
    correlation_id: meta.correlationId,
    metadata: JSON.stringify(meta.metadata),
  };
}

/** `pending`: the calls that the chat waited for before. */
function statusRow(change: Extract<ChatChange, { kind: 'status' }>, pending: () => string): Row {
  const { chat, mark, data, sequence } = change;
  const answered = mark.kind === 'results';
  return {
    tenant: chat.tenant,
    stream_id: chat.streamId,
    created_at_ms: mark.createdAtMs,
    expires_at_ms: mark.expiresAtMs,
    model: mark.model,
    priority: mark.priority,
    status: mark.status,
    attempt: mark.attempt,
    latest_sequence: mark.lastSequence,
    started_at_ms: mark.startedAtMs,
    run_due_ms: mark.startedAtMs === 0 || mark.waitingSinceMs > 0 ? null : runDueMs(mark),
    ends_at_ms: mark.kind === 'wait' ? mark.deadlineMs : null,
    results: answered ? sequence : mark.results,
    answered_at_ms: answered ? Date.now() : null,
    pending: mark.kind === 'wait' ? stillPending(data, pending) : '[]',
    terminal: mark.kind === 'end' ? data : null,
  };
}

/** Of the record that began the wait, or of one that brought some of the results. */
function stillPending(record: Uint8Array, before: () => string): string {
  const { events } = fromBinary(EventBatchSchema, record);
  const payload = events.at(-1)?.payload;
  if (payload?.case === 'toolResultsRequested') {
    const calls = payload.value.toolUses.map(({ id, name }): PendingCall => ({ id, name }));
    return JSON.stringify(calls);
  }
  if (payload?.case !== 'toolResultsReceived') return '[]';
  const answered = new Set(payload.value.results.map(({ toolUseId }) => toolUseId));
  const calls = JSON.parse(before()) as PendingCall[];
  return JSON.stringify(calls.filter(({ id }) => !answered.has(id)));
}
