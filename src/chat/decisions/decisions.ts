// What is done next, given what was read: pure functions, so that they can be explored as well as
// tested. Nothing here knows a clock or a connection; what they need is handed in.
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Command, CommandMeta, Verb } from '../ports/commands.ts';
import { attemptsExhausted, isStartOverdue, startDeadlineExceeded } from './deadlines.ts';
import type { LogRecord, LogTail } from '../ports/event-log.ts';
import { APART_PATIENCE_MS } from '../limits.ts';
import { isOver } from './status.ts';
import type { End } from './terminal.ts';

/** What calls are decided from, read at the leaders; not at one moment. */
export interface ChatReading {
  readonly newest: Command | undefined;
  readonly start: Command | undefined;
  readonly tail: LogTail | undefined;
}

export interface ChatAtLeader {
  readonly start: Command;
  readonly tail: LogTail | undefined;
  /** The newest command: what the next one is fenced by. */
  readonly newest: Command;
}

/** Undefined for unknown, deleted and expired chats: to callers they are the same. */
export function chatAt(reading: ChatReading, nowMs: number): ChatAtLeader | undefined {
  const { newest, start, tail } = reading;
  if (newest === undefined || newest.verb === 'delete') return undefined;
  if (start === undefined || start.meta.expiresAtMs <= nowMs) return undefined;
  if (tail?.status.mark.kind === 'tombstone') return undefined;
  return { start, tail, newest };
}

/** What an initiate finds under the id that its caller chose (law 1). */
export type IdDecision =
  | { readonly is: 'free' }
  /** Its chat was deleted or has expired, and something of it is still there. */
  | { readonly is: 'retired' }
  /** By a chat with another request. */
  | { readonly is: 'taken'; readonly at: ChatAtLeader }
  | { readonly is: 'same'; readonly at: ChatAtLeader };

/** `identities`: all that the same request may be stored under. */
export function decideId(
  reading: ChatReading,
  identities: readonly string[],
  nowMs: number,
): IdDecision {
  if (reading.newest === undefined && reading.tail === undefined) return { is: 'free' };
  const at = chatAt(reading, nowMs);
  if (at === undefined) return { is: 'retired' };
  return { is: identities.includes(at.start.meta.requestHash) ? 'same' : 'taken', at };
}

/** What follows a start that was not confirmed, given the start that is there. */
export function afterStartFailed(
  outcome: 'refused' | 'doubt',
  found: Command | undefined,
  appendId: string,
): 'stored' | 'look' | 'again' {
  if (found?.meta.appendId === appendId) return 'stored';
  return found !== undefined || outcome === 'refused' ? 'look' : 'again';
}

/** What a worker does with a work command that it was handed. */
export type ClaimDecision =
  /** The command's work is done or void: acknowledge it. */
  | { readonly do: 'drop'; readonly why: 'over' | 'expired' | 'newer-command' | 'step-done' }
  /** The view is too old to decide from: it lacks the results record that the continue names. */
  | { readonly do: 'read-again' }
  /** Another worker may still be at it, on its last attempt too: ask, and on a no do `otherwise`. */
  | { readonly do: 'ask-owner'; readonly owner: string; readonly otherwise: Takeover }
  | Takeover;

/** What is done with a chat that no worker holds. */
export type Takeover =
  | { readonly do: 'claim'; readonly claim: Claim }
  /** Every attempt lost its worker, or it is too late to begin: end the chat. */
  | { readonly do: 'end'; readonly end: End };

export interface Claim {
  readonly expectedLast: number;
  readonly attempt: number;
  readonly tries: number;
  /** The claim event's own sequence. */
  readonly sequence: number;
  /** The last event that is kept; 0 for the first claim. */
  readonly stepSequence: number;
  /** 0: this claim is the first, it sets it. */
  readonly startedAtMs: number;
  /** The chat's, where the command was made later; 0: the command's own. */
  readonly createdAtMs: number;
  readonly waitedMs: number;
}

export const FIRST_CLAIM: Claim = {
  expectedLast: 0,
  attempt: 1,
  tries: 1,
  sequence: 1,
  stepSequence: 0,
  startedAtMs: 0,
  createdAtMs: 0,
  waitedMs: 0,
};

