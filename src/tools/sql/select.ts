// One SELECT on a SQLite database, as text for a model. Who may read what in it is for whoever opened it.
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { MAX_SQL_CHARS, MAX_SQL_ERROR_CHARS } from '../../chat/limits.ts';
import { createRowsText, TOO_MANY_COLUMNS } from './rows-text.ts';

export type QueryAnswer =
  | { readonly ok: true; readonly text: string }
  /** In words for the model. */
  | { readonly ok: false; readonly why: string };

export const SEVERAL_STATEMENTS = 'there are several statements; send them one at a time';

/** `readOnly`: what to say of a statement that is no SELECT. `denied`: why the authorizer refused the last one. */
export function answerSelect(
  db: DatabaseSync,
  sql: string,
  readOnly: string,
  denied: () => string | undefined,
): QueryAnswer {
  if (sql.length > MAX_SQL_CHARS) {
    return { ok: false, why: `the SQL has more than ${MAX_SQL_CHARS} characters` };
  }
  if (onlySpace(sql)) return { ok: false, why: `the SQL is empty; ${readOnly}` };
  try {
    return select(db, sql, readOnly);
  } catch (error) {
    const why = denied();
    if (why !== undefined) return { ok: false, why };
    // SQLite's own words, which speak of the statement.
    const said = error instanceof Error ? error.message : String(error);
    return { ok: false, why: said.slice(0, MAX_SQL_ERROR_CHARS).toWellFormed() };
  }
}

/** Whether there are comments and semicolons at the most. In linear time. */
function onlySpace(sql: string): boolean {
  return sql.replaceAll(/[\s;]+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, '') === '';
}

function select(db: DatabaseSync, sql: string, readOnly: string): QueryAnswer {
  const statement = db.prepare(sql);
  // SQLite would leave the rest aside without a word.
  const rest = sql.slice(sql.indexOf(statement.sourceSQL) + statement.sourceSQL.length);
  if (!onlySpace(rest)) return { ok: false, why: SEVERAL_STATEMENTS };
  const named = statement.columns();
  // VACUUM and REINDEX are not asked about; they have no columns, and are not begun.
  if (named.length === 0) return { ok: false, why: readOnly };
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const answer = createRowsText(named.map(({ name }) => name));
  if (answer === undefined) return { ok: false, why: TOO_MANY_COLUMNS };
  for (const row of statement.iterate() as Iterable<unknown> as Iterable<SQLOutputValue[]>) {
    if (!answer.add(row)) break;
  }
  return { ok: true, text: answer.text() };
}
