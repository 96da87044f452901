// Queries of a database as database_query makes them: through its engine, past the door.
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { ToolFailure } from '../../../src/chat/ports/tool.ts';
import { createAddressGuard } from '../../../src/tools/fetch/address-guard.ts';
import { readConnectionString } from '../../../src/tools/databases/connection-string.ts';
import {
  type Asked,
  createDatabaseEngine,
  type DatabaseEngine,
  type DatabaseEngineOptions,
} from '../../../src/tools/databases/database-engine.ts';
import { chatKey } from '../chats/chat-fixtures.ts';

export interface Result {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly note?: string;
}

export const NEVER = new AbortController().signal;

/** Whose host 127.0.0.1 is allowed, as an operator would. */
export function testEngine(options: Partial<DatabaseEngineOptions> = {}): DatabaseEngine {
  const allowed = new BlockList();
  allowed.addAddress('127.0.0.1');
  return createDatabaseEngine({ guard: createAddressGuard(allowed), folders: [], ...options });
}

export function asked(connectionString: string, allowed: Partial<Asked['allowed']> = {}): Asked {
  const read = readConnectionString(connectionString);
  assert.ok(read.ok, read.ok ? '' : read.why);
  const { schemas = [], tables = [] } = allowed;
  return { address: read.address, allowed: { schemas, tables }, whose: chatKey() };
}

export async function rows(
  engine: DatabaseEngine,
  of: Asked,
  sql: string,
  signal: AbortSignal = NEVER,
): Promise<Result> {
  return JSON.parse(await engine.query(of, sql, signal)) as Result;
}

/** What the model is told of a query that fails. */
export async function failure(engine: DatabaseEngine, of: Asked, sql: string): Promise<string> {
  const said = await engine.query(of, sql, NEVER).then(
    (text) => assert.fail(`${sql} was answered: ${text}`),
    (error: unknown) => error,
  );
  assert.ok(said instanceof ToolFailure, `${sql}: ${String(said)}`);
  return said.message;
}
