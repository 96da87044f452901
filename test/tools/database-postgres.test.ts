// database_query on a real PostgreSQL: what is read, and hostile SQL, by a superuser, that gets at nothing else and
// changes nothing. Needs Debian's package postgresql.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { asked, failure, NEVER, rows, testEngine } from '../support/servers/asked-database.ts';
import {
  ADMIN_PASSWORD,
  needsPostgres,
  startPostgres,
  type TestPostgres,
} from '../support/servers/postgres.ts';
import { until } from '../support/until.ts';
import { CERTIFICATE } from './certificate.ts';
import {
  assertCancelEnds,
  assertCut,
  assertHeldOff,
  assertNoneLeft,
  assertOnlyThese,
  assertToldWithout,
  type Hostile,
} from './database-promises.ts';

const skip = needsPostgres();
const engine = testEngine();
let server: TestPostgres;
/** By the superuser, who may do everything that is not held off here. */
let shop: string;

before(async () => {
  if (skip !== false) return;
  server = await startPostgres();
  shop = `postgres://admin:${ADMIN_PASSWORD}@127.0.0.1:${server.port}/shop`;
  await server.run(`
    CREATE TABLE orders (id int PRIMARY KEY, note text, price numeric(16,2), big bigint, at timestamptz, ok bool, raw bytea, tags text[], doc jsonb);
    INSERT INTO orders VALUES (1, 'oak', 2.50, 9007199254740993, '2024-01-02T03:04:05Z', true, '\\x00ff', '{a,b}', '{"a":1}'), (2, NULL, 12345678901234.25, 7, NULL, false, NULL, NULL, NULL);
    CREATE TABLE secret (word text); INSERT INTO secret VALUES ('hush');
    CREATE TABLE "Odd name" (a int);
    CREATE VIEW words AS SELECT length(word) AS letters FROM secret;
    CREATE SCHEMA audit; CREATE TABLE audit.orders (who text); INSERT INTO audit.orders VALUES ('hush');
    CREATE TABLE ${'n'.repeat(63)} (word text);
    CREATE SEQUENCE numbers;
    CREATE FUNCTION tell() RETURNS text STABLE LANGUAGE sql AS 'SELECT word FROM secret';
    CREATE FUNCTION write() RETURNS int LANGUAGE sql AS 'INSERT INTO secret VALUES (''new'') RETURNING 1';
    CREATE FUNCTION lies() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN PERFORM write(); RETURN 1; END';
    CREATE FUNCTION of_row(orders) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE ROLE reader LOGIN PASSWORD 'reader-password'; GRANT SELECT ON orders TO reader;
    CREATE TABLE "we""ird" (word text); CREATE TABLE "${'ä'.repeat(31)}" (word text);
    CREATE FUNCTION "do""it"() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION ${'f'.repeat(63)}() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE EXTENSION IF NOT EXISTS dblink; CREATE EXTENSION IF NOT EXISTS tablefunc; CREATE EXTENSION IF NOT EXISTS xml2;
    CREATE FUNCTION sums(text) RETURNS SETOF record STABLE LANGUAGE c AS '$libdir/tablefunc', 'crosstab'`);
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  if (skip === false) await server[Symbol.asyncDispose]();
});

test('rows come as columns and values, numbers where JSON has them exactly', { skip }, async () => {
  assert.deepEqual(await rows(engine, asked(shop), 'SELECT * FROM orders ORDER BY id;'), {
    columns: ['id', 'note', 'price', 'big', 'at', 'ok', 'raw', 'tags', 'doc'],
    rows: [
      [
        1,
        'oak',
        2.5,
        '9007199254740993',
        '2024-01-02 03:04:05+00',
        true,
        '\\x00ff',
        '{a,b}',
        '{"a": 1}',
      ],
      [2, null, '12345678901234.25', 7, null, false, null, null, null],
    ],
  });
  const joined = await rows(
    engine,
    asked(shop),
    'WITH o AS (SELECT id FROM orders) SELECT o.id, a.id FROM o JOIN orders a USING (id) WHERE random() < 2 ORDER BY 1',
  );
  assert.deepEqual(joined, {
    columns: ['id', 'id'],
    rows: [
      [1, 1],
      [2, 2],
    ],
  });
});

