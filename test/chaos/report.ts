// What a run tells: for people as lines, for machines as JSON.
import type { ChatHistory } from './chat-history.ts';
import { toolAnswersOf } from './chat-log.ts';
import type { History } from './history.ts';
import type { Quantiles, Recovery } from './recovery.ts';
import { recoveryOf } from './recovery.ts';
import type { Violation } from './violation.ts';

export interface ChaosReport {
  readonly seed: number;
  readonly minutes: number;
  readonly natsServers: number;
  readonly chats: {
    readonly begun: number;
    readonly acknowledged: number;
    readonly deleted: number;
    /** By the terminal event's name. */
    readonly ends: Readonly<Record<string, number>>;
    readonly takenOver: number;
  };
  readonly events: number;
  readonly attachments: number;
  readonly modelCalls: number;
  /** Runs of the counting tools; calls that ran more than once, as those may that say so; results in the log. */
  readonly tools: { readonly runs: number; readonly repeated: number; readonly results: number };
  /** SIGKILLs. */
  readonly kills: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly recovery: Recovery;
  /** Calls that were not answered, by call and outcome. */
  readonly refused: Readonly<Record<string, number>>;
  /** Warnings and errors in the logs of apis and workers. */
  readonly logged: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
}

export function reportOf(
  run: { readonly seed: number; readonly lastsMs: number; readonly natsServers: number },
  history: History,
  chats: readonly ChatHistory[],
  violations: readonly Violation[],
  logged: ReadonlyMap<string, number>,
): ChaosReport {
  const acknowledged = chats.filter(({ starts }) => starts.some((s) => s.outcome === 'ok'));
  const calls = [
    ...history.starts.map(({ outcome }) => `start ${outcome}`),
    ...history.cancels.map(({ outcome }) => `cancel ${outcome}`),
    ...history.deletes.map(({ outcome }) => `delete ${outcome}`),
    ...history.reads.map(({ kind, outcome }) => `${kind} ${outcome}`),
    ...history.observations.flatMap((o) => o.attachments.map(({ end }) => `observe ${end}`)),
  ];
  return {
    seed: run.seed,
    minutes: run.lastsMs / 60_000,
    natsServers: run.natsServers,
    chats: {
      begun: chats.length,
      acknowledged: acknowledged.length,
      deleted: chats.filter(({ deletes }) => deletes.some((d) => d.outcome === 'ok')).length,
      ends: counted(acknowledged.map(({ log }) => log.end?.at.event.payload.case ?? 'not seen')),
      takenOver: chats.filter(({ log }) => log.attempts.length > 1).length,
    },
    events: chats.reduce((sum, { log }) => sum + log.events.size, 0),
    attachments: history.observations.reduce((sum, o) => sum + o.attachments.length, 0),
    modelCalls: history.calls.length,
    tools: toolsOf(history, chats),
    kills: history.faults.filter(({ kind }) => kind.startsWith('kill')).length,
    faults: counted(history.faults.map(({ kind }) => kind)),
    recovery: recoveryOf(history, chats),
    refused: counted(calls.filter((call) => !call.endsWith(' ok') && !call.endsWith(' left'))),
    logged: Object.fromEntries(logged),
    violations,
  };
}

function counted(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return Object.fromEntries(Object.entries(counts).toSorted(([, a], [, b]) => b - a));
}

function toolsOf(history: History, chats: readonly ChatHistory[]): ChaosReport['tools'] {
  const calls = Map.groupBy(history.toolRuns, ({ chat, call }) => `${chat} ${call}`);
  const results = chats.map(({ log }) =>
    [...toolAnswersOf(log).values()].filter(({ counted, isError }) => counted && !isError),
  );
  return {
    runs: history.toolRuns.length,
    repeated: [...calls.values()].filter(({ length }) => length > 1).length,
    results: results.flat().length,
  };
}

const MOST_LINES = 40;

export function linesOf(report: ChaosReport): string[] {
  const { chats, recovery, violations } = report;
  const list = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none';
  const time = (name: string, { count, p50Ms, p99Ms, maxMs }: Quantiles): string =>
    `  ${name.padEnd(44)} ${count} times, p50 ${p50Ms} ms, p99 ${p99Ms} ms, most ${maxMs} ms`;
  return [
    `seed ${report.seed}, ${report.minutes.toFixed(1)} minutes, ${report.natsServers} nats-servers`,
    `chats: ${chats.begun} begun, ${chats.acknowledged} acknowledged, ${chats.deleted} deleted, ${chats.takenOver} taken over; ends: ${list(chats.ends)}`,
    `${report.events} events, ${report.attachments} attachments of observers, ${report.modelCalls} model calls`,
    `counting tools: ${report.tools.runs} runs, ${report.tools.repeated} calls run again, ${report.tools.results} results in the log`,
    `kills: ${report.kills}; faults: ${list(report.faults)}`,
    'recovery:',
    time('worker killed → next attempt', recovery.killedWorker),
    time('the same, nothing else happening to it', recovery.killedWorkerAlone),
    `  runs lost though nothing but NATS failed: ${recovery.lostByNatsAlone}`,
    time('NATS leader killed → log goes on', recovery.killedNatsLeader),
    time('the one nats-server killed → log goes on', recovery.killedNats),
    time('cancel → model server’s socket closed', recovery.cancelToClosed),
    `not answered: ${list(report.refused)}`,
    `logged: ${list(report.logged)}`,
    `violations: ${violations.length}; ${list(counted(violations.map(({ rule }) => rule)))}`,
    ...violations
      .slice(0, MOST_LINES)
      .map(({ rule, chat, detail }) => `  ${rule} ${chat}: ${detail}`),
  ];
}
