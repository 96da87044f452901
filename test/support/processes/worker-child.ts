// Starting, killing and pausing workers that are processes of their own (worker-process.ts).
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { NatsAccess } from './nats.ts';
import type { OwnName } from '../chats/own-tools.ts';
import { tellIfItFails } from '../tell.ts';
import { until } from '../until.ts';

/** What the model of such a worker says. */
export const numbers = (count: number): string =>
  Array.from({ length: count }, (_, i) => `${i} `).join('');

export interface WorkerOptions {
  readonly access: NatsAccess;
  readonly slots: number;
  /** What the model says: this many numbers, this far apart. */
  readonly words: number;
  readonly everyMs: number;
  /** It calls a tool first. */
  readonly callsTool?: boolean;
  /** The tool is the worker's own, and writes a line into a file each time that it is called. */
  readonly ownTool?: {
    readonly name: OwnName;
    readonly idempotent: boolean;
    readonly countFile: string;
  };
}

export type WorkerMessage =
  | { readonly type: 'ready'; readonly owner: string }
  | { readonly type: 'call' }
  | { readonly type: 'aborted'; readonly why: string }
  | { readonly type: 'said'; readonly message: string };

export interface WorkerChild extends AsyncDisposable {
  readonly owner: string;
  readonly heard: readonly WorkerMessage[];
  readonly calls: () => number;
  readonly hears: (what: string) => Promise<WorkerMessage>;
  readonly kill: () => Promise<void>;
  readonly pause: () => void;
  readonly goOn: () => void;
  /** A clean stop; resolves when the process is gone. */
  readonly stop: () => Promise<void>;
}

export async function forkWorker(options: WorkerOptions): Promise<WorkerChild> {
  const child = fork(join(import.meta.dirname, 'worker-process.ts'), [JSON.stringify(options)], {
    // A group of its own: a paused child brings no SIGHUP to the others.
    detached: true,
    execArgv: [],
  });
  const heard: WorkerMessage[] = [];
  child.on('message', (message) => heard.push(message as WorkerMessage));
  const exited = once(child, 'exit');
  tellIfItFails(`worker ${child.pid}`, () => heard.map((message) => JSON.stringify(message)));
  const hears = (what: string): Promise<WorkerMessage> =>
    until(`the worker process to say "${what}"`, () =>
      heard.find((m) => m.type === what || (m.type === 'said' && m.message === what)),
    );
  const ready = await hears('ready');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  return {
    owner: ready.type === 'ready' ? ready.owner : '',
    heard,
    calls: () => heard.filter(({ type }) => type === 'call').length,
    hears,
    kill,
    pause: () => child.kill('SIGSTOP'),
    goOn: () => child.kill('SIGCONT'),
    stop: async () => {
      child.send('stop');
      await exited;
    },
    [Symbol.asyncDispose]: kill,
  };
}
