// What a statement for MySQL or MariaDB must not name: functions and words that do more than read, and tables that are
// closed. What tables there are the server says, in the transaction that the statement is run in.
import { type AllowedNames, isAllowed, isBounded } from './allowed-names.ts';
import { SqlFailure } from './session.ts';
import { READ_ONLY, sqlWords } from './sql-words.ts';

/** Functions that reach files, wait, lock, or change what outlives the statement; UDFs that are well known for it. */
const FORBIDDEN =
  'load_file sleep benchmark get_lock release_lock release_all_locks is_free_lock is_used_lock master_pos_wait source_pos_wait master_gtid_wait wait_for_executed_gtid_set wait_until_sql_thread_after_gtids last_insert_id nextval setval lastval sys_exec sys_eval sys_get sys_set lib_mysqludf_sys_info spider_direct_sql spider_bg_direct_sql spider_copy_tables'.split(
    ' ',
  );
/** Words that no SELECT needs that only reads: they write files or variables, or lock rows. */
const WORDS = ['outfile', 'dumpfile'];
const TOGETHER: readonly (readonly string[])[] = [
  ['for', 'update'],
  ['for', 'share'],
  ['lock', 'share'],
  ['next', 'value', 'for'],
  ['previous', 'value', 'for'],
];
/** Passwords, and what others are at. */
const SECRET_SCHEMAS = ['mysql', 'performance_schema', 'sys'];
export const SYSTEM_SCHEMAS = [...SECRET_SCHEMAS, 'information_schema'];

/** Throws an SqlFailure for what the statement must not name. */
export async function checkMysql(
  ask: (text: string) => Promise<readonly (readonly unknown[])[]>,
  sql: string,
  database: string,
  allowed: AllowedNames,
): Promise<void> {
  const words = sqlWords(sql);
  // Comments that are run.
  if (/\/\*(?:!|M!)/.test(sql)) throw new SqlFailure('comments that begin with /*! are not taken');
  const word = WORDS.find((each) => words.names(each));
  const together = TOGETHER.find((each) => each.every((one) => words.names(one)));
  if (word !== undefined || together !== undefined) {
    const said = (word ?? together?.join(' … ') ?? '').toUpperCase();
    throw new SqlFailure(
      `${READ_ONLY}; the word ${said} is in it, which is not taken in texts either`,
    );
  }
  const called = FORBIDDEN.find((name) => words.calls(name));
  if (called !== undefined) {
    throw new SqlFailure(`the function ${called} is not allowed here: it may do more than read`);
  }
  const secret = SECRET_SCHEMAS.find((name) => name !== database && words.qualifies(name));
  if (secret !== undefined) throw mayNotRead(secret);
  if (!isBounded(allowed)) return;
  const functions = await ask(
    "SELECT DISTINCT ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES WHERE ROUTINE_TYPE IN ('FUNCTION', 'PACKAGE')",
  );
  for (const [name, type] of functions) {
    // Of a package any function may be called, by its name behind a dot.
    const isCalled = type === 'PACKAGE' ? words.qualifies(String(name)) : words.calls(String(name));
    if (!isCalled) continue;
    throw new SqlFailure(
      `the function ${String(name)} is not allowed here: it may read other tables`,
    );
  }
  const closed = SYSTEM_SCHEMAS.find(
    (name) => !allowed.schemas.includes(name) && words.names(name),
  );
  if (closed !== undefined) throw mayNotRead(closed);
  const tables = await ask('SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES');
  for (const [schema, name] of tables.map((row) => row.map(String))) {
    if (schema === undefined || name === undefined || isAllowed(allowed, schema, name)) continue;
    if (SYSTEM_SCHEMAS.includes(schema.toLowerCase()) || !words.names(name)) continue;
    // Without its schema's name it cannot be meant.
    if (schema !== database && !words.names(schema)) continue;
    throw mayNotRead(schema === database ? name : `${schema}.${name}`);
  }
}

function mayNotRead(name: string): SqlFailure {
  return new SqlFailure(
    `the statement names ${name}, which may not be read here; no text, alias or comment of it may have that word either`,
  );
}
