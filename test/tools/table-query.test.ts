// table_query: SQL over the tables of a chat, and hostile SQL that gets at nothing else, changes nothing
// and ends.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  MAX_SQL_RESULT_CHARS,
  MAX_SQL_RESULT_ROWS,
  MAX_SQL_SHOWN_VALUE_CHARS,
  MAX_TOOL_LIST_CHARS,
} from '../../src/chat/limits.ts';
import { ToolFailure } from '../../src/chat/ports/tool.ts';
import type { QueryAnswer } from '../../src/tools/sql/select.ts';
import { openTables } from '../../src/tools/tables/table-database.ts';
import { createTableEngine } from '../../src/tools/tables/table-engine.ts';
import { tableQueryTool } from '../../src/tools/tables/table-query.ts';
import { TRACEPARENT } from '../model/model-call.ts';
import { chatKey } from '../support/chats/chat-fixtures.ts';

interface Result {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly note?: string;
}

const SALES = 'id,name,amount\n1,mill,2.5\n2,wheel,\n3,race,7\n';
const { signal } = new AbortController();

const CHAT = chatKey();

function requestOf(tables: Readonly<Record<string, string>>, description = '') {
  return create(ChatRequestSchema, {
    toolContext: Object.entries(tables).map(([name, data]) => {
      const format = data.startsWith('[') ? 'json' : 'csv';
      return { name, description, item: { case: 'table', value: { format, data } } } as const;
    }),
  });
}

function result(answer: QueryAnswer): Result {
  assert.ok(answer.ok, answer.ok ? '' : answer.why);
  return JSON.parse(answer.text) as Result;
}

const salesDatabase = () => openTables([{ name: 'sales', format: 'csv', data: SALES }]);

/** An endless recursion, none of whose rows is ever given out. */
const ENDLESS =
  'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c';

test('tables of CSV and JSON are joined in SQL, and the answer is columns and rows', async () => {
  await using engine = createTableEngine();
  const regions = '[{"name":"mill","region":"north"},{"name":"race","region":"south"}]';
  const tool = tableQueryTool(requestOf({ 'my sales': SALES, regions }), CHAT, engine);
  const sql =
    'SELECT region, sum(amount) AS total FROM my_sales JOIN regions USING (name) GROUP BY 1';
  assert.deepEqual(JSON.parse(await tool.call({ sql }, signal, TRACEPARENT)), {
    columns: ['region', 'total'],
    rows: [
      ['north', 2.5],
      ['south', 7],
    ],
  });
});

test('the description lists tables, columns, types and numbers of rows, bounded', () => {
  const { description, inputSchema } = tableQueryTool(
    requestOf({ 'my sales': SALES }, 'per\nday'),
    CHAT,
  );
  const line = /^- "my_sales" \("id" INTEGER, "name" TEXT, "amount" REAL\), 3 rows: per day$/m;
  assert.match(description, line);
  const names = Array.from({ length: 200 }, (_, i) => `column_with_a_name_${i}`).join(',');
  const wide = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`t${i}`, names]));
  const { description: long } = tableQueryTool(requestOf(wide, 'd'.repeat(16_000)), CHAT);
  assert.ok(long.length < MAX_TOOL_LIST_CHARS + 2_000);
  assert.match(long, /… and \d+ more tables/);
  const validate = new Ajv2020().compile(JSON.parse(inputSchema) as object);
  assert.ok(validate({ sql: 'SELECT 1' }));
  for (const wrong of [{}, { sql: '' }, { sql: 1 }, { sql: 'SELECT 1', file: 'x' }]) {
    assert.ok(!validate(wrong), JSON.stringify(wrong));
  }
});

