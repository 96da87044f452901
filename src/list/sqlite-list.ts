// src/list: the list of chats, a SQLite view of the commands and status records that every api process
// builds for itself. What does not belong here: a decision about a chat; the log decides.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import type { ChangeFeed, ChatChange, ChatList, ListPosition } from '../chat/chat-list.ts';
import { ChatError } from '../chat/errors.ts';
import {
  LIST_CATCH_UP_MS,
  LIST_CLEAN_EVERY_MS,
  LIST_FLUSH_MS,
  LIST_KEEP_EXPIRED_MS,
} from '../chat/limits.ts';
import type { Logger } from '../chat/logger.ts';
import { openQueries } from './queries.ts';
import { DELETE, LABEL, SCHEMA, SCHEMA_VERSION, START, STATUS } from './schema.ts';

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
  const writer = openWriter(database);
  let position = readPosition(database);
  let waiting: ChatChange[] = [];
  let flushing: NodeJS.Timeout | undefined;
  const reached = new Set<() => void>();

  const flush = (): void => {
    flushing = undefined;
    const changes = waiting;
    waiting = [];
    position = writer.apply(changes, position);
    for (const listener of reached) listener();
  };
  const following = await feed.follow(position, (change) => {
    waiting.push(change);
    // In one transaction with what comes with it, and with the position that they bring.
    flushing ??= setTimeout(flush, LIST_FLUSH_MS);
  });
  const cleaning = setInterval(
    () => writer.dropExpired(Date.now() - LIST_KEEP_EXPIRED_MS),
    LIST_CLEAN_EVERY_MS,
  );
  logger.debug(position, 'the list is open');

  const isReached = (target: ListPosition): boolean =>
    position.commands >= target.commands && position.events >= target.events;

  return {
    ...openQueries(database),
    caughtUp: async (tenant) => {
      const target = await feed.newest(tenant);
      if (isReached(target)) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const listener = (): void => {
        if (isReached(target)) resolve();
      };
      const timer = setTimeout(() => reject(behind()), LIST_CATCH_UP_MS);
      reached.add(listener);
      try {
        await promise;
      } finally {
        clearTimeout(timer);
        reached.delete(listener);
      }
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(cleaning);
      await following.stop();
      clearTimeout(flushing);
      if (waiting.length > 0) flush();
      database.close();
    },
  };
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

function openWriter(database: DatabaseSync): Writer {
  const start = database.prepare(START);
  const label = database.prepare(LABEL);
  const remove = database.prepare(DELETE);
  const unlabel = database.prepare('DELETE FROM labels WHERE tenant = ? AND stream_id = ?');
  const status = database.prepare(STATUS);
  const move = database.prepare('UPDATE position SET commands = ?, events = ?');
  const expired = database.prepare('DELETE FROM chats WHERE expires_at_ms < ?');
  const orphaned = database.prepare(
    'DELETE FROM labels WHERE NOT EXISTS (SELECT 1 FROM chats WHERE chats.tenant = labels.tenant AND chats.stream_id = labels.stream_id)',
  );
  const write = (change: ChatChange): void => {
    if (change.kind === 'foreign') return;
    const { tenant, streamId } = change.chat;
    switch (change.kind) {
      case 'start':
        start.run(startRow(change));
        for (const [key, value] of Object.entries(change.meta.metadata)) {
          label.run(tenant, key, value, streamId);
        }
        return;
      case 'delete':
        remove.run({ tenant, stream_id: streamId, expires_at_ms: change.meta.expiresAtMs });
        unlabel.run(tenant, streamId);
        return;
      case 'status':
        status.run(statusRow(change));
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
      database.exec('BEGIN');
      if (expired.run(nowMs).changes > 0) orphaned.run();
      database.exec('COMMIT');
    },
  };
}

function placeOf(change: ChatChange): keyof ListPosition {
  if (change.kind === 'foreign') return change.in;
  return change.kind === 'status' ? 'events' : 'commands';
}

type Row = Parameters<StatementSync['run']>[0];

function startRow(change: Extract<ChatChange, { kind: 'start' | 'delete' }>): Row {
  const { chat, meta, priority } = change;
  return {
    tenant: chat.tenant,
    stream_id: chat.streamId,
    created_at_ms: meta.createdAtMs,
    expires_at_ms: meta.expiresAtMs,
    model: meta.model,
    priority,
    correlation_id: meta.correlationId,
    metadata: JSON.stringify(meta.metadata),
  };
}

function statusRow(change: Extract<ChatChange, { kind: 'status' }>): Row {
  const { chat, mark, data } = change;
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
    terminal: mark.kind === 'end' ? data : null,
  };
}
