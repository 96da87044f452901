// How long things took after a fault, read from a history.
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { timeMs } from '../../src/chat/fold/answer.ts';
import { ACK_WAIT_MS, RENEW_EVERY_MS } from '../../src/chat/limits.ts';
import { isNatsFault, isWorkerFault, lossOf } from './check-attempts.ts';
import type { ChatHistory } from './chat-history.ts';
import type { Fault, FaultKind, History } from './history.ts';

export interface Quantiles {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface Recovery {
  /** The slowest takeovers after a kill: where to look first. */
  readonly slowest: readonly Takeover[];
  /** From the worker's SIGKILL to the next attempt of each chat that it ran. */
  readonly killedWorker: Quantiles;
  /** The same for those that nothing else happened to: no nats-server was killed meanwhile, and no
   * worker met a fault while the command could be taken by it. */
  readonly killedWorkerAlone: Quantiles;
  /** Attempts that a worker lost though nothing but NATS failed. */
  readonly lostByNatsAlone: number;
  /** The longest time without any record stored that began with the fault. */
  readonly killedNatsLeader: Quantiles;
  readonly killedNats: Quantiles;
  /** From the call of CancelChatStream to the model server's socket closed, with no fault near. */
  readonly cancelToClosed: Quantiles;
}

interface Takeover {
  readonly chat: string;
  readonly worker: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const SLOWEST = 10;
/** A cancel within this time of a fault may have waited for what came of it. */
const NEAR_MS = 1_000;
const NEAR_NATS_MS = 20_000;

export function recoveryOf(history: History, chats: readonly ChatHistory[]): Recovery {
  const kills = history.faults.filter(({ kind }) => kind === 'kill-worker');
  const recovered = kills.flatMap((kill) => chats.flatMap((chat) => takeover(chat, kill)));
  const alone = recovered.filter((takeover) => !disturbed(takeover, history.faults));
  const stalls = stallsOf(history, chats);
  return {
    slowest: recovered
      .toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))
      .slice(0, SLOWEST),
    killedWorker: quantiles(recovered.map(({ fromMs, toMs }) => toMs - fromMs)),
    killedWorkerAlone: quantiles(alone.map(({ fromMs, toMs }) => toMs - fromMs)),
    lostByNatsAlone: chats.reduce((sum, chat) => sum + lostByNats(chat, history.faults), 0),
    killedNatsLeader: quantiles(stalls(['kill-nats-leader'])),
    killedNats: quantiles(stalls(['kill-nats'])),
    cancelToClosed: quantiles(chats.flatMap((chat) => closedAfter(chat, history.faults))),
  };
}

function lostByNats(chat: ChatHistory, faults: readonly Fault[]): number {
  const { attempts } = chat.log;
  return attempts.filter(({ attempt, atMs }, i) => {
    const next = attempts[i + 1];
    return next !== undefined && lossOf(chat, attempt, atMs, next.atMs, faults) === 'nats';
  }).length;
}

function takeover(chat: ChatHistory, kill: Fault): Takeover[] {
  const claim = chat.taken.find(({ worker }) => worker === kill.target);
  if (claim === undefined) return [];
  const { attempts, end } = chat.log;
  const began = attempts.find(({ attempt }) => attempt === claim.attempt);
  const next = attempts.find(({ attempt }) => attempt === claim.attempt + 1);
  const toMs = next?.atMs ?? (end === undefined ? undefined : timeMs(end.at.event));
  if (began === undefined || toMs === undefined) return [];
  if (began.atMs > kill.atMs || toMs <= kill.atMs) return [];
  return [{ chat: chat.chat, worker: kill.target, fromMs: kill.atMs, toMs }];
}

/** The killed worker's command may be handed out again from here on. */
const LAPSE_MS = ACK_WAIT_MS - RENEW_EVERY_MS;

function disturbed({ worker, fromMs, toMs }: Takeover, faults: readonly Fault[]): boolean {
  return faults.some((fault) => {
    const hits = (beganMs: number): boolean => fault.atMs <= toMs && fault.untilMs >= beganMs;
    if (isNatsFault(fault)) return hits(fromMs);
    return isWorkerFault(fault) && fault.target !== worker && hits(fromMs + LAPSE_MS);
  });
}

/** A server that is gone may have acknowledged a little more. */
const SHOWS_WITHIN_MS = 1_000;

function stallsOf(
  history: History,
  chats: readonly ChatHistory[],
): (kinds: readonly FaultKind[]) => number[] {
  const stored = chats
    .flatMap(({ log }) => [...log.events.values()].map(({ storedMs }) => storedMs))
    .toSorted((a, b) => a - b);
  return (kinds) =>
    history.faults
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ atMs }) => {
        let longest = 0;
        for (let i = 1; i < stored.length; i++) {
          const before = stored[i - 1] ?? 0;
          const after = stored[i] ?? 0;
          if (after < atMs || before > atMs + SHOWS_WITHIN_MS) continue;
          longest = Math.max(longest, after - Math.max(before, atMs));
        }
        return longest;
      });
}

function closedAfter(chat: ChatHistory, faults: readonly Fault[]): number[] {
  return chat.cancels.flatMap(({ status, beganMs }) => {
    if (status !== ChatStreamStatus.CANCELLED) return [];
    const near = faults.some((fault) => {
      const afterMs = isNatsFault(fault) ? NEAR_NATS_MS : NEAR_MS;
      return fault.atMs <= beganMs + NEAR_MS && fault.untilMs >= beganMs - afterMs;
    });
    if (near) return [];
    return chat.calls.flatMap((call) =>
      call.how === 'aborted' && call.beganMs < beganMs && (call.endedMs ?? 0) > beganMs
        ? [(call.endedMs ?? 0) - beganMs]
        : [],
    );
  });
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (q: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0);
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
