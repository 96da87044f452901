// A file of SQLite, from a folder that the operator names. What holds, and by what: no write, since it is opened to be
// read; nothing but reading, and of the named tables alone, by SQLite's authorizer, which is asked for each table and
// column before a statement runs.
import { realpathSync, statSync } from 'node:fs';
import { sep } from 'node:path';
import { constants, DatabaseSync } from 'node:sqlite';
import {
  MAX_LISTED_TABLES,
  MAX_SQL_ERROR_CHARS,
  MAX_SQL_VALUE_BYTES,
  SQLITE_BUSY_MS,
} from '../../chat/limits.ts';
import { answerSelect } from '../sql/select.ts';
import { type AllowedNames, isAllowed, isBounded } from './allowed-names.ts';
import type { FileTarget, ListedTables } from './database-protocol.ts';
import { type Session, SqlFailure } from './session.ts';
import { READ_ONLY } from './sql-words.ts';

const MAIN = 'main';
/** What reaches beyond the file, or reads what it is told the name of. */
const FORBIDDEN_FUNCTIONS: ReadonlySet<string> = new Set(['load_extension', 'fts3_tokenizer']);

export function openSqlite(target: FileTarget): Session {
  const db = open(realFile(target));
  return {
    query: (sql, allowed) => {
      const denied = said(() => guard(db, allowed));
      const answer = answerSelect(db, sql, READ_ONLY, denied);
      return answer.ok ? Promise.resolve(answer.text) : Promise.reject(new SqlFailure(answer.why));
    },
    list: (find, allowed) => Promise.resolve(said(() => listTables(db, find, allowed))),
    // It holds its thread while it is at work: its process is ended instead.
    cancel: () => Promise.resolve(),
    close: () => db.close(),
  };
}

/** What SQLite itself says of a file that it cannot read is for the model. */
function said<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SqlFailure(
      `its tables cannot be read: ${why.slice(0, MAX_SQL_ERROR_CHARS).toWellFormed()}`,
      { cause },
    );
  }
}

/** They read what they are given. */
const HARMLESS_TABLES: ReadonlySet<string> = new Set(['json_each', 'json_tree']);

/** Links are followed, and what they lead to counts. */
function realFile({ file, folders }: FileTarget): string {
  let real: string;
  try {
    real = realpathSync(file);
  } catch (cause) {
    throw new SqlFailure('the database cannot be used: there is no such file here', { cause });
  }
  const inside = folders.some((folder) => {
    try {
      const root = realpathSync(folder);
      return real.startsWith(root.endsWith(sep) ? root : `${root}${sep}`);
    } catch {
      return false;
    }
  });
  if (!inside) {
    throw new SqlFailure(
      'the database cannot be used: its file leads out of the folders that the operator allows',
    );
  }
  if (!statSync(real).isFile()) throw new SqlFailure('the database cannot be used: it is no file');
  return real;
}

function open(file: string): DatabaseSync {
  try {
    const db = new DatabaseSync(file, {
      readOnly: true,
      allowExtension: false,
      timeout: SQLITE_BUSY_MS,
    });
    // Nothing of a large sort goes into files; views and what else its schema calls run nothing of ours.
    db.exec('PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA query_only = ON');
    db.prepare('SELECT count(*) FROM sqlite_master').get();
    db.limits.length = MAX_SQL_VALUE_BYTES;
    db.limits.attach = 0;
    return db;
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : '';
    const why = /not a database|malformed/.test(said)
      ? 'its file is no SQLite database'
      : /locked|busy/.test(said)
        ? 'another program writes its file at the moment; try again'
        : 'its file cannot be opened to be read';
    throw new SqlFailure(`the database cannot be used: ${why}`, { cause });
  }
}

/** Gives what the last refusal was for. */
function guard(db: DatabaseSync, allowed: AllowedNames): () => string | undefined {
  const bounded = isBounded(allowed);
  const names = new Set(tablesIn(db).map(({ name }) => name.toLowerCase()));
  let denied: string | undefined;
  const deny = (why: string): number => {
    denied ??= why;
    return constants.SQLITE_DENY;
  };
  db.setAuthorizer((action, first, second, schema, view) => {
    switch (action) {
      case constants.SQLITE_SELECT:
      case constants.SQLITE_RECURSIVE:
        return constants.SQLITE_OK;
      case constants.SQLITE_FUNCTION:
        return FORBIDDEN_FUNCTIONS.has((second ?? '').toLowerCase())
          ? deny(`the function ${second} is not allowed here`)
          : constants.SQLITE_OK;
      case constants.SQLITE_READ: {
        const table = first ?? '';
        if (!bounded || isAllowed(allowed, MAIN, table)) return constants.SQLITE_OK;
        if (HARMLESS_TABLES.has(table.toLowerCase())) return constants.SQLITE_OK;
        // What a common table expression is called comes without a schema; a table may too, if none of its columns
        // is read.
        const real = names.has(table.toLowerCase()) || /^sqlite_/i.test(table);
        if (schema === null && !real) return constants.SQLITE_OK;
        // A view that is allowed may read what it is made of.
        if (view !== null && isAllowed(allowed, MAIN, view)) return constants.SQLITE_OK;
        return deny(`${table} is a table that may not be read here`);
      }
      case constants.SQLITE_PRAGMA:
        // Asked by FTS5 for itself: whether others have written since.
        return first === 'data_version' && second === null ? constants.SQLITE_OK : deny(READ_ONLY);
      default:
        return deny(READ_ONLY);
    }
  });
  return () => denied;
}

function tablesIn(db: DatabaseSync): readonly { readonly name: string; readonly type: string }[] {
  return db
    .prepare("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
    .all()
    .map(({ name, type }) => ({ name: String(name), type: String(type) }));
}

function listTables(db: DatabaseSync, find: string, allowed: AllowedNames): ListedTables {
  const wanted = find.toLowerCase();
  const all = tablesIn(db).filter(
    ({ name }) =>
      !name.startsWith('sqlite_') &&
      isAllowed(allowed, MAIN, name) &&
      name.toLowerCase().includes(wanted),
  );
  const lines = all.slice(0, MAX_LISTED_TABLES).map(({ name, type }) => {
    return `${quoted(name)}${type === 'view' ? ' view' : ''} (${columnsOf(db, name)})`;
  });
  const [version] = Object.values(db.prepare('SELECT sqlite_version()').get() ?? {});
  return { product: `SQLite ${String(version)}`, lines, more: all.length > MAX_LISTED_TABLES };
}

function columnsOf(db: DatabaseSync, table: string): string {
  try {
    return db
      .prepare('SELECT name, type FROM pragma_table_xinfo(?)')
      .all(table)
      .map((column) => `${quoted(String(column['name']))} ${String(column['type'])}`.trim())
      .join(', ');
  } catch {
    // A view of what is gone, or a table of a module that is not here.
    return 'cannot be read';
  }
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
