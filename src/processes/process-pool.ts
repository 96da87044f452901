// src/processes: child processes for work that may hang, grow or break its process: hostile documents and SQL.
// Here are their starts and ends. A process does one thing at a time; what takes too long
// or is wanted no more ends with it. May not live here: what they do, and what is said where they fail.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ChatKey } from '../chat/chat-key.ts';
import { PROCESS_START_MS } from '../chat/limits.ts';
import { createFairPlaces } from './fair-places.ts';

/** What a process does, and within what; given to it at its start. */
export interface ProcessWork {
  /** The module of its thread, which begins with `answerJobs`. */
  readonly thread: string;
  /** Of the process as a whole, while it is at work: beyond it the process is killed. */
  readonly memoryBytes: number;
  /** Of the thread's JavaScript heap; undefined: as node has it. */
  readonly heapMib?: number | undefined;
}

export interface PoolOptions extends ProcessWork {
  /** Processes at once; the last one is for a tenant that has none. */
  readonly places: number;
  /** One that nobody needs for so long ends. */
  readonly idleMs: number;
  /** What all that wait or are at work may cost together, beyond one for each place. */
  readonly maxWaiting: number;
}

export interface ProcessPool extends AsyncDisposable {
  /**
   * Waits for a place, by turns with other tenants and chats, and gives it to `work`. Rejects with what `work`
   * rejects with, with ProcessFailure, and with the signal's reason where it aborts before its turn.
   */
  readonly run: <T>(
    whose: ChatKey,
    cost: number,
    signal: AbortSignal,
    work: (place: Place) => Promise<T>,
  ) => Promise<T>;
  /** Processes that there are now. */
  readonly processes: () => number;
}

export interface Place {
  /** Whether its process did something before. */
  readonly warm: () => boolean;
  /**
   * One message, one reply. Rejects with ProcessFailure, and with the signal's reason; in both cases the process
   * has ended, or does once it has said goodbye.
   */
  readonly ask: (job: object, bounds: AskBounds) => Promise<unknown>;
  /** Ends the process: the next gets another. */
  readonly retire: () => void;
}

export interface AskBounds {
  readonly withinMs: number;
  readonly signal: AbortSignal;
  readonly goodbye?: Goodbye | undefined;
}

/** What its thread is told before a process ends early; whatever it answers, or so much later, the process does. */
export interface Goodbye {
  readonly job: object;
  readonly withinMs: number;
}

/** From the pool to a process. */
export interface SentJob {
  readonly job: object;
  readonly goodbye: Goodbye | undefined;
}

export type FailureKind =
  /** Too many wait; it was not begun. */
  | 'full'
  | 'too-slow'
  /** By a signal: it ended itself for its size, or the system did. */
  | 'killed'
  /** It ended or cannot be started: a fault of ours. */
  | 'broken';

export class ProcessFailure extends Error {
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'ProcessFailure';
    this.kind = kind;
  }
}

// Type stripping runs it; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './work-process.ts' : './work-process.js';
const PROGRAM = fileURLToPath(new URL(entry, import.meta.url));

/** A place for one process, which is there when something is asked and for a while after. */
interface Slot {
  child: ChildProcess | undefined;
  busy: boolean;
  idle: NodeJS.Timeout | undefined;
}

