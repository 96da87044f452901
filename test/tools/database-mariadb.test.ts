// database_query on a real MariaDB: what is read, and hostile SQL, by a user who may do everything, that gets at
// nothing else and changes nothing. Needs Debian's package mariadb-server.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { asked, failure, NEVER, rows, testEngine } from '../support/servers/asked-database.ts';
import {
  ADMIN_PASSWORD,
  needsMariadb,
  startMariadb,
  type TestMariadb,
} from '../support/servers/mariadb.ts';
import {
  assertCancelEnds,
  assertCut,
  assertHeldOff,
  assertNoneLeft,
  assertOnlyThese,
  assertToldWithout,
  type Hostile,
} from './database-promises.ts';

const skip = needsMariadb();
const engine = testEngine();
let server: TestMariadb;
/** By the user who may do everything that is not held off here. */
let shop: string;

before(async () => {
  if (skip !== false) return;
  server = await startMariadb();
  shop = `mysql://admin:${ADMIN_PASSWORD}@127.0.0.1:${server.port}/shop`;
  writeFileSync(join(server.folder, 'file'), 'hush', { mode: 0o644 });
  await server.run(`
    CREATE TABLE orders (id int PRIMARY KEY, note text, price decimal(16,2), big bigint, at datetime, raw blob, doc json);
    INSERT INTO orders VALUES (1, 'oak', 2.50, 9007199254740993, '2024-01-02 03:04:05', X'00ff', '{"a":1}'), (2, NULL, 12345678901234.25, 7, NULL, NULL, NULL);
    CREATE TABLE secret (word text); INSERT INTO secret VALUES ('hush');
    CREATE TABLE old (a int) ENGINE = MyISAM; INSERT INTO old VALUES (1);
    CREATE TABLE \`odd \`\`name\` (a int);
    CREATE VIEW words AS SELECT length(word) AS letters FROM secret;
    CREATE DATABASE audit; CREATE TABLE audit.orders (who text); INSERT INTO audit.orders VALUES ('hush');
    CREATE SEQUENCE numbers;
    CREATE FUNCTION tell() RETURNS text READS SQL DATA RETURN (SELECT word FROM secret LIMIT 1);
    CREATE FUNCTION write_it() RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO secret VALUES ('new'); RETURN 1; END;
    SET sql_mode = ORACLE;
    CREATE PACKAGE kit AS FUNCTION tell_too RETURN text; END;
    CREATE PACKAGE BODY kit AS FUNCTION tell_too RETURN text AS said text; BEGIN SELECT word INTO said FROM secret LIMIT 1; RETURN said; END; END;
    SET sql_mode = DEFAULT;
    CREATE USER reader@'%' IDENTIFIED BY 'reader-password'; GRANT SELECT ON shop.orders TO reader@'%'`);
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  if (skip === false) await server[Symbol.asyncDispose]();
});

test('rows come as columns and values, numbers where JSON has them exactly', { skip }, async () => {
  assert.deepEqual(await rows(engine, asked(shop), 'SELECT * FROM orders ORDER BY id;'), {
    columns: ['id', 'note', 'price', 'big', 'at', 'raw', 'doc'],
    rows: [
      [1, 'oak', 2.5, '9007199254740993', '2024-01-02 03:04:05', '00ff', '{"a":1}'],
      [2, null, '12345678901234.25', 7, null, null, null],
    ],
  });
  const sql =
    'WITH o AS (SELECT id FROM orders) SELECT o.id, a.id FROM o JOIN orders a USING (id) ORDER BY 1';
  assert.deepEqual(await rows(engine, asked(shop), sql), {
    columns: ['id', 'id'],
    rows: [
      [1, 1],
      [2, 2],
    ],
  });
});

test('an answer is cut at its bounds and says so, and no more is fetched', { skip }, async () => {
  await assertCut(engine, asked(shop), {
    endless: 'SELECT seq FROM seq_1_to_100000000',
    exact: 'SELECT seq FROM seq_1_to_200',
  });
});

/** What there is: whatever changes it is found. */
async function state(): Promise<unknown> {
  const all: unknown[] = [];
  for (const sql of [
    'SELECT * FROM orders',
    'SELECT * FROM secret',
    'SELECT * FROM old',
    'SELECT * FROM numbers',
    'SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES ORDER BY 1, 2',
    'SELECT User, Host FROM mysql.global_priv',
    "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME IN ('READ_ONLY', 'GENERAL_LOG', 'LOCAL_INFILE')",
    "SELECT IS_USED_LOCK('x')",
  ]) {
    all.push(await server.run(sql));
  }
  return [all, readdirSync(server.folder).toSorted()];
}