export function decideClaim(
  command: { readonly sequence: number; readonly meta: CommandMeta },
  tail: LogTail | undefined,
  bounds: { readonly nowMs: number; readonly maxAttempts: number },
): ClaimDecision {
  const { results } = command.meta;
  if (command.meta.expiresAtMs <= bounds.nowMs) return { do: 'drop', why: 'expired' };
  if (results > (tail?.last.storeSequence ?? 0)) return { do: 'read-again' };
  if (tail === undefined) {
    return isStartOverdue(command.meta.createdAtMs, bounds.nowMs)
      ? { do: 'end', end: startDeadlineExceeded() }
      : { do: 'claim', claim: FIRST_CLAIM };
  }
  const mark = tail.status.mark;
  if (isOver(mark)) return { do: 'drop', why: 'over' };
  if (mark.command > command.sequence) return { do: 'drop', why: 'newer-command' };
  // A start whose chat has waited since, a continue whose results were gone on from: its step is done.
  if (mark.kind === 'wait' || lastResults(tail) > results) return { do: 'drop', why: 'step-done' };
  const otherwise = takeOver(tail, bounds);
  if (mark.kind === 'claim') return { do: 'ask-owner', owner: mark.owner, otherwise };
  return otherwise;
}

/** The store sequence of the newest results record that was all that the chat waited for. */
export function lastResults(tail: LogTail): number {
  const { mark, storeSequence } = tail.status;
  return mark.kind === 'results' ? storeSequence : mark.results;
}

function takeOver(
  tail: LogTail,
  bounds: { readonly nowMs: number; readonly maxAttempts: number },
): Takeover {
  const mark = tail.status.mark;
  if (mark.tries >= bounds.maxAttempts) {
    return { do: 'end', end: attemptsExhausted(mark.attempt) };
  }
  const claim: Claim = {
    expectedLast: tail.last.storeSequence,
    attempt: mark.attempt + 1,
    tries: mark.tries + 1,
    sequence: lastSequence(tail) + 1,
    stepSequence: mark.stepSequence,
    startedAtMs: mark.startedAtMs,
    createdAtMs: mark.createdAtMs,
    waitedMs: mark.waitedMs + (mark.kind === 'results' ? bounds.nowMs - mark.waitingSinceMs : 0),
  };
  return { do: 'claim', claim };
}

/**
 * Whether a claim is run in a process of its own, whose end takes no other chat along. A chat that has
 * lost its worker may be what ended it. Its last attempt must be its own, so that no chat ends for what
 * another did, for as long as it may be kept waiting for room: where workers die all the time, chats would
 * else only wait. An earlier one had better be, where the lost attempt came to no word.
 */
export function runsApart(
  claim: Claim,
  tail: LogTail | undefined,
  bounds: { readonly nowMs: number; readonly maxAttempts: number },
): 'no' | 'better' | 'must' {
  if (tail === undefined || claim.tries <= 1) return 'no';
  const { status, last } = tail;
  if (claim.tries >= bounds.maxAttempts) {
    return bounds.nowMs - last.storedAtMs < APART_PATIENCE_MS ? 'must' : 'better';
  }
  const silent = status.mark.kind === 'claim' && status.storeSequence === last.storeSequence;
  return silent ? 'better' : 'no';
}

/**
 * A start that was never handed out before is almost always unclaimed: it is claimed as if its log had
 * been read and found empty. The fence tells if not, and then the log is read.
 */
export function claimsUnread(verb: Verb, deliveries: number, refused: boolean): boolean {
  return verb === 'start' && deliveries === 1 && !refused;
}

/** Whether a chat is still its writer's, given the newest record: what a renewal rests on (law 7). */
export function stillOwns(
  writer: { readonly runId: string; readonly storeSequence: number },
  last: LogRecord | undefined,
): boolean {
  if (last?.appendId.startsWith(writer.runId)) {
    return last.mark === undefined || !isOver(last.mark);
  }
  // Older than the newest append of this run, or before its first: it says nothing against it.
  return (last?.storeSequence ?? 0) < writer.storeSequence;
}

