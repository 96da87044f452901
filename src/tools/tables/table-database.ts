// Tables as a SQLite database in memory that can be read and nothing else: no file, no other database, no
// write, no setting, no extension. What takes too long is for whoever runs it.
import { constants, DatabaseSync } from 'node:sqlite';
import { MAX_SQL_VALUE_BYTES } from '../../chat/limits.ts';
import { answerSelect, type QueryAnswer } from '../sql/select.ts';
import { readTable } from './table-rows.ts';

export interface NamedTable {
  /** Fit for SQL, as sqlName makes it. */
  readonly name: string;
  readonly format: string;
  readonly data: string;
}

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
      return answerSelect(db, sql, READ_ONLY, () => denied);
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