const HOSTILE: readonly (readonly [string, RegExp])[] = [
  ['SELECT 1; SELECT 2', /several statements/],
  ['SELECT 1; DELETE FROM sales', /several statements/],
  ['SELECT 1\0; DELETE FROM sales', /several statements/],
  ['SELECT 1 /* ; */; DROP TABLE sales', /several statements/],
  ['', /empty/],
  [' ; -- nothing', /empty/],
  ['/* no end', /empty/],
  ["ATTACH '/tmp/tailrace-hostile.db' AS other", /only be read/],
  ["ATTACH ':memory:' AS other", /only be read/],
  ['DETACH main', /only be read/],
  ["VACUUM INTO '/tmp/tailrace-hostile.db'", /only be read/],
  ['VACUUM', /only be read/],
  ['REINDEX', /only be read/],
  ['ANALYZE', /only be read/],
  ['PRAGMA query_only = OFF', /only be read/],
  ['PRAGMA writable_schema = ON', /only be read/],
  ['PRAGMA table_info(sales)', /only be read/],
  ["SELECT * FROM pragma_table_info('sales')", /only be read/],
  ['SELECT * FROM pragma_database_list', /only be read/],
  ["SELECT load_extension('/tmp/x.so')", /load_extension is not allowed/],
  ["SELECT LOAD_EXTENSION('/tmp/x.so', 'init')", /not allowed/i],
  ["SELECT fts3_tokenizer('x', x'00')", /not allowed/],
  ["SELECT readfile('/etc/passwd')", /no such function/],
  ["SELECT writefile('/tmp/tailrace-hostile.db', 'x')", /no such function/],
  ['INSERT INTO sales VALUES (4, NULL, NULL)', /only be read/],
  ['REPLACE INTO sales VALUES (4, NULL, NULL)', /only be read/],
  ['UPDATE sales SET amount = 0', /only be read/],
  ['UPDATE sales SET amount = 0 RETURNING *', /only be read/],
  ['DELETE FROM sales', /only be read/],
  ['WITH a AS (SELECT 1) DELETE FROM sales', /only be read/],
  ['DELETE FROM sqlite_master', /may not be modified/],
  ['DROP TABLE sales', /only be read/],
  ['ALTER TABLE sales RENAME TO sold', /only be read/],
  ['CREATE TABLE t (a)', /only be read/],
  ['CREATE TEMP TABLE t (a)', /only be read/],
  ['CREATE TEMP VIEW v AS SELECT 1', /only be read/],
  ['CREATE INDEX i ON sales (id)', /only be read/],
  ['CREATE VIRTUAL TABLE v USING fts5(a)', /only be read/],
  ['CREATE TRIGGER t AFTER INSERT ON sales BEGIN SELECT 1; END', /only be read/],
  ['BEGIN', /only be read/],
  ['COMMIT', /only be read/],
  ['SAVEPOINT s', /only be read/],
  ['SELECT zeroblob(1000000000)', /too big/],
  ["SELECT printf('%.*c', 900000000, 'x')", /too big/],
  ['SELECT nope FROM sales', /no such column: nope/],
  ['SELECT', /incomplete/],
  [`SELECT '${'x'.repeat(20_000)}'`, /more than 20000 characters/],
  [`SELECT ${'('.repeat(5_000)}1${')'.repeat(5_000)}`, /./],
];

test('hostile SQL is an error in words, changes nothing and reaches no file', () => {
  const database = salesDatabase();
  const all = 'SELECT * FROM sales ORDER BY id';
  const schema = 'SELECT * FROM sqlite_master';
  const before = [result(database.query(all)), result(database.query(schema))];
  for (const [sql, said] of HOSTILE) {
    const answer = database.query(sql);
    assert.ok(!answer.ok, `taken: ${sql}`);
    assert.match(answer.why, said, sql);
    assert.deepEqual([result(database.query(all)), result(database.query(schema))], before, sql);
  }
  assert.ok(!existsSync('/tmp/tailrace-hostile.db'));
  database.close();
});

