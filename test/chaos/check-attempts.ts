// Attempts are visible, and each has its cause: a chat changes its worker, or ends in ERROR, only where
// the history shows what happened to the worker that had it.
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { timeMs } from '../../src/chat/fold/answer.ts';
import { MAX_ATTEMPTS } from '../../src/chat/limits.ts';
import type { ChatHistory } from './chat-history.ts';
import type { Fault, History } from './history.ts';
import type { Say } from './violation.ts';

/** A claim on its way when the fault came. */
const ON_ITS_WAY_MS = 1_000;
/** For this long after a nats-server died its clients' renewals and questions may get no answer. */
const NATS_AFTER_MS = 30_000;

/** How an attempt ended before its time: by its worker, or because NATS was away. */
export type Loss = 'lost' | 'handed-back' | 'nats';

export function isNatsFault({ kind }: Fault): boolean {
  return (
    kind === 'kill-nats' ||
    kind === 'kill-nats-leader' ||
    kind === 'kill-nats-follower' ||
    kind === 'cut-nats'
  );
}

export function isWorkerFault({ kind }: Fault): boolean {
  return (
    kind === 'kill-worker' ||
    kind === 'stop-worker' ||
    kind === 'pause-worker' ||
    kind === 'cut-worker'
  );
}

/** Why the attempt was lost between two times; undefined where nothing explains it. */
export function lossOf(
  chat: Pick<ChatHistory, 'taken'>,
  attempt: number,
  fromMs: number,
  toMs: number,
  faults: History['faults'],
): Loss | undefined {
  const worker = chat.taken.find((claim) => claim.attempt === attempt)?.worker;
  const hit = faults.filter(
    (fault) =>
      isWorkerFault(fault) &&
      // Who was killed may not have got as far as saying what it took.
      (worker === undefined || fault.target === worker) &&
      fault.atMs <= toMs &&
      fault.untilMs >= fromMs - ON_ITS_WAY_MS,
  );
  const natsAway = faults.some(
    (fault) => isNatsFault(fault) && fault.atMs <= toMs && fault.untilMs + NATS_AFTER_MS >= fromMs,
  );
  if (hit.some(({ kind }) => kind !== 'stop-worker')) return 'lost';
  // Who is stopped while NATS is away cannot hand back.
  if (hit.length > 0) return natsAway ? 'lost' : 'handed-back';
  return natsAway ? 'nats' : undefined;
}

export function checkAttempts(chat: ChatHistory, faults: History['faults'], say: Say): void {
  const { attempts, end } = chat.log;
  const losses = attempts.map(({ attempt, atMs }, i) => {
    const next = attempts[i + 1];
    const untilMs = next?.atMs ?? (end === undefined ? atMs : timeMs(end.at.event));
    const loss = lossOf(chat, attempt, atMs, untilMs, faults);
    if (next !== undefined && loss === undefined) {
      say('unexplained-attempt', `attempt ${next.attempt} took over from a worker that was well`);
    }
    return loss;
  });
  if (end === undefined) return;
  const { status, failure } = end.value;
  if (status === ChatStreamStatus.FAILED) {
    say('unexplained-failure', failure?.message ?? '');
  }
  if (status !== ChatStreamStatus.ERROR) return;
  const counted = losses.filter((loss) => loss === 'lost' || loss === 'nats').length;
  if (failure?.reason !== FailureReason.ATTEMPTS_EXHAUSTED || counted < MAX_ATTEMPTS) {
    say('unexplained-error', `${counted} lost attempts: ${failure?.message ?? ''}`);
  }
}
