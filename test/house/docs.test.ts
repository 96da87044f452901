// docs/PROTOCOL.md and docs/CASES.md name a test for each rule and case; here they are held to that.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';

const ROOT = join(import.meta.dirname, '../..');
const textOf = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const PROTOCOL = textOf('docs/PROTOCOL.md');
const CASES = textOf('docs/CASES.md');

interface Named {
  readonly file: string;
  readonly name: string;
}

function testsNamed(text: string): Named[] {
  return [...text.matchAll(/`([a-z0-9-]+\/[a-z0-9-]+) › ([^`]+)`/g)].map(([, file, name]) => ({
    file: `test/${file}.test.ts`,
    name: name ?? '',
  }));
}

for (const [doc, text, least] of [
  ['PROTOCOL.md', PROTOCOL, 40],
  ['CASES.md', CASES, 40],
] as const) {
  test(`every test that docs/${doc} names is there`, () => {
    const named = testsNamed(text);
    assert.ok(named.length > least, 'there is something to look at');
    const missing = named.filter(({ file, name }) => {
      return !existsSync(join(ROOT, file)) || !textOf(file).includes(name.trimEnd());
    });
    assert.deepEqual(missing, []);
  });
}

test('every case of docs/CASES.md names a test, and says why it does not happen', () => {
  const rows = CASES.split('\n').filter((line) => /^\| (?!case \|)/.test(line));
  assert.ok(rows.length > 40);
  const bare = rows.filter((row) => {
    const [, , test = '', why = ''] = row.split(/(?<!\\)\|/);
    return testsNamed(test).length === 0 || why.trim() === '';
  });
  assert.deepEqual(bare, []);
});

test('every numbered rule of docs/PROTOCOL.md names a test', () => {
  const rules = PROTOCOL.split(/^(?=\d+\. )/m).slice(1);
  const bare = rules.filter((rule) => !/`[a-z0-9-]+\/[a-z0-9-]+ › /.test(rule));
  assert.deepEqual(
    bare.map((rule) => rule.split('\n')[0]),
    [],
  );
});

test('docs/PROTOCOL.md has a row with a test for each field of the request', () => {
  const table = PROTOCOL.slice(PROTOCOL.indexOf('## The request, field by field'));
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const named = new Set(
    rows.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`([a-z_]+)`/g)].map(([, f]) => f),
    ),
  );
  const fields = ChatRequestSchema.fields.map(({ name }) => name);
  assert.deepEqual(
    fields.filter((field) => !named.has(field)),
    [],
  );
  assert.deepEqual(
    rows.filter((row) => testsNamed(row).length === 0),
    [],
  );
});
