// The keys: as text in the variable, and as the file that the embedded default makes for itself.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ConfigError } from '../../src/ops/config.ts';
import { parseSealKeys, sealKeyText } from '../../src/ops/seal-keys.ts';
import { sealKeysIn } from '../../src/ops/seal-keys-file.ts';
import { SILENT, temporaryFolder } from '../support/processes/nats.ts';
import { recordingLogger } from '../support/chats/watch.ts';

const BASE64 = Buffer.alloc(32, 7).toString('base64');
const GIVEN = { id: 'given', bytes: Buffer.alloc(32, 9) };

test('keys are read in their order, from one line or from several', () => {
  const other = Buffer.alloc(32, 8).toString('base64');
  for (const text of [`b:${BASE64},a:${other}`, ` b:${BASE64} ,\n a:${other}\n`]) {
    const keys = parseSealKeys(text);
    assert.ok(!('fault' in keys));
    assert.deepEqual(keys.map(sealKeyText), [`b:${BASE64}`, `a:${other}`]);
  }
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  [BASE64, /the 1st is no id/],
  [`k1:${BASE64},:${BASE64}`, /the 2nd is no id/],
  [`k 1:${BASE64}`, /the 1st is no id/],
  [`k1:${BASE64.slice(0, -1)}`, /"k1" is not the base64 of 32 bytes/],
  [`k1:${Buffer.alloc(16, 7).toString('base64')}`, /"k1" is not the base64 of 32 bytes/],
  [`k1:${Buffer.alloc(33, 7).toString('base64')}`, /"k1" is not the base64 of 32 bytes/],
  [`k1:${BASE64},k1:${BASE64}`, /"k1" is there twice/],
  [',', /keys such as k1:/],
  [Array.from({ length: 17 }, (_, i) => `k${i}:${BASE64}`).join(','), /at most 16 keys/],
];

for (const [text, right] of WRONG) {
  test(`keys that are wrong: ${right.source}`, () => {
    const keys = parseSealKeys(text);
    assert.ok('fault' in keys);
    assert.match(keys.fault, right);
    assert.ok(!keys.fault.includes(BASE64.slice(0, 20)), 'a key is not quoted');
  });
}

test('the embedded default makes a key that only its owner may read, once, and leaves nothing beside it', async () => {
  using folder = temporaryFolder();
  const [made] = await sealKeysIn(folder.path, [], SILENT);
  assert.deepEqual(readdirSync(folder.path), ['seal-keys']);
  assert.equal(statSync(join(folder.path, 'seal-keys')).mode & 0o777, 0o600);
  assert.equal(made?.bytes.length, 32);
  assert.deepEqual(await sealKeysIn(folder.path, [], SILENT), [made]);
});

test('of many that make it at once the first one’s key is everybody’s', async () => {
  using folder = temporaryFolder();
  const all = await Promise.all(
    Array.from({ length: 20 }, () => sealKeysIn(folder.path, [], SILENT)),
  );
  const texts = new Set(all.map((keys) => keys.map(sealKeyText).join()));
  assert.equal(texts.size, 1);
  assert.deepEqual(readdirSync(folder.path), ['seal-keys']);
});

test('a key of the environment seals; one that was made before goes on opening; none is made beside it', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'seal-keys');
  assert.deepEqual(await sealKeysIn(folder.path, [GIVEN], SILENT), [GIVEN]);
  assert.ok(!existsSync(file));
  const [made] = await sealKeysIn(folder.path, [], SILENT);
  assert.deepEqual(await sealKeysIn(folder.path, [GIVEN], SILENT), [GIVEN, made]);
  // Copied into the variable, as one does who moves to a NATS of their own.
  assert.ok(made !== undefined);
  assert.deepEqual(await sealKeysIn(folder.path, [made], SILENT), [made]);
  const twin = { id: made.id, bytes: GIVEN.bytes };
  await assert.rejects(
    sealKeysIn(folder.path, [twin], SILENT),
    (error) => error instanceof ConfigError && /another one by that id/.test(error.message),
  );
});

test('a file that is no file of keys is an error that names it and quotes nothing; one that others may read is said', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'seal-keys');
  writeFileSync(file, `k1:${BASE64}x\n`, { mode: 0o600 });
  await assert.rejects(
    sealKeysIn(folder.path, [], SILENT),
    (error) =>
      error instanceof ConfigError &&
      error.message.includes(file) &&
      !error.message.includes(BASE64.slice(0, 20)),
  );
  writeFileSync(file, `k1:${BASE64}\n`);
  chmodSync(file, 0o640);
  const logger = recordingLogger();
  await sealKeysIn(folder.path, [], logger);
  assert.deepEqual(
    logger.lines.map(({ level, fields }) => [level, fields]),
    [['warn', { file }]],
  );
  assert.equal(readFileSync(file, 'utf8'), `k1:${BASE64}\n`);
});
