// What is done about client tools, given what was read: whether results are taken, and whether a
// continue is to be published. Pure, like decisions.ts, and explored with it.
import type { Command } from '../ports/commands.ts';
import type { LogTail } from '../ports/event-log.ts';

/** A call that the log asked the client for. */
export interface AskedCall {
  readonly id: string;
  /** What tells its result from others; undefined: none has come. */
  readonly answer: string | undefined;
}

/** A result that a caller brings. */
export interface GivenResult {
  readonly id: string;
  readonly answer: string;
}

export type SubmitDecision =
  /** These are new; with them all is there, or not yet. */
  | { readonly do: 'append'; readonly ids: readonly string[]; readonly complete: boolean }
  /** The log has all of them already. */
  | { readonly do: 'answer' }
  | { readonly do: 'refuse'; readonly refused: readonly RefusedResult[] };

export interface RefusedResult {
  readonly id: string;
  /** different: another result was taken for it. late: the chat does not wait for it any more. */
  readonly why: 'unknown' | 'different' | 'late';
}

/** All or nothing: where one result is refused none is taken. `asked`: all calls up to the tail. */
export function decideSubmit(
  tail: LogTail | undefined,
  asked: readonly AskedCall[],
  given: readonly GivenResult[],
  nowMs: number,
): SubmitDecision {
  const mark = tail?.status.mark;
  const waits = mark?.kind === 'wait' && mark.deadlineMs > nowMs;
  const calls = new Map(asked.map((call) => [call.id, call]));
  const refused: RefusedResult[] = [];
  const fresh = new Set<string>();
  for (const { id, answer } of given) {
    const call = calls.get(id);
    if (call === undefined) refused.push({ id, why: 'unknown' });
    else if (call.answer !== undefined) {
      if (call.answer !== answer) refused.push({ id, why: 'different' });
    } else if (waits) fresh.add(id);
    else refused.push({ id, why: 'late' });
  }
  if (refused.length > 0) return { do: 'refuse', refused };
  if (fresh.size === 0) return { do: 'answer' };
  const complete = asked.every(({ id, answer }) => answer !== undefined || fresh.has(id));
  return { do: 'append', ids: [...fresh], complete };
}

/** Whether a chat whose results are all there lacks its continue: one for each results record. */
export type ContinueDecision =
  | { readonly do: 'nothing' }
  | { readonly do: 'publish'; readonly results: number; readonly expectedLast: number };

/** `newest`: the newest command, read at the leader; the publish is fenced by it. */
export function decideContinue(
  tail: LogTail | undefined,
  newest: Command | undefined,
): ContinueDecision {
  if (tail?.status.mark.kind !== 'results' || newest === undefined) return { do: 'nothing' };
  // Whoever carries that out ends the chat.
  if (newest.verb === 'cancel' || newest.verb === 'delete') return { do: 'nothing' };
  const results = tail.status.storeSequence;
  if (newest.meta.results >= results) return { do: 'nothing' };
  return { do: 'publish', results, expectedLast: newest.sequence };
}