test(
  'hostile SQL of a user who may do everything is an error result, and changes nothing',
  { skip },
  async () => {
    const out = join(server.folder, 'data', 'out');
    const hostile: Hostile = [
      ["INSERT INTO secret VALUES ('x')", /only be read/],
      ["INSERT INTO secret VALUES ('x') RETURNING word", /only be read/],
      ['UPDATE orders SET id = 3', /only be read/],
      ['DELETE FROM orders RETURNING id', /only be read/],
      ['TRUNCATE orders', /only be read/],
      ['DROP TABLE orders', /only be read/],
      ['COMMIT', /only be read/],
      ['SET SESSION TRANSACTION READ WRITE', /only be read/],
      ['SET GLOBAL general_log = 1', /only be read/],
      ['CALL nothing()', /only be read/],
      ["EXECUTE IMMEDIATE 'DELETE FROM orders'", /only be read/],
      ['BEGIN NOT ATOMIC DELETE FROM orders; END', /only be read/],
      ["LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE secret", /only be read/],
      ["LOAD DATA INFILE '/etc/passwd' INTO TABLE secret", /only be read/],
      ['LOCK TABLES orders WRITE', /only be read/],
      ['FLUSH TABLES WITH READ LOCK', /only be read/],
      ['ANALYZE TABLE orders', /only be read/],
      ['HANDLER orders OPEN', /only be read/],
      ['KILL 1', /only be read/],
      ['SHUTDOWN', /only be read/],
      ['/*! DELETE */ FROM orders', /only be read/],
      ['SELECT 1 /*!50000 INTO @x */', /\/\*!/],
      ['SELECT 1 /*M! INTO @x */', /\/\*!/],
      ['SELECT 1; DELETE FROM orders', /syntax/],
      ['SELECT 1; COMMIT; DELETE FROM orders', /syntax/],
      [`SELECT 'x' INTO OUTFILE '${out}'`, /OUTFILE/],
      [`SELECT 'x' INTO DUMPFILE '${out}'`, /DUMPFILE/],
      [`(SELECT 'x' INTO OUTFILE '${out}')`, /OUTFILE/],
      ["SELECT 'x' INTO @x", /only be read/],
      ['SELECT * FROM orders FOR UPDATE', /FOR … UPDATE/],
      ['SELECT * FROM orders LOCK IN SHARE MODE', /LOCK … SHARE/],
      ['WITH x AS (SELECT 1) DELETE FROM orders', /syntax|read/],
      ['WITH x AS (SELECT 1) INSERT INTO secret SELECT 1', /syntax|read/],
      [`SELECT load_file('${join(server.folder, 'file')}')`, /load_file is not allowed/],
      ["SELECT LOAD_FILE /**/ ('/etc/passwd')", /load_file is not allowed/],
      ['SELECT sleep(60)', /sleep is not allowed/],
      ['SELECT `sleep`(60)', /sleep is not allowed/],
      ['SELECT sleep#\n(60)', /sleep is not allowed/],
      ["SELECT benchmark(1000000000, sha1('x'))", /benchmark is not allowed/],
      [
        "SELECT spider_direct_sql('DELETE FROM orders', '', '')",
        /spider_direct_sql is not allowed/,
      ],
      ["SELECT get_lock('x', 1)", /get_lock is not allowed/],
      ['SELECT release_all_locks()', /release_all_locks is not allowed/],
      ['SELECT nextval(numbers)', /nextval is not allowed/],
      ['SELECT NEXT VALUE FOR numbers', /NEXT … VALUE/],
      ['SELECT setval(numbers, 100)', /setval is not allowed/],
      ['SELECT write_it()', /READ ONLY transaction/],
      ['SELECT * FROM mysql.global_priv', /mysql, which may not be read/],
      ['SELECT * FROM `mysql` /**/ . global_priv', /mysql, which may not be read/],
      ['SELECT * FROM performance_schema.threads', /performance_schema, which may not be read/],
      ['SELECT ?', /a place for a value/],
      ['', /only be read/],
    ];
    await assertHeldOff(engine, asked(shop), hostile, state);
  },
);