/** What a refusal by the fence means for the writer that got it (law 2). */
export type RefusalMeaning =
  /** The append itself is there; it had been in doubt. */
  | { readonly means: 'stored'; readonly storeSequence: number }
  /** The log is where it was thought to be, or still this writer's: the same again under this fence. */
  | { readonly means: 'again'; readonly expectedLast: number }
  /** The chat is over, or another attempt owns it. */
  | { readonly means: 'moved' };

export function readRefusal(
  own: {
    readonly appendId: string;
    readonly expectedLast: number;
    /** The sequence of the last event before the append. */
    readonly afterSequence: number;
    readonly attempt: number;
    readonly owner: string;
  },
  tail: LogTail | undefined,
): RefusalMeaning {
  if (tail?.last.appendId === own.appendId) {
    return { means: 'stored', storeSequence: tail.last.storeSequence };
  }
  if ((tail?.last.storeSequence ?? 0) === own.expectedLast) {
    return { means: 'again', expectedLast: own.expectedLast };
  }
  if (tail === undefined) return { means: 'moved' };
  const mark = tail.status.mark;
  const stillOwn =
    mark.kind === 'claim' && mark.attempt === own.attempt && mark.owner === own.owner;
  if (stillOwn && lastSequence(tail) === own.afterSequence) {
    return { means: 'again', expectedLast: tail.last.storeSequence };
  }
  return { means: 'moved' };
}

/** What a cancel does, given the log. */
export type CancelDecision =
  | { readonly do: 'nothing'; readonly why: 'over' }
  /** No worker holds it: whoever takes the call appends the end. */
  | { readonly do: 'append'; readonly expectedLast: number }
  /** A worker runs it: tell it by a durable command. */
  | { readonly do: 'command' };

export function decideCancel(tail: LogTail | undefined): CancelDecision {
  if (tail === undefined) return { do: 'append', expectedLast: 0 };
  const mark = tail.status.mark;
  if (isOver(mark)) return { do: 'nothing', why: 'over' };
  if (mark.kind === 'claim') return { do: 'command' };
  return { do: 'append', expectedLast: tail.last.storeSequence };
}

/** What a call to delete does; a publish of its own that was in doubt may have landed since. */
export type DeleteCallDecision =
  | { readonly do: 'carry-out'; readonly command: Command }
  | { readonly do: 'publish'; readonly at: ChatAtLeader }
  | { readonly do: 'answer-not-found' };

export function decideDeleteCall(
  reading: ChatReading,
  ownAppendId: string | undefined,
  nowMs: number,
): DeleteCallDecision {
  const { newest } = reading;
  if (newest !== undefined && newest.meta.appendId === ownAppendId) {
    return { do: 'carry-out', command: newest };
  }
  // By the commands alone: a tombstone beside an older view of them may be this call's own work.
  const at = chatAt({ ...reading, tail: undefined }, nowMs);
  return at === undefined ? { do: 'answer-not-found' } : { do: 'publish', at };
}

/** What comes next for a chat that has a delete command; each step is safe to repeat (law 8). */
export type DeleteDecision =
  /** No worker holds it: end it as cancelled. */
  | { readonly do: 'cancel' }
  /** A worker runs it: it has heard the bell; end it as cancelled where it has not acted in time. */
  | { readonly do: 'await-worker' }
  /** It is over: from this record on nothing of it can be read. */
  | { readonly do: 'tombstone' }
  /** The tombstone stays, so that the fence never goes back; what is before it goes. */
  | { readonly do: 'erase'; readonly tombstone: number };

export function decideDelete(tail: LogTail | undefined): DeleteDecision {
  if (tail === undefined) return { do: 'cancel' };
  const { mark } = tail.status;
  if (mark.kind === 'tombstone') return { do: 'erase', tombstone: tail.status.storeSequence };
  if (isOver(mark)) return { do: 'tombstone' };
  return mark.kind === 'claim' ? { do: 'await-worker' } : { do: 'cancel' };
}

export function lastSequence(tail: LogTail | undefined): number {
  return tail === undefined ? 0 : tail.lastSequence;
}

export function statusOf(tail: LogTail | undefined): ChatStreamStatus {
  return tail === undefined ? ChatStreamStatus.PENDING : tail.status.mark.status;
}