test('an answer is cut at its bounds and says so, and no more is fetched', { skip }, async () => {
  await assertCut(engine, asked(shop), {
    endless: 'SELECT generate_series(1, 100000000)',
    exact: 'SELECT g FROM generate_series(1, 200) g',
  });
  const wide = await rows(
    engine,
    asked(shop),
    "SELECT repeat('x', 1500) FROM generate_series(1, 100)",
  );
  assert.match(wide.note ?? '', /characters; there are more/);
});

/** What there is: whatever changes it is found. */
async function state(): Promise<unknown> {
  const [data] = await server.run(`
    SELECT (SELECT json_agg(o) FROM orders o)::text, (SELECT json_agg(s) FROM secret s)::text,
      (SELECT last_value FROM numbers), (SELECT count(*) FROM pg_class),
      (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
      (SELECT json_agg(r) FROM pg_roles r)::text, (SELECT count(*) FROM pg_replication_slots),
      (SELECT json_agg(s) FROM pg_db_role_setting s)::text`);
  return [data, readdirSync(server.folder).toSorted()];
}

const LO = 'SELECT lo_create(4711)';
const HOSTILE: Hostile = [
  ["INSERT INTO secret VALUES ('x')", /only be read/],
  ['UPDATE orders SET id = 3', /only be read/],
  ['DELETE FROM orders', /only be read/],
  ['TRUNCATE orders', /only be read/],
  ['DROP TABLE orders', /only be read/],
  ['COMMIT', /only be read/],
  ['ROLLBACK', /only be read/],
  ['SET TRANSACTION READ WRITE', /only be read/],
  ['SET default_transaction_read_only = off', /only be read/],
  ['DO $$ BEGIN DELETE FROM orders; COMMIT; END $$', /only be read/],
  ['CALL nothing()', /only be read/],
  ['LISTEN x', /only be read/],
  ['VACUUM orders', /only be read/],
  ["COPY orders TO PROGRAM 'cat'", /only be read/],
  ["COPY orders TO '/tmp/x'", /only be read/],
  ["COPY orders FROM PROGRAM 'id'", /only be read/],
  ['EXPLAIN ANALYZE DELETE FROM orders', /only be read/],
  ['PREPARE p AS SELECT 1', /only be read/],
  ['SELECT 1; DELETE FROM orders', /several statements/],
  ['SELECT 1; COMMIT; DELETE FROM orders; SELECT 2', /several statements/],
  ['SELECT 1; COMMIT; --', /several statements/],
  ['WITH d AS (DELETE FROM orders RETURNING id) SELECT * FROM d', /data-modifying/],
  ["WITH i AS (INSERT INTO secret VALUES ('x') RETURNING 1) SELECT 1", /data-modifying/],
  ['WITH x AS (SELECT 1) INSERT INTO secret SELECT word FROM secret', /syntax error/],
  ['WITH x AS (SELECT 1) DELETE FROM orders', /syntax error/],
  ['SELECT * INTO copied FROM orders', /INTO/],
  ['SELECT * FROM orders FOR UPDATE', /read-only transaction|FOR UPDATE/],
  ["SELECT nextval('numbers')", /nextval is not allowed/],
  ["SELECT setval('numbers', 9)", /setval is not allowed/],
  ["SELECT set_config('transaction_read_only', 'off', true)", /set_config is not allowed/],
  ["SELECT pg_catalog . \"set_config\" /**/ ('transaction_read_only', 'off', false)", /set_config/],
  ["SELECT set_config('default_transaction_read_only', 'off', false)", /set_config is not allowed/],
  ['SELECT pg_sleep(60)', /pg_sleep is not allowed/],
  ['SELECT PG_SLEEP --\n (60)', /pg_sleep is not allowed/],
  ["SELECT pg_read_file('/etc/passwd')", /pg_read_file is not allowed/],
  ["SELECT pg_read_binary_file('/etc/passwd')", /pg_read_binary_file is not allowed/],
  ["SELECT * FROM pg_ls_dir('/')", /pg_ls_dir is not allowed/],
  ["SELECT pg_stat_file('/etc/passwd')", /pg_stat_file is not allowed/],
  [LO, /lo_create is not allowed/],
  ["SELECT lo_import('/etc/passwd')", /lo_import is not allowed/],
  ["SELECT lo_export(1, '/tmp/x')", /lo_export is not allowed/],
  ["SELECT lo_from_bytea(0, 'x')", /lo_from_bytea is not allowed/],
  ["SELECT dblink('dbname=shop', 'DELETE FROM orders')", /dblink is not allowed/],
  ["SELECT * FROM dblink_exec('dbname=shop', 'DELETE FROM orders')", /dblink_exec is not allowed/],
  ['SELECT pg_advisory_lock(1)', /pg_advisory_lock is not allowed/],
  ['SELECT pg_try_advisory_lock(1)', /pg_try_advisory_lock is not allowed/],
  ["SELECT pg_notify('c', 'x')", /pg_notify is not allowed/],
  ['SELECT pg_reload_conf()', /pg_reload_conf is not allowed/],
  ['SELECT pg_rotate_logfile()', /pg_rotate_logfile is not allowed/],
  ['SELECT pg_switch_wal()', /pg_switch_wal is not allowed/],
  ["SELECT pg_create_restore_point('x')", /pg_create_restore_point is not allowed/],
  ["SELECT pg_create_physical_replication_slot('x')", /is not allowed/],
  ["SELECT pg_logical_emit_message(false, 'a', 'b')", /is not allowed/],
  ['SELECT pg_terminate_backend(pid) FROM pg_stat_activity', /pg_terminate_backend is not allowed/],
  ['SELECT pg_cancel_backend(1)', /pg_cancel_backend is not allowed/],
  ['SELECT pg_export_snapshot()', /pg_export_snapshot is not allowed/],
  ['SELECT pg_stat_reset()', /pg_stat_reset is not allowed/],
  ['SELECT write()', /write is not allowed/],
  ['SELECT public."write"()', /write is not allowed/],
  ['SELECT lies()', /read-only transaction|not allowed/],
  ['SELECT of_row(o) FROM orders o', /of_row is not allowed/],
  ['SELECT o.of_row FROM orders o', /of_row is not allowed/],
  ["SELECT query_to_xml('SELECT 1', true, true, '')", /query_to_xml is not allowed/],
  ["SELECT table_to_xml('sec' || 'ret', true, true, '')", /table_to_xml is not allowed/],
  ["SELECT database_to_xml(true, true, '')", /database_to_xml is not allowed/],
  ["SELECT * FROM ts_stat('SELECT to_tsvector(word) FROM secret')", /ts_stat is not allowed/],
  [
    "SELECT * FROM crosstab('SELECT dblink_' || 'exec(''dbname=shop'', ''DELETE FROM orders''), 1, 1') AS c(a text, b int)",
    /crosstab is not allowed/,
  ],
  [
    "SELECT * FROM crosstab('SELECT 1, 1, 1', 'SELECT pg_' || 'sleep(60)') AS c(a int, b int)",
    /crosstab is not allowed/,
  ],
  ["SELECT * FROM crosstab2('SELECT pg_' || 'sleep(60)')", /crosstab2 is not allowed/],
  ["SELECT * FROM sums('SELECT pg_' || 'sleep(60)') AS c(a int, b int)", /sums is not allowed/],
  [
    "SELECT * FROM connectby('(SELECT pg_' || 'sleep(60)) s', 'a', 'a', 'x', 0) AS t(a text, b text, c int)",
    /connectby is not allowed/,
  ],
  [
    "SELECT * FROM xpath_table('a', 'a', '(SELECT pg_' || 'sleep(60)) s', '/', 'true') AS t(a text, b text)",
    /xpath_table is not allowed/,
  ],
  ['SELECT "do""it"()', /is not allowed/],
  [`SELECT ${'f'.repeat(70)}()`, /is not allowed/],
  ['SELECT U&"\\0070g_sleep"(60)', /U&/],
  ['SELECT rolpassword FROM pg_authid', /pg_authid/],
  ['SELECT passwd FROM pg_catalog.pg_shadow', /pg_shadow/],
  ['SELECT data FROM pg_largeobject', /pg_largeobject/],
  ['', /only be read/],
];