test('whatever a model sends is answered or an error, and changes nothing', () => {
  const database = salesDatabase();
  const word = fc.constantFrom(
    ...'SELECT DELETE FROM sales PRAGMA ATTACH ; -- /* */ ( ) , * " \' = INTO WITH AS VACUUM \0 1 x'.split(
      ' ',
    ),
  );
  const sql = fc.oneof(
    fc.array(word).map((words) => words.join(' ')),
    fc.string(),
  );
  fc.assert(
    fc.property(sql, (given) => {
      database.query(given);
      assert.equal(result(database.query('SELECT count(*) FROM sales')).rows[0]?.[0], 3);
    }),
    { numRuns: 500 },
  );
  database.close();
});

test('a comment and a semicolon behind the statement, and one before it, are no second one', () => {
  const database = salesDatabase();
  for (const sql of [
    'SELECT 1;',
    'SELECT 1; -- done',
    '-- first\nSELECT 1 /* a; */;;',
    '; SELECT 1',
  ]) {
    assert.deepEqual(result(database.query(sql)).rows, [[1]], sql);
  }
  database.close();
});

test('a giant result is cut by rows, by characters and by value, and says so', () => {
  const database = salesDatabase();
  const count = (most: number, what: string): string =>
    `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ${most}) SELECT ${what} FROM c`;
  const many = result(database.query(count(1_000_000, 'x')));
  assert.equal(many.rows.length, MAX_SQL_RESULT_ROWS);
  assert.match(many.note ?? '', /only the first 200 rows; there are more/);
  const exact = result(database.query(count(MAX_SQL_RESULT_ROWS, 'x')));
  assert.equal(exact.rows.length, MAX_SQL_RESULT_ROWS);
  assert.equal(exact.note, undefined);
  const wide = database.query(count(1_000, "printf('%.*c', 1500, 'y')"));
  assert.ok(wide.ok && wide.text.length <= MAX_SQL_RESULT_CHARS + 500);
  assert.match(result(wide).note ?? '', /at most 32768 characters/);
  const long = result(database.query("SELECT printf('%.*c', 5000000, 'y'), zeroblob(1000000)"));
  assert.equal(String(long.rows[0]?.[0]).length, MAX_SQL_SHOWN_VALUE_CHARS);
  assert.match(long.note ?? '', /are cut/);
  const one = result(
    database.query(`SELECT ${Array(40).fill("printf('%.*c', 1500, 'y')").join(',')}`),
  );
  assert.deepEqual(one.rows, []);
  assert.match(one.note ?? '', /only the first 0 rows/);
  const names = result(database.query('SELECT * FROM sales a, sales b LIMIT 1'));
  assert.deepEqual(names.columns, ['id', 'name', 'amount', 'id', 'name', 'amount']);
  database.close();
});

test('numbers that JSON or JavaScript has not come as text, bytes as hex', () => {
  const database = salesDatabase();
  const sql = "SELECT 9e999, -9e999, 9223372036854775807, 9007199254740991, NULL, x'00ff', 0.5";
  assert.deepEqual(result(database.query(sql)).rows, [
    ['Infinity', '-Infinity', '9223372036854775807', 9007199254740991, null, '00ff', 0.5],
  ]);
  database.close();
});

test('a query without end is ended, and the next one is answered', async () => {
  await using engine = createTableEngine({ processes: 1, queryMs: 1_000 });
  const tool = tableQueryTool(requestOf({ sales: SALES }), CHAT, engine);
  await assert.rejects(tool.call({ sql: ENDLESS }, signal, TRACEPARENT), (error) => {
    return error instanceof ToolFailure && /longer than 1 s/.test(error.message);
  });
  const { rows } = JSON.parse(
    await tool.call({ sql: 'SELECT count(*) FROM sales' }, signal, TRACEPARENT),
  ) as Result;
  assert.deepEqual(rows, [[3]]);
});

