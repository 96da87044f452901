// database_query on files of SQLite: what is read, from where, and hostile SQL that gets at nothing else and changes
// nothing.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { asked, failure, NEVER, rows, testEngine } from '../support/servers/asked-database.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { assertHeldOff, assertOnlyThese, type Hostile } from './database-promises.ts';

const root = temporaryFolder();
const folder = join(root.path, 'open');
mkdirSync(folder);
const file = join(folder, 'shop.db');
const outside = join(root.path, 'outside.db');
for (const path of [file, outside]) {
  const db = new DatabaseSync(path);
  db.exec(`
    CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, raw BLOB);
    INSERT INTO orders VALUES (1, 'oak', x'00ff'), (9007199254740993, NULL, NULL);
    CREATE TABLE secret (word TEXT); INSERT INTO secret VALUES ('hush');
    CREATE TABLE "odd ""name" (a);
    CREATE VIEW words AS SELECT length(word) AS letters FROM secret;
    CREATE VIRTUAL TABLE texts USING fts5(body); INSERT INTO texts VALUES ('the mill race');`);
  db.close();
}
const engine = testEngine({ folders: [folder] });
const shop = asked(`sqlite://${file}`);

after(async () => {
  await engine[Symbol.asyncDispose]();
  root[Symbol.dispose]();
});

test('rows come as columns and values, and tables are listed with their columns', async () => {
  assert.deepEqual(await rows(engine, shop, 'SELECT * FROM orders ORDER BY id;'), {
    columns: ['id', 'note', 'raw'],
    rows: [
      [1, 'oak', '00ff'],
      ['9007199254740993', null, null],
    ],
  });
  const found = await rows(engine, shop, "SELECT body FROM texts WHERE texts MATCH 'mill'");
  assert.deepEqual(found.rows, [['the mill race']]);
  const listed = await engine.list(shop, '', NEVER);
  assert.match(listed.product, /^SQLite \d/);
  for (const line of [
    'orders (id INTEGER, note TEXT, raw BLOB)',
    'secret (word TEXT)',
    'words view (letters )',
    '"odd ""name" (a)',
  ]) {
    assert.ok(
      listed.lines.some((each) => each.replace(' )', ')') === line.replace(' )', ')')),
      `${line} in ${listed.lines.join('\n')}`,
    );
  }
  assert.equal((await engine.list(shop, 'ORD', NEVER)).lines.length, 2);
});

const HOSTILE: Hostile = [
  ["INSERT INTO secret VALUES ('x')", /only be read/],
  ['UPDATE orders SET note = 1', /only be read/],
  ['DELETE FROM orders RETURNING id', /only be read/],
  ['WITH x AS (SELECT 1) DELETE FROM orders', /only be read/],
  ['DROP TABLE orders', /only be read/],
  ['CREATE TEMP TABLE t (a)', /only be read/],
  ['BEGIN', /only be read/],
  ['COMMIT', /only be read/],
  ['VACUUM', /only be read/],
  ["VACUUM INTO '/tmp/copy.db'", /only be read/],
  ['REINDEX', /only be read/],
  ['ANALYZE', /only be read/],
  [`ATTACH '${outside}' AS o`, /only be read/],
  ['DETACH main', /only be read/],
  ['PRAGMA query_only = OFF', /only be read/],
  ['PRAGMA writable_schema = ON', /only be read/],
  ["PRAGMA journal_mode = 'DELETE'", /only be read/],
  ['PRAGMA table_info(orders)', /only be read/],
  ['SELECT * FROM pragma_database_list', /only be read/],
  ['SELECT 1; DELETE FROM orders', /several statements/],
  ["SELECT load_extension('/tmp/x.so')", /load_extension|no such function/],
  ["SELECT fts3_tokenizer('simple', x'00')", /fts3_tokenizer|no such function/],
  ["SELECT readfile('/etc/passwd')", /no such function/],
  ["SELECT writefile('/tmp/x', 'y')", /no such function/],
  ["SELECT edit('x')", /no such function/],
  ["INSERT INTO texts(texts) VALUES ('rebuild')", /only be read/],
  ['EXPLAIN DELETE FROM orders', /only be read/],
  ['', /only be read/],
];

const digest = (): string => createHash('sha256').update(readFileSync(file)).digest('hex');

test('hostile SQL is an error result, and changes no byte of the file', async () => {
  await assertHeldOff(engine, shop, HOSTILE, digest);
});

