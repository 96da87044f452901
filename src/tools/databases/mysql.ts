// MySQL and MariaDB. What holds, and by what: one statement, since several are not asked for when it connects; one
// with rows to give, since only what was prepared and has columns is run, and INTO has none; no write, since its
// transaction is READ ONLY; no file, lock or sleep, since such functions are refused by name. A server that asks for a
// file of ours is not given one.
import { connect as connectSocket, type Socket } from 'node:net';
import { type Connection, createConnection } from 'mysql2';
import { DATABASE_QUERY_MS, MAX_LISTED_TABLES, MAX_SQL_ERROR_CHARS } from '../../chat/limits.ts';
import { createRowsText, type SqlValue, TOO_MANY_COLUMNS } from '../sql/rows-text.ts';
import type { AllowedNames } from './allowed-names.ts';
import { connectTo, tlsOptions } from './connect.ts';
import type { ListedTables, ServerTarget } from './database-protocol.ts';
import { checkMysql, SYSTEM_SCHEMAS } from './mysql-checks.ts';
import { type Session, SqlFailure } from './session.ts';
import { isSelect, READ_ONLY } from './sql-words.ts';

export async function openMysql(target: ServerTarget): Promise<Session> {
  const opened = await connectTo(target, (address, ms) => connected(target, address, ms), refusal);
  const { connection, address, socket } = opened;
  const told = (error: unknown): Error => inWords(error, target.password);
  const { threadId } = connection;
  return {
    query: async (sql, allowed) => {
      if (!isSelect(sql)) throw new SqlFailure(READ_ONLY);
      try {
        await begin(opened);
        await checkMysql((text) => ask(connection, text), sql, target.database, allowed);
        return await rowsOf(opened, sql);
      } catch (error) {
        throw told(error);
      }
    },
    list: async (find, allowed) => {
      try {
        await begin(opened);
        return await listTables(opened, find, target.database, allowed);
      } catch (error) {
        throw told(error);
      }
    },
    cancel: async () => {
      const other = await connected(target, address, DATABASE_QUERY_MS).catch(() => undefined);
      if (other === undefined) return;
      // With its connection: between two statements there would be nothing to end, and then the next one.
      await ask(other.connection, `KILL ${threadId}`).catch(() => undefined);
      other.socket.destroy();
    },
    // The library only says goodbye, and goes on reading what still comes.
    close: () => socket.destroy(),
  };
}

interface Opened {
  readonly connection: Connection;
  readonly socket: Socket;
  readonly address: string;
  /** As the server says it. */
  readonly version: string;
}

async function connected(
  target: ServerTarget,
  address: string,
  connectTimeout: number,
): Promise<Opened> {
  const { host, port, user, password, database } = target;
  const tls = tlsOptions(target);
  const socket = connectSocket(port, address);
  const connection = createConnection({
    // The host's name is for its certificate; the connection goes to the address.
    host,
    port,
    stream: socket,
    user,
    password,
    database,
    connectTimeout,
    charset: 'utf8mb4',
    ...(tls === undefined
      ? {}
      : {
          ssl: {
            rejectUnauthorized: target.tls === 'verified',
            verifyIdentity: target.tls === 'verified',
            ...(tls.ca === undefined ? {} : { ca: tls.ca as string[] }),
          },
        }),
    multipleStatements: false,
    flags: ['-LOCAL_FILES', '-MULTI_STATEMENTS', '-MULTI_RESULTS'],
    // Its parsers are else made of code that has the server's names of columns in it.
    disableEval: true,
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    jsonStrings: true,
    rowsAsArray: true,
  });
  // Whoever waits for something hears of it by that.
  connection.on('error', () => undefined);
  try {
    await new Promise<void>((resolve, reject) => {
      connection.connect((error) => (error === null ? resolve() : reject(error)));
    });
  } catch (error) {
    socket.destroy();
    throw error;
  }
  const [[version] = []] = await ask(connection, 'SELECT VERSION()');
  return { connection, socket, address, version: String(version) };
}

