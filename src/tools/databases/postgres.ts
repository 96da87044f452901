// PostgreSQL. What holds, and by what: one statement, since the extended protocol takes no more; a SELECT that writes
// nothing, since only such a one can be DECLAREd a cursor; no write, since its transaction is READ ONLY and rolled back
// at the end; no function with effects, since those that the catalog calls volatile are refused by name. Settings are
// SET LOCAL: with a pooler in between, another's session must not inherit them.
import { connect as connectSocket, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import {
  DATABASE_CANCEL_MS,
  DATABASE_QUERY_MS,
  MAX_LISTED_TABLES,
  MAX_SQL_ERROR_CHARS,
  MAX_SQL_RESULT_ROWS,
} from '../../chat/limits.ts';
import { createRowsText, type SqlValue, TOO_MANY_COLUMNS } from '../sql/rows-text.ts';
import { SEVERAL_STATEMENTS } from '../sql/select.ts';
import type { AllowedNames } from './allowed-names.ts';
import { connectTo, tlsOptions } from './connect.ts';
import type { ServerTarget } from './database-protocol.ts';
import { checkPostgres } from './postgres-checks.ts';
import { type Session, SqlFailure } from './session.ts';
import { isSelect, READ_ONLY } from './sql-words.ts';

/** Rows asked for at a time: the most that are held beside those of the answer. */
const FETCH_ROWS = 50;

export async function openPostgres(target: ServerTarget): Promise<Session> {
  const client = await connectTo(target, (address, ms) => connected(target, address, ms), refusal);
  const { host: address } = client;
  // Its connection may break at any time; whoever waits for a query hears of it by that.
  client.on('error', () => undefined);
  const told = (error: unknown): Error => inWords(error, target.password);
  return {
    query: async (sql, allowed) => {
      // PostgreSQL decides; this only says it better.
      if (!isSelect(sql)) throw new SqlFailure(READ_ONLY);
      try {
        await begin(client);
        await checkPostgres((text, values) => ask(client, text, values), sql, allowed);
        return await rowsOf(client, sql);
      } catch (error) {
        throw told(error);
      }
    },
    list: async (find, allowed) => {
      try {
        await begin(client);
        return await listTables(client, find, allowed);
      } catch (error) {
        throw told(error);
      }
    },
    cancel: () => cancel(client, address, target.port),
    close: () => leave(client),
  };
}

async function connected(
  target: ServerTarget,
  address: string,
  connectionTimeoutMillis: number,
): Promise<Client> {
  const { port, user, password, database } = target;
  const client = new Client({
    host: address,
    port,
    user,
    // A function: without a password it would look for a file of them.
    password: () => password,
    database,
    ssl: tlsOptions(target) ?? false,
    connectionTimeoutMillis,
    application_name: 'tailrace',
    types: { getTypeParser: () => (text: string) => text },
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    streamOf(client).destroy();
    throw error;
  }
}

/** Where a transaction is open, that is its end. Once the goodbye is sent, nothing that still comes is read. */
function leave(client: Client): void {
  void client.end().catch(() => undefined);
  streamOf(client).destroySoon();
}

/** How a server refuses whoever connects: its own words name user, host and database. */
function refusal(error: unknown): string | undefined {
  if (!(error instanceof DatabaseError)) return undefined;
  const code = error.code ?? '';
  const why: Readonly<Record<string, string>> = {
    '28P01': 'the user or the password is wrong',
    '28000':
      'it lets this user in from here neither with nor without TLS, or asks for another login',
    '3D000': 'there is no database of that name',
    '42501': 'the user may not use that database',
    '53300': 'it has no connections left',
    '57P03': 'it is starting or stopping',
  };
  return `the database cannot be used: ${why[code] ?? `it refused the connection (${code})`}`;
}

async function begin(client: Client): Promise<void> {
  await client.query('BEGIN TRANSACTION READ ONLY');
  await client.query(
    `SET LOCAL statement_timeout = ${DATABASE_QUERY_MS};
     SET LOCAL lock_timeout = ${DATABASE_QUERY_MS};
     SET LOCAL idle_in_transaction_session_timeout = ${2 * DATABASE_QUERY_MS};
     SET LOCAL standard_conforming_strings = on;
     SET LOCAL bytea_output = hex;
     SET LOCAL datestyle = 'ISO, YMD';
     SET LOCAL client_encoding = 'UTF8'`,
  );
}

type Row = readonly (string | null)[];

async function ask(client: Client, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await client.query<(string | null)[]>({
    text,
    values: [...values],
    rowMode: 'array',
  });
  return rows;
}

async function rowsOf(client: Client, sql: string): Promise<string> {
  const declare = `DECLARE tailrace NO SCROLL CURSOR WITHOUT HOLD FOR ${sql}`;
  // As the types have it not: a statement of the extended protocol without values.
  const extended: { readonly text: string; readonly queryMode: 'extended' } = {
    text: declare,
    queryMode: 'extended',
  };
  await client.query(extended);
  let answer: ReturnType<typeof createRowsText>;
  for (let asked = 0; asked <= MAX_SQL_RESULT_ROWS; asked += FETCH_ROWS) {
    const { fields, rows } = await client.query<(string | null)[]>({
      text: `FETCH FORWARD ${FETCH_ROWS} FROM tailrace`,
      rowMode: 'array',
    });
    answer ??= createRowsText(fields.map(({ name }) => name));
    if (answer === undefined) throw new SqlFailure(TOO_MANY_COLUMNS);
    const types = fields.map(({ dataTypeID }) => dataTypeID);
    for (const row of rows) {
      if (!answer.add(row.map((text, at) => valueOf(text, types[at])))) return answer.text();
    }
    if (rows.length < FETCH_ROWS) break;
  }
  return answer?.text() ?? '';
}

const BOOLEAN = 16;
const INTEGERS: ReadonlySet<number | undefined> = new Set([20, 21, 23, 26]);
const NUMBERS: ReadonlySet<number | undefined> = new Set([700, 701, 1700]);

function valueOf(text: string | null, type: number | undefined): SqlValue {
  if (text === null) return null;
  if (type === BOOLEAN) return text === 't';
  if (INTEGERS.has(type) && /^-?\d{1,20}$/.test(text)) return BigInt(text);
  // Digits that a number would lose stay a text.
  if (NUMBERS.has(type) && /^-?[\d.]{1,15}$/.test(text)) return Number(text);
  return text;
}

const TABLES = `
  SELECT n.nspname::text, c.relname::text,
    pg_catalog.format('%I.%I', n.nspname, c.relname),
    CASE c.relkind WHEN 'v' THEN ' view' WHEN 'm' THEN ' view' ELSE '' END,
    (SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND NOT c.relispartition
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
    AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT')
    AND ($1 = '' OR pg_catalog.strpos(pg_catalog.lower(c.relname::text), pg_catalog.lower($1)) > 0)
    AND (pg_catalog.cardinality($2::text[]) = 0 OR n.nspname::text = ANY ($2))
    AND (pg_catalog.cardinality($3::text[]) = 0 OR c.relname::text = ANY ($3)
      OR n.nspname::text || '.' || c.relname::text = ANY ($3))
  ORDER BY 1, 2 LIMIT ${MAX_LISTED_TABLES + 1}`;

async function listTables(client: Client, find: string, { schemas, tables }: AllowedNames) {
  const [[version] = []] = await ask(client, "SELECT current_setting('server_version')", []);
  const rows = await ask(client, TABLES, [find, schemas, tables]);
  return {
    product: `PostgreSQL ${/^[\d.]+/.exec(version ?? '')?.[0] ?? ''}`.trim(),
    lines: rows
      .slice(0, MAX_LISTED_TABLES)
      .map(([, , name, kind, columns]) => `${name}${kind} (${columns ?? ''})`),
    more: rows.length > MAX_LISTED_TABLES,
  };
}

/** What is said of a statement that failed: the server's own words. */
function inWords(error: unknown, password: string): Error {
  if (error instanceof SqlFailure) return error;
  if (!(error instanceof DatabaseError)) {
    return new SqlFailure('the connection to the database broke off', { cause: error });
  }
  if (/cannot insert multiple commands/.test(error.message)) {
    return new SqlFailure(SEVERAL_STATEMENTS, { cause: error });
  }
  if (error.code === '57014') {
    const seconds = DATABASE_QUERY_MS / 1_000;
    const words = `the query took longer than ${seconds} s and was ended; filter earlier or join on fewer rows`;
    return new SqlFailure(words, { cause: error });
  }
  const hint = error.hint === undefined ? '' : ` (${error.hint})`;
  const said = `${error.message}${hint}`.slice(0, MAX_SQL_ERROR_CHARS).toWellFormed();
  const without = password === '' ? said : said.replaceAll(password, '…');
  return new SqlFailure(`${without} [${error.code ?? 'no code'}]`, { cause: error });
}

/** What the types of the library leave out. */
interface Wire {
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly connection: { readonly stream: Socket };
}

/** As it is now: TLS makes another of it. */
function streamOf(client: Client): Socket {
  return (client as unknown as Wire).connection.stream;
}

/** Nothing more is sent; and what was on its way when the first cancel found nothing to end, the second ends. */
async function cancel(client: Client, address: string, port: number): Promise<void> {
  const { processID, secretKey } = client as unknown as Wire;
  streamOf(client).destroy();
  if (processID === null || secretKey === null) return;
  const message = Buffer.alloc(16);
  message.writeInt32BE(16, 0);
  message.writeInt32BE(80_877_102, 4);
  message.writeInt32BE(processID, 8);
  message.writeInt32BE(secretKey, 12);
  await sendAlone(message, address, port);
  await setTimeout(CANCEL_AGAIN_MS);
  await sendAlone(message, address, port);
}

const CANCEL_AGAIN_MS = 100;

/** On a connection of its own, which the server answers by closing it. */
function sendAlone(message: Buffer, address: string, port: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connectSocket({ host: address, port, timeout: DATABASE_CANCEL_MS });
  socket.once('connect', () => socket.write(message));
  socket.on('error', () => undefined).on('timeout', () => socket.destroy());
  socket.resume().once('close', () => resolve());
  return promise;
}
