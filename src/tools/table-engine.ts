// Who queries tables: processes, as many as there are queries at once up to a bound, each for one query at
// a time. A query that takes too long or is wanted no more ends with its process. Isolated: SQLite refuses all
// but reading, and the process may write no file and start no program.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  MAX_WAITING_QUERIES,
  TABLE_LOAD_MS,
  TABLE_PROCESS_IDLE_MS,
  TABLE_PROCESS_MEMORY_BYTES,
  TABLE_PROCESSES,
  TABLE_QUERY_MS,
} from '../chat/limits.ts';
import { ToolFailure } from '../chat/tool-port.ts';
import type { TableJob, TableReply, TableSet } from './table-protocol.ts';

export interface TableEngineOptions {
  readonly processes?: number;
  readonly queryMs?: number;
  readonly idleMs?: number;
  readonly memoryBytes?: number;
  readonly maxWaiting?: number;
}

export interface TableEngine extends AsyncDisposable {
  /** JSON text of columns and rows. Rejects with ToolFailure, and with the signal's reason. */
  readonly query: (set: TableSet, sql: string, signal: AbortSignal) => Promise<string>;
  /** Processes that there are now. */
  readonly processes: () => number;
}

/** A place for one process, which is there when something is asked and for a while after. */
interface Slot {
  child: ChildProcess | undefined;
  busy: boolean;
  idle: NodeJS.Timeout | undefined;
}

// Type stripping runs it; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './table-process.ts' : './table-process.js';
const programPath = fileURLToPath(new URL(entry, import.meta.url));

export function createTableEngine(options: TableEngineOptions = {}): TableEngine {
  const queryMs = options.queryMs ?? TABLE_QUERY_MS;
  const idleMs = options.idleMs ?? TABLE_PROCESS_IDLE_MS;
  const memoryBytes = options.memoryBytes ?? TABLE_PROCESS_MEMORY_BYTES;
  const maxWaiting = options.maxWaiting ?? MAX_WAITING_QUERIES;
  const slots = Array.from({ length: options.processes ?? TABLE_PROCESSES }, (): Slot => {
    return { child: undefined, busy: false, idle: undefined };
  });
  const waiting: ((slot: Slot) => void)[] = [];

  function childOf(slot: Slot): ChildProcess {
    if (slot.child !== undefined) return slot.child;
    const child = fork(programPath, [String(memoryBytes)], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
      // It needs none of this process's secrets.
      env: {},
      execArgv: ['--permission', '--allow-fs-read=*', '--allow-worker'],
    });
    child.once('exit', () => {
      if (slot.child === child) slot.child = undefined;
    });
    // Whoever waits for an answer hears of it as well; between two queries it is no news.
    child.on('error', () => undefined);
    slot.child = child;
    return child;
  }

  /** Between two queries it holds up nobody's end. */
  function hold(child: ChildProcess, held: boolean): void {
    if (held) {
      child.ref();
      child.channel?.ref();
    } else {
      child.unref();
      child.channel?.unref();
    }
  }

  function endOf(slot: Slot): void {
    const { child } = slot;
    // Before it is gone: the next query must not be given to it.
    slot.child = undefined;
    child?.kill('SIGKILL');
  }

  async function ask(
    slot: Slot,
    job: TableJob,
    withinMs: number,
    signal: AbortSignal,
  ): Promise<TableReply> {
    signal.throwIfAborted();
    const child = childOf(slot);
    const { promise, resolve, reject } = Promise.withResolvers<TableReply>();
    const onReply = (reply: unknown): void => resolve(reply as TableReply);
    const onGone = (code: number | null): void => {
      const fault = new Error(`The process that queries tables ended with code ${code}.`);
      reject(code === null ? tooMuchMemory(memoryBytes) : fault);
    };
    const onError = (error: Error): void => {
      endOf(slot);
      reject(error);
    };
    const onAbort = (): void => {
      endOf(slot);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      endOf(slot);
      reject(tooSlow(withinMs));
    }, withinMs);
    child.once('message', onReply).once('exit', onGone).once('error', onError);
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
      child.off('message', onReply).off('exit', onGone).off('error', onError);
      hold(child, false);
    }
  }

  async function queryIn(
    slot: Slot,
    set: TableSet,
    sql: string,
    signal: AbortSignal,
  ): Promise<string> {
    const query: TableJob = { do: 'query', key: set.key, sql };
    let reply: TableReply = { is: 'unknown' };
    if (slot.child !== undefined) reply = await ask(slot, query, queryMs, signal);
    if (reply.is === 'unknown') {
      await ask(slot, { do: 'load', set }, TABLE_LOAD_MS, signal);
      reply = await ask(slot, query, queryMs, signal);
    }
    if (reply.is !== 'answer') throw new Error(`A process with its tables said: ${reply.is}`);
    if (!reply.answer.ok) throw new ToolFailure(reply.answer.why);
    return reply.answer.text;
  }

  function take(signal: AbortSignal): Promise<Slot> {
    const free = slots.find(({ busy, child }) => !busy && child) ?? slots.find(({ busy }) => !busy);
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const start = (slot: Slot): void => {
      signal.removeEventListener('abort', onAbort);
      clearTimeout(slot.idle);
      slot.busy = true;
      resolve(slot);
    };
    const onAbort = (): void => {
      waiting.splice(waiting.indexOf(start), 1);
      reject(signal.reason);
    };
    if (free !== undefined) start(free);
    else if (waiting.length >= maxWaiting) reject(busy());
    else {
      signal.addEventListener('abort', onAbort, { once: true });
      waiting.push(start);
    }
    return promise;
  }

  /** Gives the slot to who has waited longest, or lets its process go when nobody comes. */
  function release(slot: Slot): void {
    slot.busy = false;
    const next = waiting.shift();
    if (next !== undefined) return next(slot);
    slot.idle = setTimeout(() => endOf(slot), idleMs).unref();
  }

  return {
    query: async (set, sql, signal) => {
      signal.throwIfAborted();
      const slot = await take(signal);
      try {
        return await queryIn(slot, set, sql, signal);
      } finally {
        release(slot);
      }
    },
    processes: () => slots.filter(({ child }) => child !== undefined).length,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(
        slots.map(async ({ child, idle }) => {
          clearTimeout(idle);
          if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
          const gone = new Promise((resolve) => child.once('exit', resolve));
          child.kill('SIGKILL');
          await gone;
        }),
      );
    },
  };
}

function tooSlow(ms: number): ToolFailure {
  return new ToolFailure(
    `the query took longer than ${ms / 1_000} s and was ended; filter earlier, join on fewer rows, or bound a recursion`,
  );
}

function tooMuchMemory(bytes: number): ToolFailure {
  return new ToolFailure(
    `the query was ended, most likely because it took more than ${bytes / 1024 / 1024} MiB of memory; select or sort less`,
  );
}

function busy(): ToolFailure {
  return new ToolFailure('too many queries wait to be run; try again in a moment');
}