interface ServerError extends Error {
  readonly errno?: number;
  readonly sqlState?: string;
  readonly sqlMessage?: string;
}

function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && 'sqlState' in error && error.sqlState !== '';
}

/** How a server refuses whoever connects: its own words name user, host and database. */
function refusal(error: unknown): string | undefined {
  if (!isServerError(error)) return undefined;
  const why: Readonly<Record<number, string>> = {
    1040: 'it has no connections left',
    1044: 'the user may not use that database',
    1045: 'the user or the password is wrong',
    1049: 'there is no database of that name',
    1130: 'it lets nobody in from here',
    1698: 'the user or the password is wrong',
    3159: 'it lets nobody in without TLS',
  };
  const { errno = 0 } = error;
  return `the database cannot be used: ${why[errno] ?? `it refused the connection (${errno})`}`;
}

const NO_SUCH_VARIABLE = 1193;
const TOO_OLD =
  'the server is too old to bound the time of a query: MySQL 5.7.8 and MariaDB 10.1 are the first that do';

type Row = readonly unknown[];

function ask(connection: Connection, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
  return new Promise((resolve, reject) => {
    connection.query(sql, [...values], (error, rows) => {
      if (error !== null) reject(error);
      else resolve(Array.isArray(rows) ? (rows as unknown as Row[]) : []);
    });
  });
}

function isMariaDb({ version }: Opened): boolean {
  return /mariadb/i.test(version);
}

async function begin(opened: Opened): Promise<void> {
  const { connection } = opened;
  const seconds = DATABASE_QUERY_MS / 1_000;
  const bounds = isMariaDb(opened)
    ? `SET SESSION max_statement_time = ${seconds}, lock_wait_timeout = ${seconds}`
    : `SET SESSION max_execution_time = ${DATABASE_QUERY_MS}, lock_wait_timeout = ${seconds}`;
  try {
    await ask(connection, bounds);
  } catch (error) {
    if (isServerError(error) && error.errno === NO_SUCH_VARIABLE) throw new SqlFailure(TOO_OLD);
    throw error;
  }
  await ask(connection, 'SET SESSION TRANSACTION READ ONLY');
  await ask(connection, 'START TRANSACTION READ ONLY');
}

/** What prepare gives; the types of the library say less. */
interface Prepared {
  readonly columns: readonly { readonly name: string }[];
  readonly parameters: readonly unknown[];
  readonly execute: (values: readonly unknown[]) => NodeJS.EventEmitter;
}

interface Field {
  readonly name: string;
  readonly columnType?: number;
}

async function rowsOf({ connection, socket }: Opened, sql: string): Promise<string> {
  const statement = await new Promise<Prepared>((resolve, reject) => {
    connection.prepare(sql, (error, prepared) => {
      if (error === null) resolve(prepared as unknown as Prepared);
      else reject(error);
    });
  });
  if (statement.parameters.length > 0) {
    throw new SqlFailure('there is a ? in it, a place for a value, and values are written out');
  }
  if (statement.columns.length === 0) throw new SqlFailure(READ_ONLY);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let answer: ReturnType<typeof createRowsText>;
  let types: readonly (number | undefined)[] = [];
  const command = statement.execute([]);
  command.on('fields', (fields: readonly Field[] | undefined) => {
    if (fields === undefined) return;
    answer = createRowsText(fields.map(({ name }) => name));
    types = fields.map(({ columnType }) => columnType);
    if (answer === undefined) reject(new SqlFailure(TOO_MANY_COLUMNS));
  });
  command.on('result', (row: unknown) => {
    // Something without rows was run after all: its transaction can only read.
    if (!Array.isArray(row)) return reject(new SqlFailure(READ_ONLY));
    if (answer?.add(row.map((value, at) => valueOf(value, types[at]))) !== false) return;
    // What is not needed any more is not waited for.
    socket.destroy();
    resolve(answer.text());
  });
  command.on('error', reject);
  command.on('end', () => resolve(answer?.text() ?? ''));
  return await promise;
}

