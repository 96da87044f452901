// What a statement for PostgreSQL must not name: functions that do more than read, and tables that are closed. What they
// are the catalog says, in the transaction that the statement is run in.
import { type AllowedNames, isAllowed, isBounded } from './allowed-names.ts';
import { SqlFailure } from './session.ts';
import { sqlWords } from './sql-words.ts';

/** Volatile, and without any effect. */
const HARMLESS = [
  'random',
  'random_normal',
  'gen_random_uuid',
  'uuidv4',
  'uuidv7',
  'clock_timestamp',
  'timeofday',
];
/** Of the functions whose names begin with pg_ those that tell nothing of the server and of others. */
const OF_VALUES = ['pg_typeof', 'pg_column_size', 'pg_size_pretty', 'pg_size_bytes'];
/** Not volatile, and yet they read whatever they are told the name of. */
const READ_BY_NAME =
  '^(table|schema|database|query|cursor)_to_xml(schema|_and_xmlschema)?$|^(pg_read_|pg_ls_|lo_)';
/** Symbols of the libraries that come along with it which run what SQL they are given: stable, by whatever name. */
const RUN_SQL = [
  'crosstab',
  'crosstab_hash',
  'connectby_text',
  'connectby_text_serial',
  'xpath_table',
];
/** Passwords, addresses of others, and contents without a table. */
const SECRETS = [
  'pg_authid',
  'pg_shadow',
  'pg_user_mapping',
  'pg_user_mappings',
  'pg_subscription',
  'pg_largeobject',
];
/** PostgreSQL cuts longer names there. */
const NAME_BYTES = 63;

const FUNCTIONS = `
  SELECT DISTINCT f.name, f.effects, f.effects AND f.by_field
  FROM (
    SELECT p.proname::text AS name,
      p.provolatile = 'v' AND NOT (n.nspname = 'pg_catalog' AND p.proname::text = ANY ($2))
        OR p.proname::text ~ $3 OR p.probin IS NOT NULL AND p.prosrc = ANY ($6) AS effects,
      p.pronargs = 1 AND t.typtype = 'c' AS by_field,
      $4 AND (n.nspname <> 'pg_catalog' AND p.provolatile <> 'i'
        OR n.nspname = 'pg_catalog' AND p.proname::text ~ '^pg_' AND NOT p.proname::text = ANY ($5)) AS reads
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
    WHERE pg_catalog.strpos(pg_catalog.lower($1::text COLLATE "C"), pg_catalog.lower(p.proname::text COLLATE "C")) > 0
      OR p.proname::text ~ '[^ !#-~]'
  ) f
  WHERE f.effects OR f.reads`;

const RELATIONS = `
  SELECT n.nspname::text, c.relname::text, n.nspname = ANY (pg_catalog.current_schemas(true))
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S', 't')
    AND (pg_catalog.strpos(pg_catalog.lower($1::text COLLATE "C"), pg_catalog.lower(c.relname::text COLLATE "C")) > 0
      OR c.relname::text ~ '[^ !#-~]')`;

/** Throws an SqlFailure for what the statement must not name. */
export async function checkPostgres(
  ask: (
    text: string,
    values: readonly unknown[],
  ) => Promise<readonly (readonly (string | null)[])[]>,
  sql: string,
  allowed: AllowedNames,
): Promise<void> {
  const words = sqlWords(sql);
  // By it names could be written as numbers.
  if (/u&"/i.test(sql)) throw new SqlFailure('names written as U&"…" are not taken');
  const secret = SECRETS.find((name) => words.names(name));
  if (secret !== undefined) throw mayNotRead(secret);
  const bounded = isBounded(allowed);
  const functions = await ask(FUNCTIONS, [
    sql,
    HARMLESS,
    READ_BY_NAME,
    bounded,
    OF_VALUES,
    RUN_SQL,
  ]);
  for (const [name, effects, byField] of functions) {
    if (name === null || name === undefined) continue;
    // A function of one row can be written as a field of it.
    if (!(byField === 't' ? words.names(name, NAME_BYTES) : words.calls(name, NAME_BYTES)))
      continue;
    const why = effects === 't' ? 'it may do more than read' : 'it may read other tables';
    throw new SqlFailure(`the function ${name} is not allowed here: ${why}`);
  }
  if (!bounded) return;
  for (const [schema, name, onPath] of await ask(RELATIONS, [sql])) {
    if (schema === null || schema === undefined || name === null || name === undefined) continue;
    if (isAllowed(allowed, schema, name) || !words.names(name, NAME_BYTES)) continue;
    // Without its schema's name it cannot be meant.
    if (onPath !== 't' && !words.names(schema, NAME_BYTES)) continue;
    // One of the same name that may be read is what is meant without a schema, if it comes first on the path.
    throw mayNotRead(onPath === 't' ? name : `${schema}.${name}`);
  }
}

function mayNotRead(name: string): SqlFailure {
  return new SqlFailure(
    `the statement names ${name}, a table that may not be read here; no text, alias or comment of it may have that word either`,
  );
}