test('hostile SQL of a superuser is an error result, and changes nothing', { skip }, async () => {
  await assertHeldOff(engine, asked(shop), HOSTILE, state);
});

test('functions that the catalog calls volatile are refused by their names', { skip }, async () => {
  const found = await server.run(
    "SELECT DISTINCT proname::text FROM pg_proc WHERE provolatile = 'v' AND prokind = 'f' AND proname ~ '(file|dir|sleep|lock|slot|wal|backend|config|dblink)' ORDER BY 1 LIMIT 200",
  );
  assert.ok(found.length > 50);
  for (const [name] of found.filter((_, i) => i % 10 === 0)) {
    assert.match(
      await failure(engine, asked(shop), `SELECT ${String(name)}()`),
      /is not allowed here/,
    );
  }
});

test(
  'of a database that names its tables no other is read, however it is written',
  { skip },
  async () => {
    const only = asked(shop, { tables: ['orders', 'words'], schemas: ['public'] });
    await assertOnlyThese(engine, only, {
      read: [
        ['SELECT count(*) FROM orders', [[2]]],
        ['SELECT letters FROM public.words', [[4]]],
        ['WITH x AS (SELECT 1 AS a) SELECT a FROM x', [[1]]],
      ],
      refused: [
        'SELECT * FROM secret',
        'TABLE secret',
        'SELECT * FROM "secret"',
        'SELECT * FROM PUBLIC.SECRET',
        'SELECT 1 FROM/**/secret',
        'SELECT (SELECT word FROM ONLY secret LIMIT 1)',
        'SELECT * FROM audit.orders',
        'SELECT * FROM "audit" . "orders"',
        'SELECT * FROM "Odd name"',
        `SELECT * FROM ${'n'.repeat(63)}`,
        `SELECT * FROM ${'n'.repeat(70)}`,
        'SELECT * FROM "we""ird"',
        `SELECT * FROM ${'ä'.repeat(32)}`,
        'SELECT * FROM U&"\\0073ecret"',
        'SELECT * FROM numbers',
        'SELECT * FROM pg_class',
        'SELECT * FROM pg_catalog.pg_class',
        'SELECT most_common_vals FROM pg_stats',
        'SELECT * FROM information_schema.tables',
        'SELECT tell()',
        'SELECT query FROM pg_stat_get_activity(NULL)',
        "SELECT pg_get_viewdef('words'::regclass)",
        "SELECT * FROM crosstab('SELECT word, word, word FROM sec' || 'ret') AS c(a text, b text)",
        "SELECT table_to_xml('sec' || 'ret', true, true, '')",
        "SELECT query_to_xml('SELECT * FROM sec' || 'ret', true, true, '')",
      ],
      said: /may not be read here|is not allowed here|U&/,
      listed: ['public.orders', 'public.words view'],
    });
  },
);

