// The terminal that Tailrace was started on is closed: it stops then, as programs on a terminal do, but for where
// it was started to outlive it. The terminal is a real one, by Python's pty.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startModelServer } from '../model-server/model-server.ts';
import { BIN, type Running, startProgramOnTerminal } from '../support/processes/cli.ts';
import { grpcClient } from '../support/clients.ts';
import { needs } from '../support/needs.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { baseEnvironment, isAlive } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';

const skip = needs('python3');
const READ_AGAIN = 'so nothing was read again';
const SERVES = /Tailrace serves on (http:\S+)/;
/** A cold start, or a stop, on a busy machine. */
const PATIENCE_MS = 60_000;

interface OnTerminal extends AsyncDisposable {
  readonly terminal: Running;
  readonly pid: number;
  /** Of its nats-server. */
  readonly natsPid: number;
  readonly url: string;
  readonly log: () => string;
}

/** In the foreground, with its log in a file, since its terminal will be gone. */
const ALONE = 'echo $$ > pid; exec "$0" "$@" 2> log';
/** As a job of a shell, which hands on that its terminal was closed. */
const BY_NOHUP = 'nohup "$0" "$@" 2> log & echo $! > pid; trap "kill -HUP $!" HUP; wait; wait';

/** `tailrace serve`. */
async function serveOnTerminal(script: string): Promise<OnTerminal> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(temporaryFolder());
  const model = stack.use(await startModelServer());
  const terminal = startProgramOnTerminal('sh', ['-c', script, process.execPath, BIN, 'serve'], {
    cwd: path,
    env: { ...baseEnvironment(), TAILRACE_DATA_DIR: 'data', OPENAI_BASE_URL: model.url },
  });
  const read = (name: string): string => {
    const file = join(path, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  const pid = await until('its process', () => Number(read('pid')) || undefined);
  // Where a test fails: nobody else ends them.
  stack.defer(() => {
    for (const each of [pid, Number(read('data/nats/nats-server.pid'))]) {
      if (each > 0 && isAlive(each)) process.kill(each, 'SIGKILL');
    }
  });
  // nohup has it write there.
  const said = (): string => terminal.output() + read('nohup.out');
  const url = await until('it to serve', () => SERVES.exec(said())?.[1], PATIENCE_MS);
  const natsPid = Number(read('data/nats/nats-server.pid'));
  assert.ok(isAlive(natsPid));
  const owned = stack.move();
  return {
    terminal,
    pid,
    natsPid,
    url,
    log: () => read('log'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function ended(server: OnTerminal): Promise<void> {
  await until('its end', () => !isAlive(server.pid), PATIENCE_MS);
  assert.match(server.log(), /"msg":"stopped"/);
  assert.equal(isAlive(server.natsPid), false);
}

test(
  'SIGHUP reads the files again while the terminal is there; when it is closed the server stops, as by SIGTERM',
  { skip },
  async () => {
    await using server = await serveOnTerminal(ALONE);
    process.kill(server.pid, 'SIGHUP');
    await until('the files to be read again', () => server.log().includes(READ_AGAIN));
    await grpcClient(server.url).listModels({});
    // The terminal goes with the program that it belongs to.
    server.terminal.signal('SIGKILL');
    await ended(server);
    assert.match(server.log(), /"signal":"SIGHUP","msg":"stopping"/);
  },
);

test('what was started by nohup outlives its terminal', { skip }, async () => {
  await using server = await serveOnTerminal(BY_NOHUP);
  server.terminal.signal('SIGKILL');
  await until('the files to be read again', () => server.log().includes(READ_AGAIN));
  await grpcClient(server.url).listModels({});
  process.kill(server.pid, 'SIGTERM');
  await ended(server);
});