export function createProcessPool(options: PoolOptions): ProcessPool {
  const slots = Array.from({ length: options.places }, (): Slot => {
    return { child: undefined, busy: false, idle: undefined };
  });
  const places = createFairPlaces(options.places, options.maxWaiting);
  const all = new Set<ChildProcess>();
  /** Those that say goodbye, and end by themselves. */
  const leaving = new Set<ChildProcess>();
  let closed = false;

  /** To start is no part of the time of what is done. */
  async function start(slot: Slot, signal: AbortSignal): Promise<ChildProcess> {
    const { thread, memoryBytes, heapMib } = options;
    const work: ProcessWork = { thread, memoryBytes, heapMib };
    const child = fork(PROGRAM, [JSON.stringify(work)], {
      // What libraries print may hold what they read.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
      // Ctrl-C goes to the whole process group: only this side knows what becomes of what is under way.
      detached: true,
      // It needs none of this process's secrets, and may write no file and start no program.
      env: {},
      execArgv: ['--permission', '--allow-fs-read=*', '--allow-worker'],
    });
    all.add(child);
    child.once('exit', () => {
      all.delete(child);
      leaving.delete(child);
      if (slot.child === child) slot.child = undefined;
    });
    // Whoever waits for an answer hears of it as well; between two jobs it is no news.
    child.on('error', () => undefined);
    slot.child = child;
    const withinMs = PROCESS_START_MS;
    const late = new ProcessFailure('broken', `A process did not start in ${withinMs} ms.`);
    await exchange(slot, child, undefined, { signal, withinMs, late });
    return child;
  }

  function endOf(slot: Slot): void {
    const { child } = slot;
    // Before it is gone: the next job must not be given to it.
    slot.child = undefined;
    child?.kill('SIGKILL');
  }

  async function ask(slot: Slot, job: object, bounds: AskBounds): Promise<unknown> {
    const { withinMs, signal, goodbye } = bounds;
    signal.throwIfAborted();
    if (closed) throw new ProcessFailure('full', 'No process is started any more.');
    const child = slot.child ?? (await start(slot, signal));
    signal.throwIfAborted();
    const late = new ProcessFailure('too-slow', `A process took longer than ${withinMs} ms.`);
    return exchange(slot, child, { job, goodbye }, { signal, withinMs, late });
  }

  /** The next thing that the process says. */
  async function exchange(
    slot: Slot,
    child: ChildProcess,
    sent: SentJob | undefined,
    { signal, withinMs, late }: Omit<AskBounds, 'goodbye'> & { readonly late: ProcessFailure },
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onGone = (code: number | null): void => {
      const kind = code === null ? 'killed' : 'broken';
      reject(new ProcessFailure(kind, `A process at work ended with code ${code}.`));
    };
    const onError = (cause: Error): void => {
      endOf(slot);
      reject(new ProcessFailure('broken', 'A process cannot be used.', { cause }));
    };
    const early = (reason: unknown): void => {
      // Who calls off one after the other must not have more processes than there are places, and as many again.
      if (sent?.goodbye === undefined || leaving.size >= options.places) endOf(slot);
      else leave(slot, child);
      reject(reason);
    };
    const onAbort = (): void => early(signal.reason);
    const timer = setTimeout(() => early(late), withinMs);
    child.once('message', resolve).once('exit', onGone).once('error', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    hold(child, true);
    if (sent !== undefined) {
      child.send(sent, (error) => {
        if (error !== null) onError(error);
      });
    }
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      child.off('message', resolve).off('exit', onGone).off('error', onError);
      hold(child, false);
    }
  }

  /** Where there is a place there is a slot; one with a process rather than one without. */
  function freeSlot(): Slot {
    const slot = slots.find(({ busy, child }) => !busy && child) ?? slots.find(({ busy }) => !busy);
    if (slot === undefined) throw new Error('There is a place for a process, and none is free.');
    return slot;
  }

  /** It says goodbye and ends by itself; the place is free for another process meanwhile. */
  function leave(slot: Slot, child: ChildProcess): void {
    slot.child = undefined;
    leaving.add(child);
    child.disconnect();
  }

  return {
    run: async (whose, cost, signal, work) => {
      const giveBack = await places.take(whose, cost, signal);
      if (giveBack === undefined) throw new ProcessFailure('full', 'Too many wait for a process.');
      const slot = freeSlot();
      clearTimeout(slot.idle);
      slot.busy = true;
      try {
        return await work({
          warm: () => slot.child !== undefined,
          ask: (job, bounds) => ask(slot, job, bounds),
          retire: () => endOf(slot),
        });
      } finally {
        slot.busy = false;
        slot.idle = setTimeout(() => endOf(slot), options.idleMs).unref();
        giveBack();
      }
    },
    processes: () => slots.filter(({ child }) => child !== undefined).length,
    [Symbol.asyncDispose]: async () => {
      closed = true;
      places.close();
      for (const { idle } of slots) clearTimeout(idle);
      await Promise.all(
        [...all].map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          const gone = new Promise((resolve) => child.once('exit', resolve));
          // It is waited for, though it holds nobody up else.
          child.ref();
          if (!leaving.has(child)) child.kill('SIGKILL');
          await gone;
        }),
      );
    },
  };
}

/** Between two jobs it holds up nobody's end. */
function hold(child: ChildProcess, held: boolean): void {
  if (held) {
    child.ref();
    child.channel?.ref();
  } else {
    child.unref();
    child.channel?.unref();
  }
}