test(
  'tables are listed with their columns, as far as the user may read them',
  { skip },
  async () => {
    const listed = await engine.list(asked(shop), '', NEVER);
    assert.match(listed.product, /^PostgreSQL \d+/);
    assert.ok(listed.lines.includes('audit.orders (who text)'));
    assert.ok(listed.lines.includes('public."Odd name" (a integer)'));
    assert.deepEqual((await engine.list(asked(shop), 'ODD', NEVER)).lines, [
      'public."Odd name" (a integer)',
    ]);
    const reader = asked(`postgres://reader:reader-password@127.0.0.1:${server.port}/shop`);
    const { lines } = await engine.list(reader, '', NEVER);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /^public\.orders/);
    assert.match(
      await failure(engine, reader, 'SELECT * FROM secret'),
      /permission denied for table secret \[42501\]/,
    );
  },
);

/** Of what the database counts, past everything that is tested. */
async function count(sql: string): Promise<number> {
  const [row] = await server.run(sql);
  return Number(row?.[0]);
}

const active = (): Promise<number> =>
  count(
    "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'tailrace' AND state = 'active'",
  );

test('a chat that is cancelled ends its query at the database', { skip }, async () => {
  await assertCancelEnds(
    engine,
    asked(shop),
    'SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000) b',
    active,
  );
});

