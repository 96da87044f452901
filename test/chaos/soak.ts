// `npm run soak [-- --minutes M --seed N --single]`: steady load without faults for an hour. Memory and
// handles of each process and what NATS keeps are looked at over time; exits with 1 where they grow.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Inspector } from '../../bench/inspector.ts';
import { inspected, openInspector } from '../../bench/inspector.ts';
import { memoryMibOf } from '../../bench/processes.ts';
import { createCallers } from './callers.ts';
import type { Cluster } from './cluster.ts';
import { startCluster } from './cluster.ts';
import { untilHealthy } from './faults.ts';
import type { Recording } from './history.ts';
import { emptyHistory } from './history.ts';
import { startLoad } from './load.ts';
import type { Member } from './member.ts';
import { growthOf, type Sample } from './growth.ts';
import { flags, wrongUsage } from '../support/flags.ts';

/** Node's own programs; of nats-servers the resident memory counts. */
const LOOKED_INTO = ['api-1', 'api-2', 'worker-1', 'worker-2'] as const;
const SAMPLES = 60;
const LEAST_BETWEEN_MS = 5_000;

const USAGE = 'npm run soak [-- --minutes M --seed N --rate N --single]';
const { values } = flags(USAGE, {
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '10' },
    single: { type: 'boolean', default: false },
  },
});
const lastsMs = Number(values.minutes) * 60_000;
const seed = Number(values.seed);
if (!(lastsMs > 0) || !Number.isInteger(seed)) {
  wrongUsage(USAGE);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(130));
process.exit((await soak()) ? 0 : 1);

async function soak(): Promise<boolean> {
  const history = emptyHistory();
  const faults = new Map<string, number>();
  const looks = new Map<string, Awaited<ReturnType<typeof inspected>>>();
  for (const name of LOOKED_INTO) looks.set(name, await inspected());
  await using cluster = await startCluster({
    natsServers: values.single ? 1 : 3,
    apis: 2,
    workers: 2,
    env: (name) => looks.get(name)?.environment ?? {},
    onDeath: (name, said) => count(faults, `${name} died: ${said}`),
  });
  await untilHealthy(cluster);
  await using stack = new AsyncDisposableStack();
  const inspectors = new Map<string, Inspector>();
  for (const [name, { port }] of looks) {
    inspectors.set(name, stack.use(await openInspector(port)));
  }
  using callers = createCallers(
    cluster.apis.map(({ member, url }) => ({ name: member.name, url })),
    history,
  );
  const load = startLoad({ seed, chatsPerSecond: Number(values.rate), callers, history });
  const samples: Sample[] = [];
  const everyMs = Math.max(LEAST_BETWEEN_MS, lastsMs / SAMPLES);
  const began = performance.now();
  while (performance.now() - began < lastsMs) {
    await sleep(everyMs);
    const sample = await sampleOf(cluster, inspectors, load.begun() - load.underWay());
    samples.push(sample);
    takeFaults(history, faults);
    print(samples.length, (performance.now() - began) / 60_000, sample);
  }
  await load.finish(60_000);
  takeFaults(history, faults);
  const grown = growthOf(samples);
  for (const line of grown.lines) console.log(line);
  for (const [what, times] of faults) console.log(`FAIL  ${what}: ${times} times`);
  return grown.within && faults.size === 0;
}

async function sampleOf(
  cluster: Cluster,
  inspectors: ReadonlyMap<string, Inspector>,
  chats: number,
): Promise<Sample> {
  const memoryMib: Record<string, number> = {};
  const handles: Record<string, number> = {};
  const members: Member[] = [...cluster.apis.map(({ member }) => member), ...cluster.workers];
  const nats = cluster.nats.map(({ member }) => member);
  for (const member of [...members, ...nats]) {
    const inspector = inspectors.get(member.name);
    memoryMib[member.name] =
      inspector === undefined ? memoryMibOf(member.pid()) : await keptMib(inspector);
    handles[member.name] = readdirSync(`/proc/${member.pid()}/fd`).length;
  }
  let subscriptions = 0;
  let consumers = 0;
  for (const { monitorUrl } of cluster.nats) {
    const subs = (await (await fetch(`${monitorUrl}/subsz`)).json()) as SubsZ;
    const jetstream = (await (await fetch(`${monitorUrl}/jsz`)).json()) as JsZ;
    subscriptions += subs.num_subscriptions;
    consumers += jetstream.consumers;
  }
  return { chats, memoryMib, handles, subscriptions, consumers };
}

/** What is left when the garbage is collected: what is resident beside it comes and goes with the load. */
async function keptMib(inspector: Inspector): Promise<number> {
  await inspector.collectGarbage();
  const { heapUsed, external } = await inspector.memoryUsage();
  return (heapUsed + external) / (1024 * 1024);
}

interface SubsZ {
  readonly num_subscriptions: number;
}
interface JsZ {
  readonly consumers: number;
}

/** Without faults every call is answered. What was recorded is forgotten, or this would grow itself. */
function takeFaults(history: Recording, faults: Map<string, number>): void {
  const deleted = new Set(['STREAM_NOT_FOUND', 'STREAM_DELETED', 'STREAM_ID_RETIRED']);
  for (const kind of ['starts', 'cancels', 'deletes', 'reads'] as const) {
    for (const { outcome } of history[kind]) {
      if (outcome !== 'ok' && !deleted.has(outcome)) count(faults, `${kind}: ${outcome}`);
    }
    history[kind].length = 0;
  }
  for (const { attachments } of history.observations) {
    for (const { end } of attachments) {
      if (end !== 'ok' && end !== 'left' && !deleted.has(end)) count(faults, `observe: ${end}`);
    }
  }
  history.observations.length = 0;
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function print(n: number, minutes: number, sample: Sample): void {
  const { memoryMib, handles } = sample;
  const names = Object.keys(memoryMib);
  if (n % 20 === 1) {
    console.log(
      `minutes  chats  ${names.map((name) => name.padStart(13)).join('')}  subscriptions consumers`,
    );
  }
  const each = names.map((name) =>
    `${(memoryMib[name] ?? 0).toFixed(0)} MiB/${handles[name] ?? 0}`.padStart(13),
  );
  console.log(
    `${minutes.toFixed(1).padStart(7)}${String(sample.chats).padStart(7)}  ${each.join('')}${String(sample.subscriptions).padStart(15)}${String(sample.consumers).padStart(10)}`,
  );
}
