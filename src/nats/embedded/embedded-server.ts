// The embedded default: a real nats-server as a child process with a file store in the data folder.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  EMBEDDED_NATS_MAX_PAYLOAD_BYTES,
  EMBEDDED_NATS_START_MS,
  EMBEDDED_NATS_STOP_MS,
} from '../../chat/limits.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { lockDataDir } from './data-lock.ts';
import { diskOf, watchStore } from './embedded-watch.ts';
import { endOrphan } from './orphan.ts';

export interface EmbeddedNats extends AsyncDisposable {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly pid: () => number | undefined;
  /** Of the disk that the store lies on. */
  readonly diskFreeBytes: () => Promise<number>;
}

export interface EmbeddedNatsOptions {
  /** The nats-server program. */
  readonly program: string;
  readonly dataDir: string;
  /** How often the store is synced to the disk, in ms; always: each write, before it is acknowledged. */
  readonly sync: number | 'always';
  readonly logger: Logger;
  /** What the child inherits. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const USER = 'tailrace';
const WATCH_USER = 'tailrace-watch';
const RESTART_WAIT_MS = 250;
const POLL_MS = 5;

export async function startEmbeddedNats(options: EmbeddedNatsOptions): Promise<EmbeddedNats> {
  const { dataDir, logger } = options;
  const lock = lockDataDir(dataDir);
  try {
    const home = join(dataDir, 'nats');
    const pidFile = join(home, 'nats-server.pid');
    mkdirSync(home, { recursive: true });
    await endOrphan(pidFile, home, logger);
    const password = randomBytes(24).toString('hex');

    let stopping = false;
    const { allBytes } = await diskOf(dataDir);
    const sync = options.sync === 'always' ? 'always' : `${options.sync}ms`;
    let child = run(options, { home, port: -1, allBytes, sync }, password);
    const url = await untilReady(child, home);
    const port = Number(new URL(url).port);

    let couldStart = true;
    const startAgain = (): void => {
      if (stopping) return;
      try {
        // The same port, so that every connection finds it again.
        child = run(options, { home, port, allBytes, sync }, password);
        couldStart = true;
        follow(child);
      } catch (err) {
        // Its configuration cannot be written: the disk is full, or gone.
        if (couldStart) logger.error({ err }, 'nats-server cannot be started again; trying on');
        couldStart = false;
        setTimeout(startAgain, RESTART_WAIT_MS);
      }
    };
    const follow = (running: ChildProcess): void => {
      // Read, so that a long last word does not block the server; an error is followed by the exit.
      running.stderr?.resume();
      running.on('error', (err) => logger.error({ err }, 'nats-server cannot be run'));
      running.once('exit', (code, signal) => {
        if (stopping) return;
        logger.error({ code, signal }, 'nats-server died; it is started again on the same store');
        setTimeout(startAgain, RESTART_WAIT_MS);
      });
    };
    follow(child);
    // A process that ends itself without stopping its parts leaves no server behind.
    const endToo = (): void => void child.kill('SIGTERM');
    process.once('exit', endToo);
    const restart = (): void => void child.kill('SIGKILL');
    const watching = { url, user: WATCH_USER, password, dataDir, logger, restart };
    const watch = await watchStore(watching).catch((error: unknown) => {
      stopping = true;
      child.kill('SIGKILL');
      throw error;
    });

    return {
      url,
      user: USER,
      password,
      pid: () => child.pid,
      diskFreeBytes: async () => (await diskOf(dataDir)).freeBytes,
      [Symbol.asyncDispose]: async () => {
        stopping = true;
        await watch.stop();
        if (child.exitCode === null && child.signalCode === null) {
          const exited = once(child, 'exit');
          child.kill('SIGTERM');
          // One that hangs does not hear it.
          const hangs = setTimeout(() => child.kill('SIGKILL'), EMBEDDED_NATS_STOP_MS);
          await exited;
          clearTimeout(hangs);
        }
        process.off('exit', endToo);
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

interface ServerSettings {
  readonly home: string;
  /** -1: one that is free. */
  readonly port: number;
  /** Of the disk. */
  readonly allBytes: number;
  readonly sync: string;
}

function run(
  options: EmbeddedNatsOptions,
  settings: ServerSettings,
  password: string,
): ChildProcess {
  const file = join(settings.home, 'nats-server.conf');
  // Read once by the server at its start; the password comes by the environment, not by the file.
  writeFileSync(file, configText(settings), { mode: 0o600 });
  return spawn(options.program, ['-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // A process group of its own: Ctrl-C is for Tailrace, which hands its chats back before it ends
    // the server.
    detached: true,
    env: { ...options.environment, TAILRACE_NATS_PASSWORD: password },
  });
}

/**
 * `max_file_store`: by default nats-server takes 75% of what is free for its limit, and at it refuses
 * everything, deletes too. Tailrace looks at the disk itself and keeps a reserve (src/chat/log/store-room.ts).
 */
function configText({ home, port, allBytes, sync }: ServerSettings): string {
  return `# Written by Tailrace at each start.
host: "127.0.0.1"
port: ${port}
ports_file_dir: ${JSON.stringify(home)}
pid_file: ${JSON.stringify(join(home, 'nats-server.pid'))}
log_file: ${JSON.stringify(join(home, 'nats-server.log'))}
logfile_size_limit: 16MB
logfile_max_num: 2
max_payload: ${EMBEDDED_NATS_MAX_PAYLOAD_BYTES}
lame_duck_duration: "30s"
authorization { timeout: ${AUTHORIZATION_S}, users: [ { user: "${USER}", password: $TAILRACE_NATS_PASSWORD } ] }
accounts { $SYS { users: [ { user: "${WATCH_USER}", password: $TAILRACE_NATS_PASSWORD } ] } }
jetstream { store_dir: ${JSON.stringify(join(home, 'store'))}, max_file_store: ${allBytes}, sync_interval: "${sync}" }
`;
}

/** Only our own processes connect, and one that stands still between its two steps must not be taken for a stranger. */
const AUTHORIZATION_S = 60;

const PortsFile = z.object({ nats: z.array(z.string()).min(1) });

/** Waits for the file in which the server says where it listens. */
async function untilReady(child: ChildProcess, home: string): Promise<string> {
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4_000)));
  let failed: Error | undefined;
  child.once('error', (error) => (failed = error));
  const file = join(home, `nats-server_${child.pid ?? 0}.ports`);
  const deadline = performance.now() + EMBEDDED_NATS_START_MS;
  for (;;) {
    const url = readPorts(file);
    if (url !== undefined) {
      rmSync(file, { force: true });
      return url;
    }
    if (failed !== undefined || child.exitCode !== null || performance.now() > deadline) {
      child.kill('SIGKILL');
      if (failed !== undefined) {
        throw new Error(
          `The nats-server program ${child.spawnfile} cannot be run. Set TAILRACE_NATS_SERVER to one that can, or leave it out: then "tailrace serve" finds or fetches one.`,
          { cause: failed },
        );
      }
      throw new Error(
        `nats-server did not start (${child.spawnfile}, exit code ${String(child.exitCode)}). It said: ${said.trim() || 'nothing'}; see ${join(home, 'nats-server.log')}.`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function readPorts(file: string): string | undefined {
  try {
    return PortsFile.parse(JSON.parse(readFileSync(file, 'utf8'))).nats[0];
  } catch {
    // Not written, or not whole yet: it is read again until the deadline.
    return undefined;
  }
}
