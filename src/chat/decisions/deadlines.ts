// What ends a chat by the clock or by the count of its attempts, and in which words.
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { LogTail, StatusMark } from '../ports/event-log.ts';
import { CLIENT_TOOL_TIMEOUT_MS, RUN_TIMEOUT_GRACE_MS, START_DEADLINE_MS } from '../limits.ts';
import { isOver } from './status.ts';
import type { End } from './terminal.ts';

/**
 * How a chat ends that is past a deadline; undefined where it is not, or is over already. A chat that
 * expires before its end is ended too: nothing expires silently.
 */
export function overdueEnd(
  life: { readonly createdAtMs: number; readonly expiresAtMs: number },
  tail: LogTail | undefined,
  nowMs: number,
): End | undefined {
  const mark = tail?.status.mark;
  if (mark !== undefined && isOver(mark)) return undefined;
  const expired = life.expiresAtMs <= nowMs;
  if (mark === undefined || mark.startedAtMs === 0) {
    return expired || isStartOverdue(life.createdAtMs, nowMs) ? startDeadlineExceeded() : undefined;
  }
  if (mark.kind === 'wait') {
    return expired || mark.deadlineMs <= nowMs ? clientToolTimeout() : undefined;
  }
  // Its worker keeps the run's time itself; this is for when it is gone. Results that came in time
  // count, however long nobody was there to go on from them.
  const late = mark.kind !== 'results' && runDueMs(mark) + RUN_TIMEOUT_GRACE_MS <= nowMs;
  return expired || late ? runTimeout(mark.runTimeoutMs) : undefined;
}

/** When a run has used up its time; what its chat has waited for its client's tools does not count. */
export function runDueMs(
  mark: Pick<StatusMark, 'startedAtMs' | 'waitedMs' | 'runTimeoutMs'>,
): number {
  return mark.startedAtMs + mark.waitedMs + mark.runTimeoutMs;
}

/** Until when a chat that begins to wait for its client's tools does. */
export function toolDeadlineMs(expiresAtMs: number, nowMs: number): number {
  return Math.min(nowMs + CLIENT_TOOL_TIMEOUT_MS, expiresAtMs);
}

export function isStartOverdue(createdAtMs: number, nowMs: number): boolean {
  return createdAtMs + START_DEADLINE_MS <= nowMs;
}

export function startDeadlineExceeded(): End {
  return {
    kind: 'error',
    reason: FailureReason.START_DEADLINE_EXCEEDED,
    message:
      'No worker took this chat before its start deadline or its expiry. Run more workers, or raise TAILRACE_WORKER_SLOTS, and send it again.',
    retryable: true,
  };
}

export function runTimeout(runTimeoutMs: number): End {
  return {
    kind: 'failed',
    reason: FailureReason.RUN_TIMEOUT,
    message: `The run took longer than ${runTimeoutMs / 1_000} s, or than the chat is kept. What was said until then is kept.`,
    retryable: true,
  };
}

export function clientToolTimeout(): End {
  return {
    kind: 'failed',
    reason: FailureReason.CLIENT_TOOL_TIMEOUT,
    message:
      'Not all results of the client’s tools came by the deadline in tool_results_requested. What was said until then is kept; send the conversation again with the results in it to go on.',
    retryable: true,
  };
}

export function attemptsExhausted(attempts: number): End {
  return {
    kind: 'error',
    reason: FailureReason.ATTEMPTS_EXHAUSTED,
    message: `All ${attempts} attempts lost their worker. Something in this request, or on the workers, ends them; see the workers' logs before it is sent again.`,
    retryable: false,
  };
}
