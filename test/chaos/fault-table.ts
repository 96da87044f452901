// `npm run faults [-- --setting R1 --fault worker --times 3]`: kills one thing after the other under a
// small steady load and prints the rows of the table in docs/OPERATIONS.md: what was lost, what clients
// were told, how long it took. `--cost` measures what each setting costs instead.
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';
import { startCluster } from './cluster.ts';
import { measureCosts } from './fault-costs.ts';
import { leaderOf, untilHealthy } from './faults.ts';
import type { Member } from './member.ts';
import type { Setting } from './settings.ts';
import { SETTINGS } from './settings.ts';
import type { Stall, Survivors } from './survivors.ts';
import { startSurvivors } from './survivors.ts';
import { flags } from '../support/flags.ts';

const FAULTS = [
  'api',
  'worker',
  'nats',
  'nats-leader',
  'nats-follower',
  'zone',
  'host',
  'store',
] as const;
type FaultName = (typeof FAULTS)[number];

const USAGE = 'npm run faults [-- --setting R1 --fault worker --times 3 | --cost]';
const { values } = flags(USAGE, {
  options: {
    setting: { type: 'string', multiple: true, default: ['R1', 'R3'] },
    fault: { type: 'string', multiple: true, default: [...FAULTS] },
    times: { type: 'string', default: '3' },
    cost: { type: 'boolean', default: false },
  },
});
const settings = values.setting.filter((name): name is Setting => name in SETTINGS);
const faults = FAULTS.filter((name) => values.fault.includes(name));
const times = Number(values.times);

/** So many chats run when something is killed. */
const RUNNING_BEFORE = 20;

// Its processes end with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(130));

if (values.cost) await measureCosts(settings, times);
else for (const setting of settings) await survive(setting);

async function survive(setting: Setting): Promise<void> {
  const { natsServers, syncInterval } = SETTINGS[setting];
  await using cluster = await startCluster({
    natsServers,
    syncInterval,
    apis: 2,
    workers: 2,
  });
  await untilHealthy(cluster);
  for (const fault of faults.filter((name) => isPossible(name, natsServers))) {
    const load = startSurvivors(cluster.apis.map(({ url }) => url));
    const stalls: Stall[] = [];
    for (let i = 0; i < times; i++) {
      while (load.running() < RUNNING_BEFORE) await sleep(50);
      const faultMs = performance.now();
      const undo = await strike(cluster, fault);
      stalls.push(await load.stallAfter(faultMs));
      await undo();
      await untilHealthy(cluster);
    }
    await report(setting, fault, stalls, load);
  }
}

function isPossible(fault: FaultName, natsServers: number): boolean {
  if (natsServers === 1) return !['nats-leader', 'nats-follower', 'zone'].includes(fault);
  return fault !== 'nats';
}

/** Kills, and starts again at once what a supervisor would; the rest comes back with `undo`. */
async function strike(cluster: Cluster, fault: FaultName): Promise<() => Promise<unknown>> {
  const [first] = cluster.nats;
  const nothing = (): Promise<void> => Promise.resolve();
  const restart = async (member: Member | undefined): Promise<() => Promise<void>> => {
    await member?.kill();
    await member?.start();
    return nothing;
  };
  const killed = async (members: readonly (Member | undefined)[]) => {
    const found = members.filter((member) => member !== undefined);
    await Promise.all(found.map((member) => member.kill()));
    return () => Promise.all(found.map((member) => member.start()));
  };
  switch (fault) {
    case 'api':
      return restart(cluster.apis[0]?.member);
    case 'worker':
      return restart(cluster.workers[0]);
    case 'nats':
      return restart(first?.member);
    case 'nats-leader': {
      const leader = await leaderOf(cluster);
      return killed([cluster.nats.find(({ name }) => name === leader)?.member]);
    }
    case 'nats-follower': {
      const leader = await leaderOf(cluster);
      return killed([cluster.nats.find(({ name }) => name !== leader)?.member]);
    }
    case 'zone':
      // A third of everything, the leader with it.
      return killed([
        cluster.nats.find(({ name }) => name === 'nats-1')?.member,
        cluster.apis[0]?.member,
        cluster.workers[0],
      ]);
    case 'host': {
      const model = cluster.model.member;
      const members = cluster.members().filter((member) => member !== model);
      const start = await killed(members);
      await start();
      return nothing;
    }
    case 'store': {
      const leader = await leaderOf(cluster);
      const lost = cluster.nats.find(({ name }) => cluster.nats.length === 1 || name !== leader);
      await lost?.member.kill();
      if (lost !== undefined) rmSync(lost.storeDir, { recursive: true });
      await lost?.member.start();
      // Its streams are made by whoever starts next.
      if (cluster.nats.length === 1) {
        const programs = [...cluster.apis.map(({ member }) => member), ...cluster.workers];
        await Promise.all(programs.map(restart));
      }
      return nothing;
    }
  }
}

async function report(
  setting: Setting,
  fault: FaultName,
  stalls: readonly Stall[],
  load: Survivors,
): Promise<void> {
  const verdict = await load.finish();
  load.stop();
  const seconds = (figures: readonly number[]): string => {
    const sorted = figures.toSorted((a, b) => a - b);
    const middle = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
    return `${(middle / 1_000).toFixed(1)} / ${((sorted.at(-1) ?? Number.NaN) / 1_000).toFixed(1)} s`;
  };
  const told: Record<string, number> = {};
  for (const stall of stalls) {
    for (const [code, count] of Object.entries(stall.told)) told[code] = (told[code] ?? 0) + count;
  }
  const lost = `${verdict.lostStarts} of ${verdict.acked} starts, ${verdict.lostEvents} of ${verdict.events} events`;
  const errors = Object.entries(told)
    .map(([code, count]) => `${count} ${code}`)
    .join(', ');
  console.log(
    `| ${fault} | ${setting} | ${lost}${verdict.unfinished > 0 ? `, ${verdict.unfinished} unfinished` : ''} | ${errors || 'no error'} | ${seconds(stalls.map(({ startMs }) => startMs))} | ${seconds(stalls.map(({ goesOnMs }) => goesOnMs))}, ${stalls.map(({ heldUp }) => heldUp).join('+')} held up |`,
  );
}