const DECIMAL: ReadonlySet<number | undefined> = new Set([0, 246]);
const BIGINT = 8;

function valueOf(value: unknown, type: number | undefined): SqlValue {
  if (typeof value === 'string') {
    if (type === BIGINT && /^-?\d{1,20}$/.test(value)) return BigInt(value);
    // Digits that a number would lose stay a text.
    return DECIMAL.has(type) && /^-?[\d.]{1,15}$/.test(value) ? Number(value) : value;
  }
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') {
    return value;
  }
  if (value instanceof Uint8Array) return value;
  return value === null || value === undefined ? null : JSON.stringify(value);
}

async function listTables(
  opened: Opened,
  find: string,
  database: string,
  { schemas, tables }: AllowedNames,
): Promise<ListedTables> {
  const { connection, version } = opened;
  const where = [
    "t.TABLE_TYPE <> 'SEQUENCE'",
    `t.TABLE_SCHEMA NOT IN (${SYSTEM_SCHEMAS.map(() => '?').join(', ')})`,
    ...(schemas.length > 0 ? [`t.TABLE_SCHEMA IN (${schemas.map(() => '?').join(', ')})`] : []),
    ...(tables.length > 0
      ? [
          `(t.TABLE_NAME IN (${tables.map(() => '?').join(', ')}) OR CONCAT(t.TABLE_SCHEMA, '.', t.TABLE_NAME) IN (${tables.map(() => '?').join(', ')}))`,
        ]
      : []),
    ...(find === '' ? [] : ['LOCATE(?, t.TABLE_NAME) > 0']),
  ];
  const values = [
    ...SYSTEM_SCHEMAS,
    ...schemas,
    ...tables,
    ...tables,
    ...(find === '' ? [] : [find]),
  ];
  const found = await ask(
    connection,
    `SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE FROM information_schema.TABLES t WHERE ${where.join(' AND ')} ORDER BY 1, 2 LIMIT ${MAX_LISTED_TABLES + 1}`,
    values,
  );
  const columns = new Map<string, string[]>();
  for (const schema of new Set(found.map((row) => String(row[0])))) {
    const rows = await ask(
      connection,
      'SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION',
      [schema],
    );
    for (const [table, name, type] of rows) {
      const key = `${schema}.${String(table)}`;
      const list = columns.get(key) ?? [];
      list.push(`${quoted(String(name))} ${String(type)}`);
      columns.set(key, list);
    }
  }
  const number = /^[\d.]+/.exec(version)?.[0] ?? '';
  return {
    product: `${isMariaDb(opened) ? 'MariaDB' : 'MySQL'} ${number}`.trim(),
    lines: found.slice(0, MAX_LISTED_TABLES).map(([schema, name, type]) => {
      const table = quoted(String(name));
      const at = schema === database ? table : `${quoted(String(schema))}.${table}`;
      const kind = String(type).includes('VIEW') ? ' view' : '';
      const all = columns.get(`${String(schema)}.${String(name)}`) ?? [];
      return `${at}${kind} (${all.join(', ')})`;
    }),
    more: found.length > MAX_LISTED_TABLES,
  };
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/i.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
}

/** What is said of a statement that failed: the server's own words. */
function inWords(error: unknown, password: string): Error {
  if (error instanceof SqlFailure) return error;
  if (!isServerError(error)) {
    return new SqlFailure('the connection to the database broke off', { cause: error });
  }
  const { errno = 0, sqlMessage = '' } = error;
  if (errno === 3024 || errno === 1969) {
    const seconds = DATABASE_QUERY_MS / 1_000;
    const words = `the query took longer than ${seconds} s and was ended; filter earlier or join on fewer rows`;
    return new SqlFailure(words, { cause: error });
  }
  const said = sqlMessage.slice(0, MAX_SQL_ERROR_CHARS).toWellFormed();
  const without = password === '' ? said : said.replaceAll(password, '…');
  return new SqlFailure(`${without} [${errno}]`, { cause: error });
}
