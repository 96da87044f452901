// Who queries tables: processes, as many as there are queries at once up to a bound, each for one query at
// a time. A query that takes too long or is wanted no more ends with its process. Isolated: SQLite refuses all
// but reading, and the process may write no file and start no program.
import {
  MAX_WAITING_QUERIES,
  TABLE_LOAD_MS,
  TABLE_PROCESS_IDLE_MS,
  TABLE_PROCESS_MEMORY_BYTES,
  TABLE_PROCESSES,
  TABLE_QUERY_MS,
} from '../../chat/limits.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import { ToolFailure } from '../../chat/ports/tool.ts';
import { createProcessPool, type Place, ProcessFailure } from '../../processes/process-pool.ts';
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
  readonly query: (
    set: TableSet,
    sql: string,
    whose: ChatKey,
    signal: AbortSignal,
  ) => Promise<string>;
  /** Processes that there are now. */
  readonly processes: () => number;
}

// Type stripping runs it; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './table-thread.ts' : './table-thread.js';
const thread = new URL(entry, import.meta.url).href;

export function createTableEngine(options: TableEngineOptions = {}): TableEngine {
  const queryMs = options.queryMs ?? TABLE_QUERY_MS;
  const memoryBytes = options.memoryBytes ?? TABLE_PROCESS_MEMORY_BYTES;
  const pool = createProcessPool({
    thread,
    memoryBytes,
    places: options.processes ?? TABLE_PROCESSES,
    idleMs: options.idleMs ?? TABLE_PROCESS_IDLE_MS,
    maxWaiting: options.maxWaiting ?? MAX_WAITING_QUERIES,
  });

  async function queryIn(
    place: Place,
    set: TableSet,
    sql: string,
    signal: AbortSignal,
  ): Promise<string> {
    const ask = async (job: TableJob, withinMs: number): Promise<TableReply> =>
      (await place.ask(job, { withinMs, signal })) as TableReply;
    const query: TableJob = { do: 'query', key: set.key, sql };
    let reply: TableReply = { is: 'unknown' };
    if (place.warm()) reply = await ask(query, queryMs);
    if (reply.is === 'unknown') {
      await ask({ do: 'load', set }, TABLE_LOAD_MS);
      reply = await ask(query, queryMs);
    }
    if (reply.is !== 'answer') throw new Error(`A process with its tables said: ${reply.is}`);
    if (!reply.answer.ok) throw new ToolFailure(reply.answer.why);
    return reply.answer.text;
  }

  return {
    query: async (set, sql, whose, signal) => {
      try {
        return await pool.run(whose, 1, signal, (place) => queryIn(place, set, sql, signal));
      } catch (error) {
        throw error instanceof ProcessFailure ? inWords(error, queryMs, memoryBytes) : error;
      }
    },
    processes: pool.processes,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function inWords(failure: ProcessFailure, queryMs: number, memoryBytes: number): Error {
  switch (failure.kind) {
    case 'full':
      return busy();
    case 'too-slow':
      return tooSlow(queryMs);
    case 'killed':
      return tooMuchMemory(memoryBytes);
    case 'broken':
      return failure;
  }
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