test(
  'what passes the words is held by the read-only transaction, in tables without transactions too',
  { skip },
  async () => {
    // The very session of a query, past the look at its words.
    const { createConnection } = await import('mysql2/promise');
    const connection = await createConnection({
      host: '127.0.0.1',
      port: server.port,
      user: 'admin',
      password: ADMIN_PASSWORD,
      database: 'shop',
    });
    await connection.query('SET SESSION TRANSACTION READ ONLY');
    await connection.query('START TRANSACTION READ ONLY');
    for (const sql of [
      'INSERT INTO old VALUES (2)',
      "INSERT INTO secret VALUES ('x')",
      'SELECT nextval(numbers)',
      'SELECT write_it()',
      'DROP TABLE orders',
    ]) {
      await assert.rejects(connection.query(sql), /READ ONLY/i, sql);
    }
    connection.destroy();
  },
);

test(
  'of a database that names its tables no other is read, however it is written',
  { skip },
  async () => {
    const only = asked(shop, { tables: ['orders', 'words'], schemas: ['shop'] });
    await assertOnlyThese(engine, only, {
      read: [
        ['SELECT count(*) FROM orders', [[2]]],
        ['SELECT letters FROM shop.words', [[4]]],
      ],
      refused: [
        'SELECT * FROM secret',
        'TABLE secret',
        'SELECT * FROM `secret`',
        'SELECT * FROM SHOP.secret',
        'SELECT 1 FROM/**/secret',
        'SELECT (SELECT word FROM secret LIMIT 1)',
        'SELECT * FROM audit.orders',
        'SELECT * FROM `audit` . `orders`',
        'SELECT * FROM `odd ``name`',
        'SELECT * FROM numbers',
        'SELECT * FROM information_schema.tables',
        'SELECT * FROM mysql.user',
        'SELECT tell()',
        'SELECT `tell` ()',
        'SELECT shop.tell()',
        'SELECT shop.kit.tell_too()',
        'SELECT `shop` . `kit` /**/ . tell_too ()',
      ],
      said: /may not be read here|is not allowed here|doesn't exist|error in your SQL syntax/,
      listed: ['orders', 'words view'],
    });
  },
);

test(
  'tables are listed with their columns, as far as the user may read them',
  { skip },
  async () => {
    const listed = await engine.list(asked(shop), '', NEVER);
    assert.match(listed.product, /^MariaDB \d+/);
    assert.ok(listed.lines.includes('audit.orders (who text)'));
    assert.ok(listed.lines.includes('`odd ``name` (a int(11))'));
    assert.deepEqual((await engine.list(asked(shop), 'odd', NEVER)).lines.length, 1);
    const reader = asked(`mariadb://reader:reader-password@127.0.0.1:${server.port}/shop`);
    const { lines } = await engine.list(reader, '', NEVER);
    assert.equal(lines.length, 1);
    assert.match(await failure(engine, reader, 'SELECT * FROM secret'), /denied.*\[1142\]/);
  },
);

/** Of what the database counts, past everything that is tested. */
async function count(sql: string): Promise<number> {
  const [row] = await server.run(sql);
  return Number(row?.[0]);
}

test('a chat that is cancelled ends its query at the database', { skip }, async () => {
  const active = () =>
    count(
      "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%seq_1_to_1000000000%' AND ID <> CONNECTION_ID()",
    );
  await assertCancelEnds(
    engine,
    asked(shop),
    'SELECT count(*) FROM seq_1_to_1000000000 a, seq_1_to_1000000000 b',
    active,
  );
});

test('no connection is left after a query, whatever it came to', { skip }, async () => {
  // Besides the one that is asked here.
  await assertNoneLeft(engine, asked(shop), 'SELECT seq FROM seq_1_to_100000000', async () => {
    return (
      (await count("SELECT count(*) FROM information_schema.PROCESSLIST WHERE USER = 'admin'")) - 1
    );
  });
});

test(
  'what fails to connect is said without user, host, database and password',
  { skip },
  async () => {
    const at = `127.0.0.1:${server.port}`;
    const cases: readonly (readonly [string, RegExp])[] = [
      [`mysql://admin:wrong-hush@${at}/shop`, /the user or the password is wrong/],
      [`mysql://hush:hush@${at}/shop`, /the user or the password is wrong/],
      [`mysql://admin:${ADMIN_PASSWORD}@${at}/hush`, /no database of that name/],
      [`mysql://reader:reader-password@${at}/audit`, /may not use that database/],
      ['mysql://hush:hush@127.0.0.1:1/hush', /nothing listens/],
      [`${shop}?ssl-mode=REQUIRED`, /offers no TLS.*ssl-mode=DISABLED/],
      ['mysql://hush:hush@10.1.2.3/hush', /not known, or is not at a public address/],
    ];
    await assertToldWithout(engine, cases, [
      'hush',
      'admin',
      'reader',
      'shop',
      '127.0.0.1',
      ADMIN_PASSWORD,
      String(server.port),
    ]);
  },
);
