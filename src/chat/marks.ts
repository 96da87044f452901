// The marks of records that are not claims: what each of them says of its chat's life. Pure, and the
// only place where they are made, so that exploring the decisions explores these too.
import type { CommandMeta } from './commands.ts';
import type { LogTail, StatusMark } from './event-log.ts';
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

/** What a run's own record changes of the mark of its claim. */
export type MarkChange = Pick<StatusMark, 'kind' | 'status' | 'tries'>;

export function runEnds(claim: StatusMark, end: End): MarkChange {
  return { kind: 'end', status: endStatus(end), tries: claim.tries };
}

/** A clean hand-back does not count as an attempt that lost its worker. */
export function runHandsBack(claim: StatusMark): MarkChange {
  return { kind: 'hand-back', status: claim.status, tries: claim.tries - 1 };
}

export function changedMark(
  claim: StatusMark,
  change: MarkChange,
  range: { readonly firstSequence: number; readonly lastSequence: number },
): StatusMark {
  return { ...claim, ...change, ...range };
}
