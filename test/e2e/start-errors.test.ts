// A start that cannot succeed ends at once with exit code 1 and one sentence that names what to set.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../support/processes/nats.ts';
import { failedStart, startTailraceProcess } from '../support/processes/tailrace-process.ts';

test('a start that cannot succeed says which variable is wrong, what it is, and what would be right', async () => {
  using folder = temporaryFolder();
  const plainFile = join(folder.path, 'a-file');
  writeFileSync(plainFile, 'rivers not-a-hash\n');
  await using taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
    [
      { TAILRACE_LISTEN: `127.0.0.1:${port}` },
      /^TAILRACE_LISTEN is "127\.0\.0\.1:\d+", and another program listens there already\. Stop it, or give another port/,
    ],
    [
      { TAILRACE_TOKENS_FILE: join(folder.path, 'nothing') },
      /^TAILRACE_TOKENS_FILE is ".*nothing", and it cannot be used: ENOENT[\s\S]*tailrace token/,
    ],
    [{ TAILRACE_TOKENS_FILE: plainFile }, /a-file, line 1: .*64 hex digits/],
    [
      { TAILRACE_DATA_DIR: join(plainFile, 'x') },
      /data folder .* cannot be made[\s\S]*TAILRACE_DATA_DIR/,
    ],
    [
      { TAILRACE_NATS_SERVER: join(folder.path, 'nothing') },
      /nats-server program .*nothing cannot be run\. Set TAILRACE_NATS_SERVER/,
    ],
    [
      { TAILRACE_PORT: '80' },
      /^TAILRACE_PORT is not a setting of Tailrace; those there are: TAILRACE_LISTEN/,
    ],
    [
      { TAILRACE_LISTN: '127.0.0.1:0' },
      /^TAILRACE_LISTN is not a setting of Tailrace; did you mean TAILRACE_LISTEN\?$/,
    ],
  ];
  for (const [env, sentence] of cases) {
    const { code, said } = await failedStart({
      env: {
        TAILRACE_DATA_DIR: join(folder.path, 'data'),
        OPENAI_BASE_URL: 'http://127.0.0.1:1/v1',
        ...env,
      },
    });
    assert.equal(code, 1, said);
    assert.match(said, sentence);
    assert.equal(said.split('\n').length, 1, said);
  }
});

test('a model server that takes connections and says nothing holds no start up', async () => {
  using folder = temporaryFolder();
  let left = 0;
  const silent = createServer((socket) => socket.once('close', () => left++));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  await using tailrace = await startTailraceProcess({
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`,
  });
  assert.equal(left, 0, 'it has not waited for an answer until that took too long');
  assert.deepEqual(tailrace.log, [], 'and nothing is wrong before anyone has called');
  assert.equal((await tailrace.stop()).code, 0);
  silent.close();
});
