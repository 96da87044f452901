// Test processes that are cut short: nobody has to look for what they had started.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { isAlive } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';

const SUPPORT = join(import.meta.dirname, '../support/processes');

/** A test as it may be in the middle: a Tailrace killed, its nats-server left; another that runs; a shell with jobs. */
const PROGRAM = `
  import { spawn } from 'node:child_process';
  import { endWithUs } from ${JSON.stringify(join(SUPPORT, 'left-behind.ts'))};
  import { startNats, temporaryFolder } from ${JSON.stringify(join(SUPPORT, 'nats.ts'))};
  import { startTailraceProcess } from ${JSON.stringify(join(SUPPORT, 'tailrace-process.ts'))};
  const start = (path) =>
    startTailraceProcess({ TAILRACE_DATA_DIR: path, OPENAI_BASE_URL: 'http://127.0.0.1:9/v1' });
  const nats = await startNats();
  const killed = temporaryFolder();
  const runs = temporaryFolder();
  const [first, second] = await Promise.all([start(killed.path), start(runs.path)]);
  const orphans = first.children();
  await first.killAlone();
  const shell = spawn('/bin/sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  endWithUs(shell.pid);
  const job = await new Promise((resolve) => shell.stdout.once('data', (chunk) => resolve(Number(chunk))));
  console.log(JSON.stringify({
    pids: [nats.server.pid(), ...orphans, second.pid, ...second.children(), shell.pid, job],
    folders: [nats.dataDir, killed.path, runs.path],
  }));
  setInterval(() => {}, 1e6);`;

interface Told {
  readonly pids: readonly number[];
  readonly folders: readonly string[];
}

for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
  test(`a test process that ends by ${signal} leaves no process and no folder behind`, async () => {
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', PROGRAM], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value: line = '' } = await lines.next();
    const { pids, folders } = JSON.parse(line) as Told;
    assert.ok(pids.length >= 6 && pids.every((pid) => isAlive(pid)), line);
    child.kill(signal);
    await exited;
    await until('the end of the processes', () => !pids.some((pid) => isAlive(pid)));
    await until('the end of the folders', () => !folders.some((folder) => existsSync(folder)));
  });
}
