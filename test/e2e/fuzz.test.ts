// A short form of `npm run fuzz`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../fuzz/fuzz.ts';
import { startFuzzServer } from '../fuzz/server.ts';

const BODIES = 6_000;

test('6,000 broken and random bodies over every protocol are each answered, and make nothing that was not acknowledged', async (t) => {
  await using server = await startFuzzServer();
  const report = await fuzz({ url: server.url, seed: 42, from: 0, to: BODIES });
  t.diagnostic(JSON.stringify(report.answers));
  assert.deepEqual(report.wrong, []);
  assert.deepEqual(
    server.log.filter((line) => line.includes('"level":"error"')),
    [],
  );
  assert.ok(report.initiated > 0, 'some were right');
  // The same id is taken once and then found again.
  const started = await server.started();
  assert.ok(started <= report.initiated, `${started} chats, ${report.initiated} answers`);
});
