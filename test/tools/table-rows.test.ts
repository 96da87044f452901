// Tables as callers write them: names, types and values, and what is refused because it could only be guessed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Papa from 'papaparse';
import * as fc from 'fast-check';
import { MAX_TABLE_COLUMNS, MAX_TABLES_CELLS } from '../../src/chat/limits.ts';
import { sqlName } from '../../src/chat/rules/sql-name.ts';
import { type Column, readTable, type Value } from '../../src/tools/tables/table-rows.ts';

interface Read {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Value[])[];
}

function read(format: string, data: string): Read {
  const found = readTable(format, data);
  assert.ok(found.ok, found.ok ? '' : found.why);
  const { columns, count } = found.table;
  const rows = [...found.table.rows()];
  assert.equal(rows.length, count);
  return { columns, rows };
}

function why(format: string, data: string): string {
  const found = readTable(format, data);
  assert.ok(!found.ok, 'it was read');
  return found.why;
}

test('columns of CSV have the type that all their values have, and empty values are NULL', () => {
  const csv = [
    'id,price,code,long,mixed,none,"a ""note"""',
    '1,2.5,007,12345678901234567890,1,,"x, y"',
    '-2,,010,1,a,,"two\nlines"',
    '3,1e3,1,,,,',
  ].join('\r\n');
  assert.deepEqual(read('csv', csv), {
    columns: [
      { name: 'id', type: 'INTEGER' },
      { name: 'price', type: 'REAL' },
      { name: 'code', type: 'TEXT' },
      { name: 'long', type: 'TEXT' },
      { name: 'mixed', type: 'TEXT' },
      { name: 'none', type: 'TEXT' },
      { name: 'a_note', type: 'TEXT' },
    ],
    rows: [
      [1, 2.5, '007', '12345678901234567890', '1', null, 'x, y'],
      [-2, null, '010', '1', 'a', null, 'two\nlines'],
      [3, 1000, '1', null, null, null, null],
    ],
  });
});

test('semicolons and tabs part values where the names have no comma; a byte order mark and empty lines do not count', () => {
  const rows = [[1, '2,5']];
  assert.deepEqual(read('csv', '\uFEFFa;b\n\n1;2,5\n\n').rows, rows);
  assert.deepEqual(read('csv', 'a\tb\n1\t2,5').rows, rows);
  assert.deepEqual(read('csv', 'a\n1;2').rows, [['1;2']]);
});

test('any texts come out of CSV as they went in', () => {
  const value = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `x${text}`);
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 20 }), (rows) => {
      const csv = Papa.unparse([['a', 'b'], ...rows], { quotes: true, newline: '\n' });
      assert.deepEqual(read('csv', csv).rows, rows);
    }),
    { numRuns: 200 },
  );
});

test('rows of JSON have the fields of all of them; booleans are 1 and 0, what is nested is JSON text', () => {
  const rows = [
    { id: 1, ok: true, tags: ['a'], text: '5' },
    { id: 2.5, ok: false, more: null, text: '' },
  ];
  assert.deepEqual(read('json', JSON.stringify(rows)), {
    columns: [
      { name: 'id', type: 'REAL' },
      { name: 'ok', type: 'INTEGER' },
      { name: 'tags', type: 'TEXT' },
      { name: 'text', type: 'TEXT' },
      { name: 'more', type: 'TEXT' },
    ],
    rows: [
      [1, 1, '["a"]', '5', null],
      [2.5, 0, null, '', null],
    ],
  });
});

test('integers of JSON beyond 2^53 − 1 stay what they are, as text', () => {
  const json =
    '[{"id":9007199254740993,"n":{"id":-9007199254740993}},{"id":9007199254740992,"n":1e300}]';
  assert.deepEqual(read('json', json), {
    columns: [
      { name: 'id', type: 'TEXT' },
      { name: 'n', type: 'TEXT' },
    ],
    rows: [
      ['9007199254740993', '{"id":"-9007199254740993"}'],
      ['9007199254740992', '1e+300'],
    ],
  });
  assert.deepEqual(read('json', '[{"n":9007199254740991},{"n":0.30000000000000004}]').rows, [
    [9007199254740991],
    [0.30000000000000004],
  ]);
});

test('what cannot be read is refused with the row and what would be right', () => {
  for (const [format, data, said] of [
    ['csv', '', /is empty; the first row/],
    ['csv', 'a,b\n1\n', /row 2 has 1 values, and there are 2 names/],
    ['csv', 'a,b\n1,2\n1,2,3\n', /row 3 has 3 values/],
    ['csv', 'a,b\n"x', /no CSV.* in row 2/],
    ['csv', 'a,,c\n', /column 2 has no name/],
    ['csv', 'a,A\n', /"a" and "A" are both "A" in SQL/],
    ['csv', 'a b,a-b\n', /"a b" and "a-b" are both "a_b"/],
    ['csv', `${'x'.repeat(200)}\n1`, /has 200 characters/],
    [
      'csv',
      `${Array.from({ length: MAX_TABLE_COLUMNS + 1 }, (_, i) => `c${i}`).join(',')}\n`,
      /columns/,
    ],
    ['csv', `a,b\n${'1,2\n'.repeat(MAX_TABLES_CELLS / 2 + 1)}`, /more than 500000 values/],
    ['json', '', /is no JSON/],
    ['json', '{}', /must be an array of objects/],
    ['json', '[]', /has no columns/],
    ['json', '[{}]', /has no columns/],
    ['json', '[{"a":1},2]', /item 1 is none/],
    ['json', '[{"a":1},null]', /item 1 is none/],
    ['json', '[[1]]', /item 0 is none/],
    ['json', '[{"a":1,"A":2}]', /both "A"/],
  ] as const) {
    assert.match(why(format, data), said, data.slice(0, 40));
  }
});

test('a column that is called as what every object inherits is one like others', () => {
  const { columns, rows } = read('json', '[{"__proto__":1,"constructor":2,"toString":3}]');
  assert.deepEqual(
    columns.map(({ name }) => name),
    ['proto', 'constructor', 'toString'],
  );
  assert.deepEqual(rows, [[1, 2, 3]]);
});

test('names in SQL are letters, digits and _, begin with no digit, and are none of SQLite’s', () => {
  for (const [given, name] of [
    ['Umsatz (EUR)', 'Umsatz_EUR'],
    ['größe', 'größe'],
    ['2024', '_2024'],
    ['sqlite_master', '_sqlite_master'],
    ['"; DROP TABLE t; --', 'DROP_TABLE_t'],
    ['日本', '日本'],
    ['?!', ''],
  ] as const) {
    assert.equal(sqlName(given), name);
  }
});
