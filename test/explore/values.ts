// The abstract state as the values that the real decision functions take.
import { RUN_TIMEOUT_MS } from '../../src/chat/limits.ts';
import type { Command, Verb } from '../../src/chat/ports/commands.ts';
import type { LogRecord, LogTail } from '../../src/chat/ports/event-log.ts';
import { DEFAULT_TTL_MS } from '../../src/chat/limits.ts';
import type { AskedCall } from '../../src/chat/decisions/tool-decisions.ts';
import type { Setup } from './setup.ts';
import type { Draft, HeldJob, Job, StoredRecord, World } from './state.ts';

const CHAT = { tenant: 'default', streamId: 'chat' };
const EMPTY = new Uint8Array(0);
const PRIORITY = 5;

/** The first moment: 0 would mean that something has not happened. */
const BORN_MS = 1_800_000_000_000;

export function nowMs(setup: Setup, { moment }: Pick<World, 'moment'>): number {
  return BORN_MS + (setup.momentsMs[moment] ?? 0);
}

export function appendIdOf(draft: Draft): string {
  return `${draft.writer}|${draft.id}`;
}

/** Begins the append ids of a run's own records, and of nobody else's. */
export function runIdOf(owner: string, attempt: number): string {
  return `${owner}/${attempt}`;
}

export function recordOf(stored: StoredRecord): LogRecord {
  return {
    storeSequence: stored.seq,
    storedAtMs: stored.atMs,
    appendId: appendIdOf(stored),
    data: EMPTY,
    mark: stored.mark,
  };
}

const tails = new WeakMap<readonly StoredRecord[], LogTail>();

/** What EventLog.tail answers; test/support/chats/memory-log.ts does the same with encoded records. */
export function tailOf(log: readonly StoredRecord[]): LogTail | undefined {
  const last = log.at(-1);
  if (last === undefined) return undefined;
  const known = tails.get(log);
  if (known !== undefined) return known;
  const status = log.findLast((record) => record.mark !== undefined);
  if (status?.mark === undefined) throw new Error('a log begins with a record of its status');
  const tail = {
    last: recordOf(last),
    status: { ...recordOf(status), mark: status.mark },
    lastSequence: last.last,
  };
  tails.set(log, tail);
  return tail;
}

export function fenceOf(stored: readonly { readonly seq: number }[]): number {
  return stored.at(-1)?.seq ?? 0;
}

export function requestHashOf(request: number): string {
  return `request ${request}`;
}

/** A control command's meta has its chat's end of life, as controlCommand gives it. */
export function commandOf(world: World, job: HeldJob): Command {
  const start = world.commands.find(({ verb }) => verb === 'start');
  const bornMs = start?.atMs ?? (job.verb === 'start' ? job.atMs : 0);
  return {
    chat: CHAT,
    verb: job.verb,
    priority: PRIORITY,
    sequence: job.seq,
    meta: {
      appendId: job.id,
      createdAtMs: job.atMs,
      expiresAtMs: bornMs + DEFAULT_TTL_MS,
      correlationId: '',
      traceparent: '',
      model: 'model',
      runTimeoutMs: RUN_TIMEOUT_MS,
      requestHash: job.verb === 'start' ? requestHashOf(job.request) : '',
      metadata: {},
      reason: '',
      results: job.results,
    },
    data: EMPTY,
  };
}

/** What a holder keeps of a command: it may be erased meanwhile. */
export function held(job: Job & { readonly seq: number }): HeldJob {
  const { verb, id, request, results, atMs, seq } = job;
  return { verb, id, request, results, atMs, seq };
}

/** What AskedCalls in src/chat/fold/asked-calls.ts makes of the log. */
export function askedIn(log: readonly StoredRecord[]): AskedCall[] {
  const answers = new Map<string, string>();
  for (const record of log) {
    for (const { id, answer } of record.answers ?? []) answers.set(id, answer);
  }
  const asked = log.flatMap((record) => record.asks ?? []);
  return asked.map((id) => ({ id, answer: answers.get(id) }));
}

/** The model's turns that are finished: each began a wait, or called a tool of ours. */
export function finishedSteps(log: readonly StoredRecord[]): number {
  return log.filter(({ asks, tool }) => asks !== undefined || tool === 'called').length;
}

/** What openCalls in src/chat/fold/answer.ts makes of the log: how far the newest call is. */
export function openTool(log: readonly StoredRecord[]): 'none' | 'called' | 'begun' {
  const newest = log.findLast(({ tool }) => tool !== undefined)?.tool;
  return newest === undefined || newest === 'result' ? 'none' : newest;
}

export function isWork(verb: Verb): boolean {
  return verb === 'start' || verb === 'continue';
}
