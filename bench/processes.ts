// The processes under measure: the program as its user starts it and the test model server, each of
// their own, so that CPU can be told apart.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { endWithUs, removeWithUs } from '../test/support/processes/left-behind.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
/** Linux counts CPU in ticks of 10 ms. */
const TICKS_PER_S = 100;

export interface Running extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly readyMs: number;
}

export async function startModelServerProcess(): Promise<Running> {
  const started = performance.now();
  const child = spawn(process.execPath, [join(ROOT, 'test/model-server/main.ts')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.once('exit', endWithUs(child.pid));
  const line = await firstLine(child);
  const { url } = JSON.parse(line) as { url: string };
  return running(child, url, performance.now() - started);
}

export async function startTailraceProcess(
  modelUrl: string,
  environment: Record<string, string> = {},
): Promise<Running> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tailrace-bench-'));
  const removed = removeWithUs(dataDir);
  const started = performance.now();
  const child = spawn(process.execPath, [join(ROOT, 'bin/tailrace.mjs'), 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      TAILRACE_LISTEN: '127.0.0.1:0',
      TAILRACE_DATA_DIR: dataDir,
      TAILRACE_WORKER_SLOTS: '1000',
      TAILRACE_LOG_LEVEL: 'warn',
      OPENAI_BASE_URL: modelUrl,
      ...environment,
    },
  });
  child.once('exit', endWithUs(child.pid));
  const line = await firstLine(child);
  const url = /http:\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`Tailrace said: ${line}`);
  return running(child, url, performance.now() - started, async () => {
    await rm(dataDir, { recursive: true, force: true });
    removed();
  });
}

function running(
  child: ChildProcess,
  url: string,
  readyMs: number,
  after?: () => Promise<void>,
): Running {
  return {
    url,
    pid: child.pid ?? 0,
    readyMs,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit');
        child.kill('SIGTERM');
        await exited;
      }
      await after?.();
    },
  };
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('a child without stdout');
  for await (const line of createInterface(child.stdout)) return line;
  throw new Error(`${child.spawnargs.join(' ')} ended before it was ready`);
}

export interface CpuSeconds {
  readonly program: number;
  readonly natsServer: number;
}

/** CPU seconds of a process and of the nats-server under it, since their start. */
export function cpuOf(pid: number): CpuSeconds {
  let natsServer = 0;
  for (const child of childrenOf(pid)) {
    if (commandOf(child).startsWith('nats-server')) natsServer += cpuSecondsOf(child);
  }
  return { program: cpuSecondsOf(pid), natsServer };
}

/** Resident memory of one process, MiB. */
export function memoryMibOf(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) / 1_024;
}

export function natsServerOf(pid: number): number | undefined {
  return childrenOf(pid).find((child) => commandOf(child).startsWith('nats-server'));
}

function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => statOf(each)?.[1] === String(pid));
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

function cpuSecondsOf(pid: number): number {
  const stat = statOf(pid);
  return (Number(stat?.[11]) + Number(stat?.[12])) / TICKS_PER_S;
}

/** The fields of /proc/<pid>/stat after the command's name: state, ppid, … (proc(5)). */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    // The process ended between the listing and the reading.
    return undefined;
  }
}
