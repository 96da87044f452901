// The marks of records that are not claims: what each of them says of its chat's life. Pure, and the
// only place where they are made, so that exploring the decisions explores these too.
import type { CommandMeta } from '../ports/commands.ts';
import type { LogTail, StatusMark } from '../ports/event-log.ts';
import type { End } from './terminal.ts';
import { endStatus } from './terminal.ts';

/** Of the end that is written to a chat which no worker of this process runs. */
export function endMark(
  life: { readonly meta: CommandMeta; readonly priority: number },
  tail: LogTail | undefined,
  end: End,
): StatusMark {
  const before = tail?.status.mark;
  const sequence = (tail?.lastSequence ?? 0) + 1;
  return {
    kind: 'end',
    status: endStatus(end),
    attempt: before?.attempt ?? 0,
    tries: before?.tries ?? 0,
    stepSequence: before?.stepSequence ?? 0,
    command: before?.command ?? 0,
    owner: before?.owner ?? '',
    startedAtMs: before?.startedAtMs ?? 0,
    results: before?.results ?? 0,
    waitRecord: 0,
    waitingSinceMs: 0,
    waitedMs: before?.waitedMs ?? 0,
    deadlineMs: 0,
    runTimeoutMs: life.meta.runTimeoutMs,
    firstSequence: sequence,
    lastSequence: sequence,
    // The chat's own: a control command was created later.
    createdAtMs: before?.createdAtMs ?? life.meta.createdAtMs,
    expiresAtMs: life.meta.expiresAtMs,
    correlationId: life.meta.correlationId,
    model: life.meta.model,
    priority: life.priority,
  };
}

/** Of the record without events from which on nothing of a chat can be read. */
export function tombstoneMark(tail: LogTail): StatusMark {
  const { lastSequence } = tail;
  return {
    ...tail.status.mark,
    kind: 'tombstone',
    firstSequence: lastSequence + 1,
    lastSequence,
  };
}

/**
 * Of the record with results of client tools. All are there, and a continue is to come, or the chat
 * waits for the rest.
 */
export function resultsMark(tail: LogTail, complete: boolean): StatusMark {
  const { mark, storeSequence } = tail.status;
  const sequence = tail.lastSequence + 1;
  return {
    ...mark,
    kind: complete ? 'results' : 'wait',
    stepSequence: sequence,
    waitRecord: mark.waitRecord === 0 ? storeSequence : mark.waitRecord,
    deadlineMs: complete ? 0 : mark.deadlineMs,
    firstSequence: sequence,
    lastSequence: sequence,
  };
}

/** What a run's own record changes of the mark of its claim, or of its last step. */
export type MarkChange = Pick<StatusMark, 'kind' | 'status' | 'tries'> &
  Partial<Pick<StatusMark, 'waitingSinceMs' | 'deadlineMs'>>;

export function runEnds(claim: StatusMark, end: End): MarkChange {
  return { kind: 'end', status: endStatus(end), tries: claim.tries };
}

/** A clean hand-back does not count as an attempt that lost its worker. */
export function runHandsBack(claim: StatusMark): MarkChange {
  return { kind: 'hand-back', status: claim.status, tries: claim.tries - 1 };
}

/** The step is finished: the tries are counted anew, and no event before is superseded any more. */
export function runWaits(claim: StatusMark, sinceMs: number, deadlineMs: number): MarkChange {
  return { kind: 'wait', status: claim.status, tries: 0, waitingSinceMs: sinceMs, deadlineMs };
}

/**
 * A step within a run is finished: the model's turn, or results of tools. The run goes on, and is the
 * first try of the next step.
 */
export function runSteps(claim: StatusMark): MarkChange {
  return { kind: 'claim', status: claim.status, tries: 1 };
}

export function changedMark(
  claim: StatusMark,
  change: MarkChange,
  range: { readonly firstSequence: number; readonly lastSequence: number },
): StatusMark {
  const finished = change.kind === 'wait' || change.kind === 'claim';
  const stepSequence = finished ? range.lastSequence : claim.stepSequence;
  return { ...claim, ...change, ...range, stepSequence };
}
