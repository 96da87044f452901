// Who queries databases: processes of the pool, each with one query on one connection at a time. Here a host becomes
// addresses that may be connected to; and whatever a query comes to becomes words for the model, without its address.
import { getCACertificates, rootCertificates } from 'node:tls';
import type { ChatKey } from '../../chat/chat-key.ts';
import {
  DATABASE_ADDRESSES,
  DATABASE_CANCEL_MS,
  DATABASE_CONNECT_MS,
  DATABASE_PROCESS_IDLE_MS,
  DATABASE_PROCESS_MEMORY_BYTES,
  DATABASE_PROCESSES,
  DATABASE_QUERY_MS,
  MAX_WAITING_QUERIES,
} from '../../chat/limits.ts';
import { ToolFailure } from '../../chat/ports/tool.ts';
import { createProcessPool, type Place, ProcessFailure } from '../../processes/process-pool.ts';
import type { AddressGuard } from '../fetch/address-guard.ts';
import type { AllowedNames } from './allowed-names.ts';
import { type DatabaseAddress, isLoopback } from './connection-string.ts';
import type { DatabaseJob, DatabaseReply, ListedTables, Target } from './database-protocol.ts';

export interface DatabaseEngineOptions {
  readonly guard: AddressGuard;
  /** Where files of SQLite may lie. */
  readonly folders: readonly string[];
  readonly processes?: number;
  readonly queryMs?: number;
  readonly idleMs?: number;
  readonly memoryBytes?: number;
  readonly maxWaiting?: number;
}

/** What a query is asked of, and for whom. */
export interface Asked {
  readonly address: DatabaseAddress;
  readonly allowed: AllowedNames;
  readonly whose: ChatKey;
}

/** All reject with ToolFailure, and with the signal's reason. */
export interface DatabaseEngine extends AsyncDisposable {
  /** JSON text of columns and rows. */
  readonly query: (asked: Asked, sql: string, signal: AbortSignal) => Promise<string>;
  /** `find`: a part of the names that are wanted; empty: all. */
  readonly list: (asked: Asked, find: string, signal: AbortSignal) => Promise<ListedTables>;
  /** Processes that there are now. */
  readonly processes: () => number;
}

// Type stripping runs it; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './database-thread.ts' : './database-thread.js';
const thread = new URL(entry, import.meta.url).href;

export function createDatabaseEngine(options: DatabaseEngineOptions): DatabaseEngine {
  const memoryBytes = options.memoryBytes ?? DATABASE_PROCESS_MEMORY_BYTES;
  const queryMs = options.queryMs ?? DATABASE_QUERY_MS;
  const pool = createProcessPool({
    thread,
    memoryBytes,
    places: options.processes ?? DATABASE_PROCESSES,
    idleMs: options.idleMs ?? DATABASE_PROCESS_IDLE_MS,
    maxWaiting: options.maxWaiting ?? MAX_WAITING_QUERIES,
  });

  async function targetOf(address: DatabaseAddress, signal: AbortSignal): Promise<Target> {
    if (address.kind === 'sqlite') return { ...address, folders: options.folders };
    const timeout = AbortSignal.timeout(DATABASE_CONNECT_MS);
    const found = await options.guard
      .addressesOf(address.host, AbortSignal.any([signal, timeout]))
      .catch((error: unknown) => {
        signal.throwIfAborted();
        if (!timeout.aborted) throw error;
        return undefined;
      });
    if (found === undefined) {
      throw new ToolFailure(
        'the database cannot be used: its host is not known, or is not at a public address; those, and ranges that the operator allows, may be connected to',
      );
    }
    const addresses = found.slice(0, DATABASE_ADDRESSES).map((each) => each.address);
    const tls = address.tls ?? (addresses.every(isLoopback) ? 'none' : 'verified');
    return { ...address, addresses, tls, trusted: tls === 'verified' ? ownTrust() : [] };
  }

  async function ask(
    place: Place,
    job: Exclude<DatabaseJob, { readonly do: 'cancel' }>,
    signal: AbortSignal,
  ): Promise<DatabaseReply> {
    const cancel: DatabaseJob = { do: 'cancel' };
    const isFile = job.target.kind === 'sqlite';
    const reply = await place.ask(job, {
      // A database ends its statements itself; a file has nobody else to.
      withinMs: isFile ? queryMs : DATABASE_CONNECT_MS + queryMs + DATABASE_CANCEL_MS,
      signal,
      goodbye: isFile ? undefined : { job: cancel, withinMs: DATABASE_CANCEL_MS },
    });
    return reply as DatabaseReply;
  }

  async function run(
    { address, allowed, whose }: Asked,
    what:
      | { readonly do: 'query'; readonly sql: string }
      | { readonly do: 'list'; readonly find: string },
    signal: AbortSignal,
  ): Promise<Exclude<DatabaseReply, { is: 'failed' }>> {
    try {
      const reply = await pool.run(whose, 1, signal, async (place) => {
        const target = await targetOf(address, signal);
        return await ask(place, { ...what, target, allowed }, signal);
      });
      if (reply.is === 'failed') throw new ToolFailure(reply.why);
      return reply;
    } catch (error) {
      throw error instanceof ProcessFailure ? inWords(error, queryMs, memoryBytes) : error;
    }
  }

  return {
    query: async (asked, sql, signal) => {
      const reply = await run(asked, { do: 'query', sql }, signal);
      if (reply.is === 'rows') return reply.text;
      throw new Error('A query was answered with a list of tables.');
    },
    list: async (asked, find, signal) => {
      const reply = await run(asked, { do: 'list', find }, signal);
      if (reply.is === 'tables') return reply.listed;
      throw new Error('A list of tables was answered with rows.');
    },
    processes: pool.processes,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

/** What this process trusts beyond node's own list, as by NODE_EXTRA_CA_CERTS: those that query have no environment. */
function ownTrust(): readonly string[] {
  const known = new Set(rootCertificates);
  return getCACertificates('default').filter((certificate) => !known.has(certificate));
}

function inWords(failure: ProcessFailure, queryMs: number, memoryBytes: number): Error {
  switch (failure.kind) {
    case 'full':
      return new ToolFailure('too many queries wait to be run; try again in a moment');
    case 'too-slow':
      return new ToolFailure(
        `the query took longer than ${queryMs / 1_000} s and was ended; filter earlier or join on fewer rows`,
      );
    case 'killed':
      return new ToolFailure(
        `the query was ended, most likely because its answer took more than ${memoryBytes / 1024 / 1024} MiB of memory; select less, or parts of long values`,
      );
    case 'broken':
      return failure;
  }
}
