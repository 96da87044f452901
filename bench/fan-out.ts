// One chat with very many observers. They are in a process of their own, and cost so little there
// (bare-observers.ts) that what is measured is the server: that process's CPU is told beside it.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Load } from './load.ts';
import type { Attached, Observed, ObserverProcessTask } from './observer-process.ts';
import { cpuOf } from './processes.ts';

export interface FanOutFigures extends Attached, Observed {
  /** CPU seconds of the program for each 10,000 deliveries, from when all were attached. */
  readonly cpuPer10k: number;
  readonly natsCpuPer10k: number;
}

const OBSERVER_PROCESS = fileURLToPath(new URL('observer-process.ts', import.meta.url));
/** Until then all must be attached. */
const FIRST_TOKEN_MS = 4_000;

export async function fanOut(
  load: Load,
  url: string,
  pid: number,
  shape: {
    readonly observers: number;
    readonly connections: number;
    readonly tokens: number;
    readonly intervalMs: number;
  },
): Promise<FanOutFigures> {
  const { observers, connections, tokens } = shape;
  const streamId = await load.initiate({
    tokens,
    interval_ms: shape.intervalMs,
    first_ms: FIRST_TOKEN_MS,
  });
  const task: ObserverProcessTask = { url, streamId, observers, connections };
  const child = spawn(process.execPath, [OBSERVER_PROCESS, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const said = async <T>(): Promise<T> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the observers ended before they were through');
    return JSON.parse(line.value) as T;
  };
  const attached = await said<Attached>();
  const before = cpuOf(pid);
  const observed = await said<Observed>();
  const after = cpuOf(pid);
  const deliveries = observed.latency.count;
  if (deliveries !== observers * tokens) {
    throw new Error(`${deliveries} of ${observers * tokens} tokens were seen`);
  }
  const per10k = 10_000 / deliveries;
  return {
    ...attached,
    ...observed,
    cpuPer10k: (after.program - before.program) * per10k,
    natsCpuPer10k: (after.natsServer - before.natsServer) * per10k,
  };
}
