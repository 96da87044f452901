// Tables as a SQLite database in memory that can be read and nothing else: no file, no other database, no
// write, no setting, no extension. What takes too long is for whoever runs it.
import { constants, DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import {
  MAX_SQL_VALUE_BYTES,
  MAX_TABLE_RESULT_CHARS,
  MAX_TABLE_RESULT_ROWS,
  MAX_TABLE_SQL_CHARS,
  MAX_TABLE_VALUE_CHARS,
} from '../chat/limits.ts';
import { readTable } from './table-rows.ts';

export interface NamedTable {
  /** Fit for SQL, as sqlName makes it. */
  readonly name: string;
  readonly format: string;
  readonly data: string;
}

export type QueryAnswer =
  | { readonly ok: true; readonly text: string }
  /** In words for the model. */
  | { readonly ok: false; readonly why: string };

export interface TableDatabase {
  readonly query: (sql: string) => QueryAnswer;
  readonly close: () => void;
}

const ALLOWED: ReadonlySet<number> = new Set([
  constants.SQLITE_SELECT,
  constants.SQLITE_READ,
  constants.SQLITE_FUNCTION,
  constants.SQLITE_RECURSIVE,
]);
/** What reaches beyond the tables. */
const FORBIDDEN_FUNCTIONS: ReadonlySet<string> = new Set(['load_extension', 'fts3_tokenizer']);
const READ_ONLY = 'the tables can only be read: send one SELECT, which may begin with WITH';

export function openTables(tables: readonly NamedTable[]): TableDatabase {
  const db = new DatabaseSync(':memory:', { allowExtension: false });
  // Nothing of a large sort goes into files.
  db.exec('PRAGMA temp_store = MEMORY');
  for (const table of tables) load(db, table);
  db.exec('PRAGMA query_only = ON');
  db.limits.length = MAX_SQL_VALUE_BYTES;
  db.limits.attach = 0;
  /** Why the last statement was refused. */
  let denied: string | undefined;
  db.setAuthorizer((action, _, name) => {
    const forbidden =
      action === constants.SQLITE_FUNCTION && FORBIDDEN_FUNCTIONS.has((name ?? '').toLowerCase());
    if (ALLOWED.has(action) && !forbidden) return constants.SQLITE_OK;
    denied = forbidden ? `the function ${name} is not allowed` : READ_ONLY;
    return constants.SQLITE_DENY;
  });
  return {
    query: (sql) => {
      denied = undefined;
      if (sql.length > MAX_TABLE_SQL_CHARS) {
        return { ok: false, why: `the SQL has more than ${MAX_TABLE_SQL_CHARS} characters` };
      }
      if (onlySpace(sql)) return { ok: false, why: `the SQL is empty; ${READ_ONLY}` };
      try {
        return select(db, sql);
      } catch (error) {
        if (denied !== undefined) return { ok: false, why: denied };
        // SQLite's own words, which speak of the statement.
        const said = error instanceof Error ? error.message : String(error);
        return { ok: false, why: said.slice(0, 500).toWellFormed() };
      }
    },
    close: () => db.close(),
  };
}

function load(db: DatabaseSync, { name, format, data }: NamedTable): void {
  const read = readTable(format, data);
  if (!read.ok) throw new Error(`A table came past the door: ${read.why}`);
  const { columns, rows } = read.table;
  const defined = columns.map((column) => `"${column.name}" ${column.type}`).join(', ');
  db.exec(`CREATE TABLE "${name}" (${defined}); BEGIN`);
  const insert = db.prepare(`INSERT INTO "${name}" VALUES (${columns.map(() => '?').join(', ')})`);
  for (const row of rows()) insert.run(...row);
  db.exec('COMMIT');
}

/** Whether there are comments and semicolons at the most. In linear time. */
function onlySpace(sql: string): boolean {
  return sql.replaceAll(/[\s;]+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, '') === '';
}

function select(db: DatabaseSync, sql: string): QueryAnswer {
  const statement = db.prepare(sql);
  // SQLite would leave the rest aside without a word.
  const rest = sql.slice(sql.indexOf(statement.sourceSQL) + statement.sourceSQL.length);
  if (!onlySpace(rest)) {
    return { ok: false, why: 'there are several statements; send them one at a time' };
  }
  const named = statement.columns();
  // VACUUM and REINDEX are not asked about; they have no columns, and are not begun.
  if (named.length === 0) return { ok: false, why: READ_ONLY };
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const columns = JSON.stringify(named.map(({ name }) => name));
  if (columns.length > MAX_TABLE_RESULT_CHARS / 2) {
    return { ok: false, why: 'the result has too many columns; name those that you need' };
  }
  const rows: string[] = [];
  let chars = columns.length;
  let cutValues = false;
  let note = '';
  for (const row of statement.iterate() as Iterable<unknown> as Iterable<SQLOutputValue[]>) {
    if (rows.length === MAX_TABLE_RESULT_ROWS) {
      note = `only the first ${rows.length} rows; there are more. Aggregate, filter or page with LIMIT and OFFSET.`;
      break;
    }
    const values = row.map(jsonValue);
    cutValues ||= values.some(({ cut }) => cut);
    const text = `[${values.map(({ json }) => json).join(',')}]`;
    chars += text.length + 1;
    if (chars > MAX_TABLE_RESULT_CHARS) {
      note = `only the first ${rows.length} rows, since an answer has at most ${MAX_TABLE_RESULT_CHARS} characters; there are more. Select fewer columns, aggregate or filter.`;
      break;
    }
    rows.push(text);
  }
  if (cutValues) note += `${note === '' ? '' : ' '}Values that end in … are cut.`;
  const noted = note === '' ? '' : `,"note":${JSON.stringify(note)}`;
  return { ok: true, text: `{"columns":${columns},"rows":[${rows.join(',')}]${noted}}` };
}

function jsonValue(value: SQLOutputValue): { readonly json: string; readonly cut: boolean } {
  const { text, cut } = cutText(value);
  return { json: JSON.stringify(text), cut };
}

function cutText(value: SQLOutputValue): {
  readonly text: string | number | null;
  readonly cut: boolean;
} {
  if (value === null) return { text: null, cut: false };
  if (typeof value === 'number') {
    return { text: Number.isFinite(value) ? value : String(value), cut: false };
  }
  if (typeof value === 'bigint') {
    const number = Number(value);
    return { text: Number.isSafeInteger(number) ? number : String(value), cut: false };
  }
  if (typeof value === 'string') {
    if (value.length <= MAX_TABLE_VALUE_CHARS) return { text: value.toWellFormed(), cut: false };
    return { text: `${value.slice(0, MAX_TABLE_VALUE_CHARS - 1).toWellFormed()}…`, cut: true };
  }
  const shown = value.subarray(0, MAX_TABLE_VALUE_CHARS / 2);
  const cut = shown.length < value.length;
  return { text: `${Buffer.from(shown).toString('hex')}${cut ? '…' : ''}`, cut };
}
