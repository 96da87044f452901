// What a claim writes: its mark, which says who holds the chat and by which command, and its event.
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Command } from '../../chat/ports/commands.ts';
import type { Claim } from '../../chat/decisions/decisions.ts';
import { FIRST_CLAIM } from '../../chat/decisions/decisions.ts';
import type { StatusMark } from '../../chat/ports/event-log.ts';
import type { EventPayload } from '../../chat/decisions/terminal.ts';

export function claimMark(
  command: Command,
  claim: Claim,
  owner: string,
  nowMs: number,
): StatusMark {
  const { createdAtMs, expiresAtMs, correlationId, model, runTimeoutMs, results } = command.meta;
  return {
    kind: 'claim',
    status: ChatStreamStatus.PROCESSING,
    attempt: claim.attempt,
    tries: claim.tries,
    // The first claim is the first step: what comes after it can be said again.
    stepSequence: claim.stepSequence === 0 ? claim.sequence : claim.stepSequence,
    command: command.sequence,
    owner,
    startedAtMs: claim.startedAtMs === 0 ? nowMs : claim.startedAtMs,
    results,
    waitRecord: 0,
    waitingSinceMs: 0,
    waitedMs: claim.waitedMs,
    deadlineMs: 0,
    runTimeoutMs,
    firstSequence: claim.sequence,
    lastSequence: claim.sequence,
    createdAtMs: claim.createdAtMs === 0 ? createdAtMs : claim.createdAtMs,
    expiresAtMs,
    correlationId,
    model,
    priority: command.priority,
  };
}

export function claimPayload(command: Command, claim: Claim): EventPayload {
  if (claim === FIRST_CLAIM) return { case: 'started', value: { model: command.meta.model } };
  return {
    case: 'attemptStarted',
    value: { supersedesAfterSequence: claim.stepSequence },
  };
}
