// The embedded nats-server: one on a folder, found again after a crash, started again when it dies, and
// gone when we stop.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTcp } from 'node:net';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { EMBEDDED_NATS_STOP_MS, EMBEDDED_NATS_SYNC_MS } from '../../src/chat/limits.ts';
import { lockDataDir } from '../../src/nats/embedded/data-lock.ts';
import { startEmbeddedNats } from '../../src/nats/embedded/embedded-server.ts';
import { chatKey, recordsOf, startChat } from '../support/chats/chat-fixtures.ts';
import { testAppend, testMark } from '../support/chats/claims.ts';
import {
  embeddedNats,
  natsServerProgram,
  openAdapter,
  SILENT,
  startNats,
  temporaryFolder,
} from '../support/processes/nats.ts';
import { HANGS_MS, until, within } from '../support/until.ts';
import { recordingLogger } from '../support/chats/watch.ts';

/** Also of a child that nobody has waited for yet: what is dead and still listed is not alive. */
function isAlive(pid: number): boolean {
  const { status, stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)]);
  return status === 0 && !stdout.toString().trim().startsWith('Z');
}

function pidOf(server: { readonly pid: () => number | undefined }): number {
  const pid = server.pid();
  assert.ok(pid !== undefined);
  return pid;
}

/** A Tailrace that dies without a word: a process that starts an embedded server and is killed. */
async function startAndKill(dataDir: string): Promise<number> {
  const script = `
    import { embeddedNats } from ${JSON.stringify(join(import.meta.dirname, '../support/processes/nats.ts'))};
    const server = await embeddedNats(process.argv[1]);
    console.log(server.pid());
    setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer];
  child.kill('SIGKILL');
  await once(child, 'exit');
  return Number(chunk.toString());
}

test('a clean stop ends the server, and the next one has everything', async () => {
  using folder = temporaryFolder();
  const chat = chatKey();
  let pid = 0;
  {
    await using server = await embeddedNats(folder.path);
    pid = pidOf(server);
    await using adapter = await openAdapter(server, 'first');
    await adapter.log.append(chat, 0, testAppend(1, testMark()));
    await startChat(adapter, { streamId: 'kept' });
  }
  assert.equal(isAlive(pid), false);
  await using server = await embeddedNats(folder.path);
  await using adapter = await openAdapter(server, 'second');
  assert.equal((await recordsOf(adapter.log, chat)).length, 1);
  assert.equal((await adapter.inbox.start(chatKey('kept')))?.verb, 'start');
});

test('the password is in no file and on no command line', async () => {
  await using nats = await startNats();
  const { password } = nats.access;
  const home = join(nats.dataDir, 'nats');
  const config = readFileSync(join(home, 'nats-server.conf'), 'utf8');
  assert.ok(!config.includes(password));
  const pid = pidOf(nats.server);
  if (existsSync(`/proc/${pid}/cmdline`)) {
    assert.ok(!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(password));
  }
  const { url, user } = nats.access;
  await assert.rejects(connect({ servers: [url], user, pass: 'another', reconnect: false }));
});

test('a process that stands still while it connects is no stranger', async () => {
  await using nats = await startNats();
  const { url, user, password } = nats.access;
  const socket = connectTcp(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8');
  await once(socket, 'data');
  // Longer than nats-server waits by itself.
  await sleep(2_500);
  let said = '';
  socket.on('data', (text: string) => (said += text));
  const login = JSON.stringify({ user, pass: password, verbose: false });
  socket.write(`CONNECT ${login}\r\nPING\r\n`);
  await until('its answer', () => said !== '');
  assert.match(said, /PONG/);
  socket.destroy();
});

test('a data folder in use is refused, and whoever holds it is named', async () => {
  using folder = temporaryFolder();
  await using _server = await embeddedNats(folder.path);
  await assert.rejects(embeddedNats(folder.path), new RegExp(`in use.*process ${process.pid}`));
  const script = `
    import { lockDataDir } from ${JSON.stringify(join(import.meta.dirname, '../../src/nats/embedded/data-lock.ts'))};
    try { lockDataDir(process.argv[1]); console.log('locked'); } catch (error) { console.log(error.message); }`;
  const other = spawn(
    process.execPath,
    ['--input-type=module-typescript', '-e', script, folder.path],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [said] = (await once(other.stdout, 'data')) as [Buffer];
  assert.match(said.toString(), new RegExp(`in use.*process ${process.pid}.*TAILRACE_DATA_DIR`));
});

test('the lock goes with its process, however that dies, and with its release', async () => {
  using folder = temporaryFolder();
  lockDataDir(folder.path).release();
  await startAndKill(folder.path).then((orphan) => process.kill(orphan, 'SIGKILL'));
  lockDataDir(folder.path).release();
});

test('a server that outlived its Tailrace is found and ended, and its store is kept', async () => {
  using folder = temporaryFolder();
  const chat = chatKey();
  {
    await using server = await embeddedNats(folder.path);
    await using adapter = await openAdapter(server, 'before');
    await adapter.log.append(chat, 0, testAppend(1, testMark()));
  }
  const orphan = await startAndKill(folder.path);
  assert.equal(isAlive(orphan), true, 'it outlives its parent');
  const logger = recordingLogger();
  await using server = await embeddedNats(folder.path, logger);
  assert.equal(isAlive(orphan), false);
  assert.notEqual(pidOf(server), orphan);
  assert.ok(logger.lines.some(({ fields }) => fields['nats_server_pid'] === orphan));
  await using adapter = await openAdapter(server, 'after');
  assert.equal((await recordsOf(adapter.log, chat)).length, 1);
});

test('a process that only has the pid of an old server is left alone', async () => {
  using folder = temporaryFolder();
  const home = join(folder.path, 'nats');
  mkdirSync(home, { recursive: true });
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
  writeFileSync(join(home, 'nats-server.pid'), `${stranger.pid}`);
  {
    await using _server = await embeddedNats(folder.path);
    assert.equal(stranger.exitCode, null);
    assert.equal(stranger.signalCode, null);
  }
  stranger.kill('SIGKILL');
});

test('a server that is killed is started again, on its port and its store', async () => {
  using folder = temporaryFolder();
  const logger = recordingLogger();
  await using server = await embeddedNats(folder.path, logger);
  await using adapter = await openAdapter(server, 'test');
  const chat = chatKey();
  let last = 0;
  for (let round = 1; round <= 3; round++) {
    const outcome = await adapter.log.append(
      chat,
      last,
      testAppend(round, testMark({ attempt: round })),
    );
    assert.ok(outcome.type === 'stored');
    last = outcome.storeSequence;
    const pid = pidOf(server);
    process.kill(pid, 'SIGKILL');
    await until('it to be away', () => !adapter.connected());
    await until('it to be back', () => adapter.connected());
    assert.notEqual(pidOf(server), pid);
  }
  assert.equal((await recordsOf(adapter.log, chat)).length, 3, 'what was acknowledged is there');
  assert.equal(logger.lines.filter(({ level }) => level === 'error').length, 3);
});

test('a program that cannot run, or ends at once, is an error that says where to look', async () => {
  using folder = temporaryFolder();
  const sync = EMBEDDED_NATS_SYNC_MS;
  const options = { dataDir: folder.path, sync, logger: SILENT, environment: process.env };
  await assert.rejects(
    startEmbeddedNats({ ...options, program: join(folder.path, 'no-such-program') }),
    /no-such-program|nats-server/,
  );
  await assert.rejects(startEmbeddedNats({ ...options, program: 'false' }), /nats-server\.log/);
  // The lock was given back: the right program starts.
  await using _server = await startEmbeddedNats({ ...options, program: natsServerProgram() });
});

// These wait for a server that does not hear the polite signal.
describe('a server that hangs', { concurrency: true }, () => {
  test('a server that hangs is ended all the same when we stop', async () => {
    using folder = temporaryFolder();
    const server = await embeddedNats(folder.path);
    const pid = pidOf(server);
    process.kill(pid, 'SIGSTOP');
    await within(
      EMBEDDED_NATS_STOP_MS + HANGS_MS,
      'the stop',
      Promise.resolve(server[Symbol.asyncDispose]()),
    );
    assert.equal(isAlive(pid), false);
  });

  test('an orphan that hangs is ended all the same when we start', async () => {
    using folder = temporaryFolder();
    const orphan = await startAndKill(folder.path);
    process.kill(orphan, 'SIGSTOP');
    await using _server = await embeddedNats(folder.path);
    assert.equal(isAlive(orphan), false);
  });
});