test('a query of a worker that is killed is ended at the database', { skip }, async () => {
  const support = join(import.meta.dirname, '../support/servers/asked-database.ts');
  const sql = 'SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b';
  const worker = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `const { asked, rows, testEngine } = await import(${JSON.stringify(support)});
       await rows(testEngine(), asked(${JSON.stringify(shop)}), ${JSON.stringify(sql)});`,
    ],
    { stdio: 'ignore' },
  );
  await until('the query', async () => (await active()) === 1);
  worker.kill('SIGKILL');
  await until('its end at the database', async () => (await active()) === 0);
});

test('no connection is left after a query, whatever it came to', { skip }, async () => {
  await assertNoneLeft(engine, asked(shop), 'SELECT 1', () =>
    count("SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'tailrace'"),
  );
});

test(
  'what fails to connect is said without user, host, database and password',
  { skip },
  async () => {
    const at = `127.0.0.1:${server.port}`;
    const cases: readonly (readonly [string, RegExp])[] = [
      [`postgres://admin:wrong-hush@${at}/shop`, /the user or the password is wrong/],
      [`postgres://hush:hush@${at}/shop`, /the user or the password is wrong/],
      [`postgres://admin@${at}/shop`, /refused|wrong|broke off/],
      [`postgres://admin:${ADMIN_PASSWORD}@${at}/hush`, /no database of that name/],
      [`postgres://hush:hush@127.0.0.1:1/hush`, /nothing listens/],
      [`${shop}?sslmode=verify-full`, /certificate cannot be trusted.*sslmode=require/],
      ['postgres://hush:hush@10.1.2.3/hush', /not known, or is not at a public address/],
      ['postgres://hush:hush@169.254.169.254/hush', /not known, or is not at a public address/],
      ['postgres://hush:hush@2130706434/hush', /not known, or is not at a public address/],
      ['postgres://hush:hush@[::ffff:127.0.0.2]/hush', /not known, or is not at a public address/],
    ];
    await assertToldWithout(engine, cases, [
      'hush',
      'admin',
      'shop',
      '127.0.0.1',
      '10.1.2.3',
      ADMIN_PASSWORD,
      String(server.port),
    ]);
    const tls = await rows(
      engine,
      asked(`${shop}?sslmode=require`),
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    assert.deepEqual(tls.rows, [[true]]);
    const plain = await rows(
      engine,
      asked(`${shop}?sslmode=disable`),
      'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
    );
    assert.deepEqual(plain.rows, [[false]]);
  },
);

test('a certificate is verified by what this process trusts', { skip }, async () => {
  const verified = asked(`${shop}?sslmode=verify-full`);
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, CERTIFICATE.cert]);
  try {
    const sql = 'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
    assert.deepEqual((await rows(engine, verified, sql)).rows, [[true]]);
  } finally {
    setDefaultCACertificates(before);
  }
  assert.match(await failure(engine, verified, 'SELECT 1'), /certificate cannot be trusted/);
});

test('a password in what a server says of a statement is taken out of it', { skip }, async () => {
  const said = await failure(engine, asked(shop), `SELECT "${ADMIN_PASSWORD}"`);
  assert.match(said, /column "…" does not exist/);
});
