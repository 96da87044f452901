// What each setting costs. All of them run at once and are measured in turns of a second, so that what
// else the machine does hits all alike; what is told is the median of each, and its ratio to R1's of the
// same turn.
import { grpcLoad } from '../../bench/load.ts';
import type { Load } from '../../bench/load.ts';
import { initiateParallel, tokens } from '../../bench/measures.ts';
import { startCluster } from './cluster.ts';
import { untilHealthy } from './faults.ts';
import type { Setting } from './settings.ts';
import { SETTINGS } from './settings.ts';

const WARM_UP_STARTS = 200;
const STARTS = 120;
/** No turn begins later: a busy machine gives fewer of them. */
const LAST_TURN_MS = 120_000;

interface Turn {
  readonly startsPerSecond: number;
  readonly startMs: number;
  readonly tokenP50Ms: number;
  readonly tokenP99Ms: number;
  readonly tokensPerSecond: number;
}

export async function measureCosts(settings: readonly Setting[], turns: number): Promise<void> {
  const beganMs = performance.now();
  await using stack = new AsyncDisposableStack();
  const places: { setting: Setting; load: Load; pid: number; turns: Turn[] }[] = [];
  for (const setting of settings) {
    const shape = { apis: 1, workers: 1, slots: 1_000 };
    const cluster = stack.use(await startCluster({ ...SETTINGS[setting], ...shape }));
    await untilHealthy(cluster);
    const [api] = cluster.apis;
    if (api === undefined) throw new Error('there is no api');
    const load = grpcLoad(api.url);
    stack.defer(() => load.close());
    await initiateParallel(load, 20, WARM_UP_STARTS);
    places.push({ setting, load, pid: api.member.pid(), turns: [] });
  }
  for (let i = 0; i < turns && performance.now() - beganMs < LAST_TURN_MS; i++) {
    for (const place of places) place.turns.push(await takeTurn(place.load, place.pid));
  }
  const [base] = places;
  if (base === undefined) return;
  console.log(`medians of ${base.turns.length} turns, and their ratio to ${base.setting}`);
  console.log(
    '| setting | starts/s, 20 parallel | start p50 ms | token p50 ms, 10 chats | token p99 ms | tokens/s at most |',
  );
  for (const { setting, turns } of places) {
    const cell = (of: (turn: Turn) => number, digits: number): string => {
      const ratios = turns.map((turn, i) => of(turn) / of(base.turns[i] ?? turn));
      return `${median(turns.map(of)).toFixed(digits)} (${median(ratios).toFixed(2)}×)`;
    };
    const cells = [
      cell((turn) => turn.startsPerSecond, 0),
      cell((turn) => turn.startMs, 1),
      cell((turn) => turn.tokenP50Ms, 2),
      cell((turn) => turn.tokenP99Ms, 1),
      cell((turn) => turn.tokensPerSecond, 0),
    ];
    console.log(`| ${setting} | ${cells.join(' | ')} |`);
  }
}

async function takeTurn(load: Load, pid: number): Promise<Turn> {
  const starts = await initiateParallel(load, 20, STARTS);
  const paced = await tokens(load, pid, { chats: 10, tokens: 40, intervalMs: 20 });
  const most = await tokens(load, pid, { chats: 60, tokens: 80, intervalMs: 4 });
  return {
    startsPerSecond: starts.perSecond,
    startMs: starts.p50,
    tokenP50Ms: paced.latency.p50,
    tokenP99Ms: paced.latency.p99,
    tokensPerSecond: most.perSecond,
  };
}

function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor((figures.length - 1) / 2)] ?? Number.NaN;
}