test('a query that fills the memory is ended, and the process that runs chats lives', async () => {
  await using engine = createTableEngine({ queryMs: 60_000, memoryBytes: 200 * 1024 * 1024 });
  const tool = tableQueryTool(requestOf({ sales: SALES }), CHAT, engine);
  const sql =
    'WITH RECURSIVE c(x) AS (SELECT randomblob(1000000) UNION ALL SELECT randomblob(1000000) FROM c) SELECT x FROM c ORDER BY x';
  await assert.rejects(tool.call({ sql }, signal, TRACEPARENT), (error) => {
    return error instanceof ToolFailure && /more than 200 MiB/.test(error.message);
  });
  assert.match(await tool.call({ sql: 'SELECT 1' }, signal, TRACEPARENT), /"rows":\[\[1\]\]/);
});

test('a fault of ours is no word to the model', async () => {
  await using engine = createTableEngine({ processes: 1 });
  const tables = [{ name: 't', format: 'json', data: 'came past the door' }];
  await assert.rejects(engine.query({ key: 'k', tables }, 'SELECT 1', CHAT, signal), (error) => {
    return (
      error instanceof Error && !(error instanceof ToolFailure) && /code 1/.test(error.message)
    );
  });
});

test('an abort ends a running query with its process, and one that waits without', async () => {
  await using engine = createTableEngine({ processes: 1, queryMs: 60_000 });
  const tool = tableQueryTool(requestOf({ sales: SALES }), CHAT, engine);
  await tool.call({ sql: 'SELECT 1' }, signal, TRACEPARENT);
  const [running, queued] = [new AbortController(), new AbortController()];
  const endless = tool.call({ sql: ENDLESS }, running.signal, TRACEPARENT);
  const behind = tool.call({ sql: 'SELECT 1' }, queued.signal, TRACEPARENT);
  const last = tool.call({ sql: 'SELECT 2' }, signal, TRACEPARENT);
  queued.abort(new Error('not wanted'));
  await assert.rejects(behind, /not wanted/);
  running.abort(new Error('cancelled'));
  await assert.rejects(endless, /cancelled/);
  assert.match(await last, /"rows":\[\[2\]\]/);
  await assert.rejects(tool.call({ sql: 'SELECT 1' }, running.signal, TRACEPARENT), /cancelled/);
});

test('more queries than may wait are an error result', async () => {
  await using engine = createTableEngine({ processes: 1, queryMs: 60_000, maxWaiting: 1 });
  const tool = tableQueryTool(requestOf({ sales: SALES }), CHAT, engine);
  const abort = new AbortController();
  const ended = Promise.allSettled(
    [ENDLESS, ENDLESS].map((sql) => tool.call({ sql }, abort.signal, TRACEPARENT)),
  );
  await assert.rejects(tool.call({ sql: 'SELECT 1' }, signal, TRACEPARENT), (error) => {
    return error instanceof ToolFailure && /try again/.test(error.message);
  });
  abort.abort();
  assert.deepEqual(
    (await ended).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});

test('chats with other tables share processes and see their own alone', async () => {
  await using engine = createTableEngine({ processes: 1 });
  const tools = Array.from({ length: 8 }, (_, i) => {
    return tableQueryTool(requestOf({ t: `n\n${i}\n` }), CHAT, engine);
  });
  // More than a process keeps loaded, and by turns.
  for (let round = 0; round < 2; round++) {
    const answers = await Promise.all(
      tools.map(async (tool) => {
        const text = await tool.call({ sql: 'SELECT n FROM t' }, signal, TRACEPARENT);
        return (JSON.parse(text) as Result).rows;
      }),
    );
    assert.deepEqual(
      answers,
      tools.map((_, i) => [[i]]),
    );
  }
  assert.equal(engine.processes(), 1);
});

test('a process that has nothing to do ends', async () => {
  await using engine = createTableEngine({ idleMs: 0 });
  const tool = tableQueryTool(requestOf({ sales: SALES }), CHAT, engine);
  await tool.call({ sql: 'SELECT 1' }, signal, TRACEPARENT);
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const look = (): void => {
    if (engine.processes() === 0) resolve(undefined);
    else setImmediate(look);
  };
  look();
  await promise;
  assert.match(await tool.call({ sql: 'SELECT 1' }, signal, TRACEPARENT), /"rows":\[\[1\]\]/);
});