test('of a file that names its tables no other is read, however it is written', async () => {
  const only = asked(`sqlite://${file}`, { tables: ['orders', 'words'] });
  await assertOnlyThese(engine, only, {
    read: [
      ['SELECT count(*) FROM orders', [[2]]],
      ['SELECT letters FROM main.words', [[4]]],
      [
        "WITH x AS (SELECT value AS a FROM json_each('[3]')) SELECT count(*), max(a) FROM x",
        [[1, 3]],
      ],
    ],
    refused: [
      'SELECT * FROM secret',
      'SELECT word FROM "SECRET"',
      'SELECT 1 FROM secret',
      'SELECT count(*) FROM secret',
      'SELECT count(*) FROM SeCrEt',
      'SELECT (SELECT word FROM [secret])',
      'SELECT 1 FROM orders WHERE EXISTS (SELECT 1 FROM secret)',
      'SELECT * FROM "odd ""name"',
      'SELECT * FROM texts',
      'SELECT * FROM texts_content',
      'SELECT sql FROM sqlite_master',
      'SELECT count(*) FROM sqlite_schema',
      'SELECT * FROM sqlite_temp_master',
      'SELECT * FROM dbstat',
      'SELECT * FROM sqlite_dbpage',
    ],
    said: /may not be read here|only be read|no such table/,
    listed: ['orders', 'words view'],
  });
});

test('a file is read only from the folders of the operator, by its real path', async () => {
  const link = join(folder, 'link.db');
  symlinkSync(outside, link);
  const through = join(folder, 'deep');
  symlinkSync(root.path, through);
  const inside = join(folder, 'inside.db');
  symlinkSync(file, inside);
  writeFileSync(
    join(folder, 'text.db'),
    'no database, but text that is long enough to be one'.repeat(99),
  );
  const cases: readonly (readonly [string, RegExp])[] = [
    [link, /leads out of the folders/],
    [join(through, 'outside.db'), /leads out of the folders/],
    [outside, /leads out of the folders/],
    [join(folder, 'none.db'), /no such file/],
    [join(folder, 'text.db'), /no SQLite database/],
    [folder, /leads out of the folders|is no file/],
  ];
  for (const [path, said] of cases) {
    const why = await failure(engine, asked(`sqlite://${path}`), 'SELECT 1');
    assert.match(why, said, path);
    assert.ok(!why.includes(root.path), why);
  }
  assert.equal(
    (await rows(engine, asked(`sqlite://${inside}`), 'SELECT * FROM orders')).rows.length,
    2,
  );
  await using none = testEngine();
  assert.match(await failure(none, shop, 'SELECT 1'), /leads out of the folders/);
});

const ENDLESS =
  'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c';

test('a query without end, and one that fills the memory, are ended, and the next is answered', async () => {
  await using brief = testEngine({ folders: [folder], processes: 1, queryMs: 1_000 });
  assert.match(await failure(brief, shop, ENDLESS), /longer than 1 s/);
  assert.equal((await rows(brief, shop, 'SELECT 1')).rows.length, 1);
  await using small = testEngine({
    folders: [folder],
    memoryBytes: 200 * 1024 * 1024,
    queryMs: 60_000,
  });
  const sql =
    'WITH RECURSIVE c(x) AS (SELECT randomblob(1000000) UNION ALL SELECT randomblob(1000000) FROM c) SELECT x FROM c ORDER BY x';
  assert.match(await failure(small, shop, sql), /more than 200 MiB/);
});

test('a chat that is cancelled ends its query with its process', async () => {
  await using one = testEngine({ folders: [folder], processes: 1, queryMs: 60_000 });
  const abort = new AbortController();
  const running = one.query(shop, ENDLESS, abort.signal);
  const next = rows(one, { ...shop, whose: { tenant: 'b', streamId: 'c' } }, 'SELECT 2');
  abort.abort(new Error('cancelled'));
  await assert.rejects(running, /cancelled/);
  assert.deepEqual((await next).rows, [[2]]);
});

test('a view or a table that cannot be read is listed without its columns, and hides no other', async () => {
  const path = join(folder, 'broken.db');
  const db = new DatabaseSync(path);
  db.exec(`
    CREATE TABLE good (a INTEGER);
    CREATE TABLE gone (a); CREATE VIEW lost AS SELECT * FROM gone; DROP TABLE gone;`);
  db.close();
  const { lines } = await engine.list(asked(`sqlite://${path}`), '', NEVER);
  assert.deepEqual(lines, ['good (a INTEGER)', 'lost view (cannot be read)']);
});

test('a file that another writes at the moment is waited for', async () => {
  const path = join(folder, 'busy.db');
  const db = new DatabaseSync(path);
  db.exec('CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (1); BEGIN EXCLUSIVE');
  setTimeout(() => db.exec('COMMIT'), 300);
  const reading = rows(engine, asked(`sqlite://${path}`), 'SELECT id FROM orders');
  assert.deepEqual((await reading).rows, [[1]]);
  db.close();
});

test('a file that is damaged is said to be', async () => {
  const path = join(folder, 'damaged.db');
  writeFileSync(path, readFileSync(file));
  const bytes = readFileSync(path);
  bytes.fill(0xee, 4_096);
  bytes.fill(0xee, 200, 4_000);
  writeFileSync(path, bytes);
  const damaged = asked(`sqlite://${path}`);
  assert.match(
    await failure(engine, damaged, 'SELECT * FROM orders'),
    /no SQLite database|malformed/,
  );
  await assert.rejects(engine.list(damaged, '', NEVER), /no SQLite database|malformed/);
});
