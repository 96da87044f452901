// The program as its user starts it: a process of its own with an environment, a line that says where
// it serves, logs on stderr, signals; and its whole tree killed when a test wants that.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endWithUs } from './left-behind.ts';
import { natsServerProgram } from './nats.ts';
import { tellIfItFails } from '../tell.ts';
import { HANGS_MS, within } from '../until.ts';

const ROOT = join(import.meta.dirname, '../../..');

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface TailraceProcess extends AsyncDisposable {
  readonly pid: number;
  /** Empty for a process without the api role. */
  readonly url: string;
  /** Everything on stderr so far: the log, a line each. */
  readonly log: readonly string[];
  /** The next line on stderr that holds this text, or one that has come already. */
  readonly logged: (text: string) => Promise<Record<string, unknown>>;
  /** SIGTERM, and the end. */
  readonly stop: () => Promise<Exit>;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** SIGKILL for the process alone: its children outlive it. */
  readonly killAlone: () => Promise<void>;
  /** SIGKILL for the process and all that it started. */
  readonly killTree: () => Promise<void>;
  /** Processes that it started, theirs included. */
  readonly children: () => readonly number[];
  readonly exited: Promise<Exit>;
}

export interface ProcessOptions {
  readonly env: Readonly<Record<string, string>>;
  /** The leader of a process group of its own, as a shell starts its jobs. */
  readonly ownGroup?: boolean;
  /** Default: the project's folder. */
  readonly cwd?: string;
}

/** What every test process needs and no user has to say. */
export function baseEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_COMPILE_CACHE']) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return {
    ...kept,
    TAILRACE_LISTEN: '127.0.0.1:0',
    TAILRACE_NATS_SERVER: natsServerProgram(),
  };
}

function launch(options: ProcessOptions) {
  const child = spawn(process.execPath, [join(ROOT, 'bin/tailrace.mjs'), 'serve'], {
    cwd: options.cwd ?? ROOT,
    env: { ...baseEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.ownGroup ?? false,
  });
  const { pid } = child;
  assert.ok(pid !== undefined);
  const ended = endWithUs(pid);
  const log: string[] = [];
  tellIfItFails(`tailrace ${pid}`, () => log);
  const waiters = new Set<() => void>();
  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line);
    for (const waiter of waiters) waiter();
  });
  const exited: Promise<Exit> = once(child, 'close').then(() => {
    ended();
    return { code: child.exitCode, signal: child.signalCode };
  });
  return { child, pid, log, waiters, exited };
}

/** A start that is to fail: what it said, and its exit code. */
export async function failedStart(options: ProcessOptions): Promise<Exit & { said: string }> {
  const { child, log, exited } = launch(options);
  child.stdout.resume();
  const exit = await within(HANGS_MS, 'the end of a start that fails', exited);
  return { ...exit, said: log.join('\n') };
}

export interface Launched extends AsyncDisposable {
  readonly ready: Promise<TailraceProcess>;
  readonly log: readonly string[];
  readonly signal: (signal: NodeJS.Signals) => void;
  readonly exited: Promise<Exit>;
}

/** Starting, not there yet: for a start that waits for something. */
export function launchTailrace(options: ProcessOptions): Launched {
  const launched = launch(options);
  const { child, pid, log, waiters, exited } = launched;
  const lines = createInterface({ input: child.stdout });
  const serving = Promise.withResolvers<string>();
  lines.once('line', serving.resolve);
  void exited.then(() => {
    serving.reject(new Error(`Tailrace ended before it served:\n${log.join('\n')}`));
  });
  const signal = (name: NodeJS.Signals): void => void child.kill(name);
  const ended = (): Promise<Exit> => within(HANGS_MS, 'the end of the process', exited);
  const killTree = async (): Promise<void> => {
    killAll([pid, ...below(pid)]);
    await ended();
  };
  const dispose = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await killTree();
  };
  const ready = async (): Promise<TailraceProcess> => {
    const line = await within(HANGS_MS, 'the line that says that it serves', serving.promise);
    return {
      pid,
      url: /http:\S+/.exec(line)?.[0] ?? '',
      log,
      logged: (text) => {
        const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>();
        const look = (): void => {
          const found = log.find((each) => each.includes(text));
          if (found === undefined) return;
          waiters.delete(look);
          resolve(JSON.parse(found) as Record<string, unknown>);
        };
        waiters.add(look);
        look();
        return within(HANGS_MS, `"${text}" in the log`, promise);
      },
      stop: () => {
        signal('SIGTERM');
        return ended();
      },
      signal,
      killAlone: async () => {
        signal('SIGKILL');
        await ended();
      },
      killTree,
      children: () => below(pid),
      exited,
      [Symbol.asyncDispose]: dispose,
    };
  };
  const promise = ready();
  promise.catch(() => undefined);
  return { ready: promise, log, signal, exited, [Symbol.asyncDispose]: dispose };
}

export async function startTailraceProcess(
  env: Readonly<Record<string, string>>,
  options: Omit<ProcessOptions, 'env'> = {},
): Promise<TailraceProcess> {
  const launched = launchTailrace({ ...options, env });
  try {
    return await launched.ready;
  } catch (error) {
    await launched[Symbol.asyncDispose]();
    throw error;
  }
}

function below(pid: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found: number[] = [];
  for (let parents = [pid]; parents.length > 0;) {
    parents = table
      .filter(([, parent]) => parents.includes(parent ?? 0))
      .map(([child]) => child ?? 0);
    found.push(...parents);
  }
  return found;
}

/** A process that ended and that nobody has collected yet is not alive. */
export function isAlive(pid: number): boolean {
  try {
    const state = execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
    return !state.trim().startsWith('Z');
  } catch {
    // ps fails where there is no such process.
    return false;
  }
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
  }
}
