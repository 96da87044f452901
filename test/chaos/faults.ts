// The faults: drawn from the seed, done to the processes, undone again, and written down. Two at once
// are meant; what would take a cluster below its promise (two nats-servers at once) is not.
import { setTimeout as sleep } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import type { Cluster } from './cluster.ts';
import type { FaultKind, Recording } from './history.ts';
import { nowMs } from './history.ts';
import { until } from '../support/until.ts';
import type { Member } from './member.ts';
import { randomOf } from './random.ts';

export interface FaultOptions {
  readonly seed: number;
  readonly everyMs: number;
  readonly weights: Readonly<Partial<Record<FaultKind, number>>>;
  readonly cluster: Cluster;
  readonly history: Recording;
}

export interface Faults {
  /** Does no more, and resolves when all is undone. */
  readonly stop: () => Promise<void>;
}

const DOWN_MS = [100, 3_000] as const;
/** The ack wait is 15 s. */
const PAUSE_MS = [16_000, 20_000] as const;
const CUT_MS = [500, 20_000] as const;
const HEALTHY_WITHIN_MS = 60_000;
/** Between two faults of NATS: or nothing but elections would be tried. */
const NATS_REST_MS = [15_000, 45_000] as const;

export function startFaults(options: FaultOptions): Faults {
  const { cluster, history, seed, everyMs, weights } = options;
  const random = randomOf(seed, 'faults');
  const busy = new Set<Member>();
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();
  let natsBusy = false;
  let natsRestsUntilMs = 0;
  let longBusy = false;

  async function during(
    kind: FaultKind,
    member: Member,
    act: () => Promise<void> | void,
    undo: () => Promise<unknown> | void,
    downMs: number,
  ): Promise<void> {
    busy.add(member);
    const target = member.incarnation();
    const fault = { kind, target, atMs: nowMs(), untilMs: Infinity };
    history.faults.push(fault);
    // Whatever it did not do as told is a finding, and the next thing is done all the same.
    const note = (error: unknown): void => {
      history.deaths.push({ name: `${kind} ${target}`, atMs: nowMs(), said: String(error) });
    };
    await Promise.resolve(act()).catch(note);
    await sleep(downMs);
    await Promise.resolve(undo()).catch(note);
    fault.untilMs = nowMs();
    busy.delete(member);
  }

  async function restarted(kind: FaultKind, member: Member | undefined): Promise<void> {
    if (member === undefined) return;
    const downMs = random.between(...DOWN_MS);
    const end = kind.startsWith('stop') ? () => member.stop().then(() => undefined) : member.kill;
    await during(kind, member, end, member.start, downMs);
  }

  async function nats(kind: FaultKind): Promise<void> {
    if (natsBusy) return;
    natsBusy = true;
    try {
      const leader = cluster.nats.length === 1 ? 'nats-1' : await leaderOf(cluster);
      const wanted = cluster.nats.filter(({ name }) => {
        if (kind === 'cut-nats') return true;
        return kind === 'kill-nats-follower' ? name !== leader : name === leader;
      });
      const node = wanted.length === 0 ? undefined : random.pick(wanted);
      if (node !== undefined && kind === 'cut-nats') {
        const others = cluster.nats.filter(({ name }) => name !== node.name);
        await apartFrom(kind, node.member, others, random.between(...CUT_MS));
      } else await restarted(kind, node?.member);
      await untilHealthy(cluster);
    } finally {
      natsRestsUntilMs = nowMs() + random.between(...NATS_REST_MS);
      natsBusy = false;
    }
  }

  async function long(kind: 'pause-worker' | 'cut-worker' | 'cut-api'): Promise<void> {
    const member = longTarget(kind);
    if (longBusy || member === undefined || busy.has(member)) return;
    longBusy = true;
    try {
      if (kind === 'pause-worker') {
        await during(kind, member, member.pause, member.goOn, random.between(...PAUSE_MS));
      } else {
        await apartFrom(kind, member, cluster.nats, random.between(...CUT_MS));
      }
    } finally {
      longBusy = false;
    }
  }

  /** Those that a chaos network can cut off are the first of their kind. */
  function longTarget(kind: 'pause-worker' | 'cut-worker' | 'cut-api'): Member | undefined {
    if (kind === 'pause-worker') return idle(cluster.workers);
    return kind === 'cut-worker' ? cluster.workers[0] : cluster.apis[0]?.member;
  }

  function apartFrom(
    kind: FaultKind,
    member: Member,
    others: readonly { readonly name: string }[],
    forMs: number,
  ): Promise<void> {
    const { network } = cluster;
    const cut = (): void => others.forEach(({ name }) => network.cut(member.name, name));
    const mend = (): void => others.forEach(({ name }) => network.mend(member.name, name));
    return during(kind, member, cut, mend, forMs);
  }

  function idle(members: readonly Member[]): Member | undefined {
    const free = members.filter((member) => !busy.has(member));
    return free.length === 0 ? undefined : random.pick(free);
  }

  /** One api always serves: clients go on at the other. */
  function idleApi(): Member | undefined {
    const members = cluster.apis.map(({ member }) => member);
    return members.some((member) => busy.has(member)) ? undefined : idle(members);
  }

  /** Whether there is anything to do it to now. */
  function possible(kind: FaultKind): boolean {
    switch (kind) {
      case 'kill-worker':
      case 'stop-worker':
        return cluster.workers.some((member) => !busy.has(member));
      case 'kill-api':
      case 'stop-api':
        return !cluster.apis.some(({ member }) => busy.has(member));
      case 'pause-worker':
        return !longBusy && cluster.workers.some((member) => !busy.has(member));
      case 'cut-worker':
        return !longBusy && !cluster.workers.slice(0, 1).some((member) => busy.has(member));
      case 'cut-api':
        return !longBusy && !cluster.apis.some(({ member }) => busy.has(member));
      case 'kill-nats':
      case 'kill-nats-leader':
      case 'kill-nats-follower':
      case 'cut-nats':
        return !natsBusy && nowMs() >= natsRestsUntilMs;
    }
  }

  function act(kind: FaultKind): Promise<void> {
    switch (kind) {
      case 'kill-worker':
      case 'stop-worker':
        return restarted(kind, idle(cluster.workers));
      case 'kill-api':
      case 'stop-api':
        return restarted(kind, idleApi());
      case 'pause-worker':
      case 'cut-worker':
      case 'cut-api':
        return long(kind);
      case 'kill-nats':
      case 'kill-nats-leader':
      case 'kill-nats-follower':
      case 'cut-nats':
        return nats(kind);
    }
  }

  async function run(): Promise<void> {
    const all = Object.entries(weights) as [FaultKind, number][];
    while (!stopping.signal.aborted) {
      const waitMs = everyMs * random.between(0.5, 1.5);
      await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      const kinds = all.filter(([kind]) => possible(kind));
      let at = random.next() * kinds.reduce((sum, [, weight]) => sum + weight, 0);
      const kind = kinds.find(([, weight]) => (at -= weight) < 0)?.[0];
      if (kind === undefined) continue;
      const done = act(kind).catch((error: unknown) => {
        history.deaths.push({ name: kind, atMs: nowMs(), said: String(error) });
      });
      underWay.add(done);
      void done.finally(() => underWay.delete(done));
    }
  }
  const running = run();

  return {
    stop: async () => {
      stopping.abort();
      await running;
      await Promise.all(underWay);
    },
  };
}

