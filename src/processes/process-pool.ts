// src/processes: child processes for work that may hang, grow or break its process: hostile documents and SQL.
// Here are their starts and ends, and who waits for one. A process does one thing at a time; what takes too long
// or is wanted no more ends with it. May not live here: what they do, and what is said where they fail.
import { type ChildProcess, fork } from 'node:child_process';
import type { ChatKey } from '../chat/chat-key.ts';
import { createFairQueue, type Waiting } from './fair-queue.ts';

export interface PoolOptions {
  readonly program: string;
  /** For the process, as its arguments. */
  readonly given: string;
  /** Processes at once. */
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
  /** The process ends by itself: the next gets another. */
  readonly retire: () => void;
}

export interface AskBounds {
  readonly withinMs: number;
  readonly signal: AbortSignal;
  /** Sent before the process is ended early; whatever it answers, or so much later, it is. */
  readonly goodbye?: { readonly job: object; readonly withinMs: number };
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

/** A place for one process, which is there when something is asked and for a while after. */
interface Slot {
  child: ChildProcess | undefined;
  busy: boolean;
  idle: NodeJS.Timeout | undefined;
}

interface WaitingForSlot extends Waiting {
  readonly start: (slot: Slot) => void;
  readonly refuse: () => void;
}

export function createProcessPool(options: PoolOptions): ProcessPool {
  const slots = Array.from({ length: options.places }, (): Slot => {
    return { child: undefined, busy: false, idle: undefined };
  });
  const waiting = createFairQueue<WaitingForSlot>(options.maxWaiting);
  const all = new Set<ChildProcess>();
  /** Those that say goodbye, and end by themselves. */
  const leaving = new Set<ChildProcess>();
  let closed = false;

  function childOf(slot: Slot): ChildProcess {
    if (slot.child !== undefined) return slot.child;
    const child = fork(options.program, [options.given], {
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
    const child = childOf(slot);
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
      if (goodbye === undefined || leaving.size >= options.places) endOf(slot);
      else leave(slot, child, goodbye);
      reject(reason);
    };
    const onAbort = (): void => early(signal.reason);
    const timer = setTimeout(() => {
      early(new ProcessFailure('too-slow', `A process took longer than ${withinMs} ms.`));
    }, withinMs);
    child.once('message', resolve).once('exit', onGone).once('error', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    hold(child, true);
    child.send(job, (error) => {
      if (error !== null) onError(error);
    });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      child.off('message', resolve).off('exit', onGone).off('error', onError);
      hold(child, false);
    }
  }

  function take(whose: ChatKey, cost: number, signal: AbortSignal): Promise<Slot> {
    const free = slots.find(({ busy, child }) => !busy && child) ?? slots.find(({ busy }) => !busy);
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const start = (slot: Slot): void => {
      signal.removeEventListener('abort', onAbort);
      clearTimeout(slot.idle);
      slot.busy = true;
      resolve(slot);
    };
    const refuse = (): void => {
      signal.removeEventListener('abort', onAbort);
      reject(new ProcessFailure('full', 'Too many wait for a process.'));
    };
    const own: WaitingForSlot = { whose, cost, start, refuse };
    const onAbort = (): void => {
      waiting.remove(own);
      reject(signal.reason);
    };
    if (closed) refuse();
    else if (free !== undefined) start(free);
    else {
      signal.addEventListener('abort', onAbort, { once: true });
      for (const gone of waiting.add(own)) gone.refuse();
    }
    return promise;
  }

  /** Gives the slot to whose turn it is, or lets its process go when nobody comes. */
  function release(slot: Slot): void {
    slot.busy = false;
    const next = waiting.next();
    if (next !== undefined) return next.start(slot);
    slot.idle = setTimeout(() => endOf(slot), options.idleMs).unref();
  }

  /** The place is free for another process meanwhile. */
  function leave(
    slot: Slot,
    child: ChildProcess,
    { job, withinMs }: NonNullable<AskBounds['goodbye']>,
  ): void {
    slot.child = undefined;
    leaving.add(child);
    const end = (): void => void child.kill('SIGKILL');
    const timer = setTimeout(end, withinMs);
    child.once('message', end).once('exit', () => clearTimeout(timer));
    child.send(job, (error) => {
      if (error !== null) end();
    });
  }

  return {
    run: async (whose, cost, signal, work) => {
      signal.throwIfAborted();
      const slot = await take(whose, cost, signal);
      try {
        return await work({
          warm: () => slot.child !== undefined,
          ask: (job, bounds) => ask(slot, job, bounds),
          retire: () => (slot.child = undefined),
        });
      } finally {
        release(slot);
      }
    },
    processes: () => slots.filter(({ child }) => child !== undefined).length,
    [Symbol.asyncDispose]: async () => {
      closed = true;
      for (let next = waiting.next(); next !== undefined; next = waiting.next()) next.refuse();
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
