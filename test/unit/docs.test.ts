// docs/PROTOCOL.md names a test for each rule; here it is held to that.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');
const PROTOCOL = readFileSync(join(ROOT, 'docs/PROTOCOL.md'), 'utf8');

interface Named {
  readonly file: string;
  readonly name: string;
}

function testsNamed(): Named[] {
  return [...PROTOCOL.matchAll(/`([a-z0-9-]+\/[a-z0-9-]+) › ([^`]+)`/g)].map(([, file, name]) => ({
    file: `test/${file}.test.ts`,
    name: name ?? '',
  }));
}

test('every test that docs/PROTOCOL.md names is there', () => {
  const named = testsNamed();
  assert.ok(named.length > 40, 'there is something to look at');
  const missing = named.filter(({ file, name }) => {
    const path = join(ROOT, file);
    return !existsSync(path) || !readFileSync(path, 'utf8').includes(name.trimEnd());
  });
  assert.deepEqual(missing, []);
});

test('every numbered rule of docs/PROTOCOL.md names a test', () => {
  const rules = PROTOCOL.split(/^(?=\d+\. )/m).slice(1);
  const bare = rules.filter((rule) => !/`[a-z0-9-]+\/[a-z0-9-]+ › /.test(rule));
  assert.deepEqual(
    bare.map((rule) => rule.split('\n')[0]),
    [],
  );
});