interface StreamInfo {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[];
  };
}

function open(cluster: Cluster): Promise<NatsConnection> {
  return connect({ servers: cluster.nats.map(({ url }) => url), timeout: 2_000 });
}

async function streamsOf(nc: NatsConnection): Promise<StreamInfo[]> {
  return Promise.all(
    ['EVENTS', 'COMMANDS'].map(async (stream) =>
      (
        await nc.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 2_000 })
      ).json<StreamInfo>(),
    ),
  );
}

/** The name of the server that leads the logs; undefined where one server is alone. */
export async function leaderOf(cluster: Cluster): Promise<string | undefined> {
  const ask = async (): Promise<StreamInfo[]> => {
    await using nc = await open(cluster);
    return await streamsOf(nc);
  };
  // During an election, or on a busy machine, there may be no answer in time.
  const [logs] = await until('an answer of who leads', () => ask().catch(() => undefined));
  return logs?.cluster?.leader;
}

/** Every server has everything: another one may be killed. */
export async function untilHealthy(cluster: Cluster): Promise<void> {
  if (cluster.nats.length === 1) return;
  const deadlineMs = performance.now() + HEALTHY_WITHIN_MS;
  while (performance.now() < deadlineMs) {
    try {
      await using nc = await open(cluster);
      const streams = await streamsOf(nc);
      const whole = streams.every(
        ({ cluster: group }) =>
          group?.leader !== undefined &&
          group.replicas?.length === 2 &&
          group.replicas.every(({ current, offline }) => current && offline !== true),
      );
      if (whole) return;
    } catch {
      // No leader yet: asked again.
    }
    await sleep(250);
  }
  throw new Error(`the NATS cluster was not whole again within ${HEALTHY_WITHIN_MS} ms`);
}
