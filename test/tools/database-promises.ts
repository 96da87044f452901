// What database_query promises of every database, each in its own SQL: the tests name it, and it is asserted here.
import assert from 'node:assert/strict';
import type { Asked, DatabaseEngine } from '../../src/tools/databases/database-engine.ts';
import { asked, failure, NEVER, rows } from '../support/servers/asked-database.ts';
import { until } from '../support/until.ts';

/** `said`: what the model is told. */
export type Hostile = readonly (readonly [sql: string, said: RegExp])[];

/** `state`: what there is, so that whatever changes is found. */
export async function assertHeldOff(
  engine: DatabaseEngine,
  of: Asked,
  hostile: Hostile,
  state: () => unknown,
): Promise<void> {
  const begun = await state();
  for (const [sql, said] of hostile) {
    assert.match(await failure(engine, of, sql), said, sql);
    assert.deepEqual(await state(), begun, sql);
  }
}

/** Of a database that names its tables: what is read of it, what is not, and what is listed. */
export async function assertOnlyThese(
  engine: DatabaseEngine,
  only: Asked,
  expected: {
    readonly read: readonly (readonly [sql: string, rows: unknown])[];
    readonly refused: readonly string[];
    readonly said: RegExp;
    readonly listed: readonly string[];
  },
): Promise<void> {
  for (const [sql, found] of expected.read) {
    assert.deepEqual((await rows(engine, only, sql)).rows, found, sql);
  }
  for (const sql of expected.refused) {
    assert.match(await failure(engine, only, sql), expected.said, sql);
  }
  const { lines } = await engine.list(only, '', NEVER);
  assert.deepEqual(
    lines.map((line) => line.split(' (')[0]),
    expected.listed,
  );
}

/** `endless` and `exact`: more rows than an answer may have, and just as many. */
export async function assertCut(
  engine: DatabaseEngine,
  of: Asked,
  { endless, exact }: { readonly endless: string; readonly exact: string },
): Promise<void> {
  const many = await rows(engine, of, endless);
  assert.equal(many.rows.length, 200);
  assert.match(many.note ?? '', /only the first 200 rows/);
  const all = await rows(engine, of, exact);
  assert.deepEqual([all.rows.length, all.note], [200, undefined]);
  const long = await rows(engine, of, "SELECT repeat('x', 5000000)");
  assert.equal(String(long.rows[0]?.[0]).length, 2_000);
}

/** `active`: how many of these the database has at work. */
export async function assertCancelEnds(
  engine: DatabaseEngine,
  of: Asked,
  endless: string,
  active: () => Promise<number>,
): Promise<void> {
  const abort = new AbortController();
  const running = engine.query(of, endless, abort.signal);
  await until('the query', async () => (await active()) === 1);
  abort.abort(new Error('cancelled'));
  await assert.rejects(running, /cancelled/);
  await until('its end at the database', async () => (await active()) === 0);
}

/** `left`: how many connections of ours the database has. */
export async function assertNoneLeft(
  engine: DatabaseEngine,
  of: Asked,
  sql: string,
  left: () => Promise<number>,
): Promise<void> {
  const none = async (): Promise<boolean> => (await left()) === 0;
  await rows(engine, of, sql);
  await until('the end of the connection', none);
  await failure(engine, of, 'SELECT nope');
  await until('the end of the connection', none);
}

/** `parts`: what is in the connection strings, and in nothing that is said. */
export async function assertToldWithout(
  engine: DatabaseEngine,
  cases: readonly (readonly [connectionString: string, said: RegExp])[],
  parts: readonly string[],
): Promise<void> {
  for (const [connectionString, said] of cases) {
    const why = await failure(engine, asked(connectionString), 'SELECT 1');
    assert.match(why, said);
    for (const part of parts) assert.ok(!why.includes(part), `${part} in ${why}`);
  }
}
