// One run: a cluster, load and faults for a time, then everything is let to finish and the history is
// held against the laws.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createCallers } from './callers.ts';
import { chatsOf } from './chat-history.ts';
import { check } from './checker.ts';
import type { Cluster } from './cluster.ts';
import { startCountingServer } from './counting-server.ts';
import { startCluster } from './cluster.ts';
import type { FaultKind, Recording } from './history.ts';
import { emptyHistory, nowMs } from './history.ts';
import type { FaultOptions } from './faults.ts';
import { startFaults, untilHealthy } from './faults.ts';
import { loopback } from './network.ts';
import { startLoad } from './load.ts';
import type { ModelCall } from './history.ts';
import type { ChaosReport } from './report.ts';
import { reportOf } from './report.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly lastsMs: number;
  /** It lasts longer, by this at the most, until so much has happened: for busy machines. */
  readonly atLeast?: { readonly chats: number; readonly kills: number; readonly longestMs: number };
  readonly natsServers: 1 | 3;
  readonly chatsPerSecond: number;
  readonly faultEveryMs: number;
  readonly weights: FaultOptions['weights'];
  /** Everything has so long to finish once the faults are over. */
  readonly finishWithinMs: number;
  /** Logs and history stay also where nothing is wrong. */
  readonly keep?: boolean;
  readonly onProgress?: (line: string) => void;
}

const COMMON: Readonly<Partial<Record<FaultKind, number>>> = {
  'kill-worker': 40,
  'stop-worker': 8,
  'pause-worker': 4,
  'cut-worker': 5,
  'kill-api': 24,
  'stop-api': 6,
  'cut-api': 3,
};
export const SINGLE_WEIGHTS = { ...COMMON, 'kill-nats': 10 };
export const CLUSTER_WEIGHTS = {
  ...COMMON,
  'kill-nats-leader': 6,
  'kill-nats-follower': 4,
  'cut-nats': 3,
};

/** The first worker and the first api from NATS, and the nats-servers from each other. */
function canBeCut(from: string, to: string): boolean {
  return to.startsWith('nats-') && /^(?:worker-1|api-1|nats-\d)$/.test(from);
}

const PROGRESS_MS = 15_000;
const LOOK_MS = 100;

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const history = emptyHistory();
  const said = new Map<string, number>();
  await using counter = await startCountingServer(history.toolRuns);
  await using cluster = await startCluster({
    natsServers: options.natsServers,
    apis: 2,
    workers: 2,
    network: loopback(canBeCut),
    slots: 128,
    env: () => ({ TAILRACE_FETCH_ALLOW: '127.0.0.1' }),
    onLine: (line, name) => readLine(line, name, history, said),
    onModelLine: modelReader(history),
    onDeath: (name, words) => history.deaths.push({ name, atMs: nowMs(), said: words }),
  });
  await untilHealthy(cluster);
  using callers = createCallers(
    cluster.apis.map(({ member, url }) => ({ name: member.name, url })),
    history,
    counter.url,
  );
  const load = startLoad({ ...options, callers, history, counting: true });
  const faults = startFaults({ ...options, everyMs: options.faultEveryMs, cluster, history });
  const telling = setInterval(() => {
    options.onProgress?.(
      `${load.begun()} chats, ${load.underWay()} under way, ${history.faults.length} faults, ${history.deaths.length} deaths`,
    );
  }, PROGRESS_MS);
  await sleep(options.lastsMs);
  const { chats = 0, kills = 0, longestMs = 0 } = options.atLeast ?? {};
  const killed = (): number => history.faults.filter(({ kind }) => kind.startsWith('kill')).length;
  const begunMs = performance.now();
  while ((load.begun() < chats || killed() < kills) && performance.now() - begunMs < longestMs) {
    await sleep(LOOK_MS);
  }
  await faults.stop();
  await load.finish(options.finishWithinMs);
  clearInterval(telling);

  const violations = check(history);
  const report = reportOf(options, history, chatsOf(history), violations, said);
  if (violations.length > 0 || options.keep === true) keep(cluster, history, report);
  return report;
}

/** What is wrong is looked into by the processes' logs and the whole history. */
function keep(cluster: Cluster, history: Recording, report: ChaosReport): void {
  cluster.keepFolder();
  const file = join(cluster.folder, 'history.json');
  const text = JSON.stringify(history, (_, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
  );
  writeFileSync(file, text);
  writeFileSync(join(cluster.folder, 'report.json'), JSON.stringify(report, undefined, 2));
  console.error(`logs and history are kept in ${cluster.folder}`);
}

const TOOK = 'a worker took the chat';

/** Which worker took which chat; and how often each warning and error was said. */
function readLine(line: string, name: string, history: Recording, said: Map<string, number>): void {
  if (!line.startsWith('{')) return;
  const entry = JSON.parse(line) as Readonly<Record<string, unknown>>;
  const message = String(entry['msg']);
  if (message === TOOK) {
    const { stream_id: chat, attempt } = entry;
    history.taken.push({ chat: String(chat), attempt: Number(attempt), worker: name });
  }
  const { level } = entry;
  if (level !== 'warn' && level !== 'error') return;
  const key = `${level}: ${message}`;
  said.set(key, (said.get(key) ?? 0) + 1);
}

function modelReader(history: Recording): (line: string) => void {
  const calls = new Map<number, { -readonly [K in keyof ModelCall]: ModelCall[K] }>();
  return (line) => {
    if (!line.startsWith('{"call"')) return;
    const entry = JSON.parse(line) as { readonly call: number } & Partial<ModelCall>;
    const known = calls.get(entry.call);
    if (known !== undefined) {
      known.endedMs = entry.endedMs;
      known.how = entry.how;
      calls.delete(entry.call);
      return;
    }
    const { chat = '', worker = '', beganMs = 0 } = entry;
    const call = { chat, worker, beganMs, endedMs: undefined, how: undefined };
    calls.set(entry.call, call);
    history.calls.push(call);
  };
}
