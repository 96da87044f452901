// The walk: breadth first over every state that a setup can come to, with the laws held against each,
// and backwards from the states of rest to see that from every state an end can be reached.
import { COMMANDS_MAX_AGE_MS, EVENTS_MAX_AGE_MS } from '../../src/chat/limits.ts';
import { isOver } from '../../src/chat/decisions/status.ts';
import { callSteps } from './call-model.ts';
import { loopSteps, sweepSteps } from './control-model.ts';
import { networkSteps, spend } from './jetstream.ts';
import { brokenState, isAtRest } from './laws.ts';
import type { Setup } from './setup.ts';
import { stateKeys } from './state-key.ts';
import type { Emit, Step, World } from './state.ts';
import { nowMs, tailOf } from './values.ts';
import { workerSteps } from './worker-model.ts';
import { withHand } from './worker-turn.ts';

export interface Finding {
  readonly law: string;
  /** The shortest way there, step by step. */
  readonly trace: readonly string[];
}

export interface Exploration {
  readonly states: number;
  readonly steps: number;
  /** Not all states were seen: the bound came first. */
  readonly capped: boolean;
  readonly findings: readonly Finding[];
}

export function explore(setup: Setup, maxStates: number): Exploration {
  const keyOf = stateKeys();
  const ids = new Map<string, number>();
  const worlds: (World | undefined)[] = [];
  const cameFrom: number[] = [];
  const cameBy: number[] = [];
  const labels = new Map<string, number>();
  const edges = new Edges();
  const resting: number[] = [];
  const findings = new Map<string, Finding>();
  let steps = 0;

  const add = (world: World, from: number, label: string): number => {
    const key = keyOf(world);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = worlds.length;
    ids.set(key, id);
    worlds.push(world);
    cameFrom.push(from);
    let by = labels.get(label);
    if (by === undefined) labels.set(label, (by = labels.size));
    cameBy.push(by);
    if (isAtRest(world)) resting.push(id);
    const law = brokenState(setup, world);
    if (law !== undefined) report(law, id);
    return id;
  };
  const names = (): readonly string[] => [...labels.keys()];
  const traceTo = (id: number, last?: string): string[] => {
    const all = names();
    const trace = last === undefined ? [] : [last];
    for (let at = id; at > 0; at = cameFrom[at] ?? 0) trace.push(all[cameBy[at] ?? 0] ?? '');
    return trace.toReversed();
  };
  const report = (law: string, id: number, last?: string): void => {
    if (!findings.has(law)) findings.set(law, { law, trace: traceTo(id, last) });
  };

  add(firstWorld(setup), -1, '');
  let head = 0;
  for (; head < worlds.length && worlds.length < maxStates; head++) {
    const world = worlds[head];
    if (world === undefined) continue;
    worlds[head] = undefined;
    for (const step of stepsOf(setup, world)) {
      steps++;
      // Past a broken law nothing more is to be learned.
      if (step.broke !== undefined) report(step.broke, head, step.label);
      else {
        const to = add(step.world, head, step.label);
        if (step.kind === 'step') edges.add(head, to);
      }
    }
    if (setup.broken !== undefined && findings.size > 0) break;
  }
  const capped = head < worlds.length;
  if (!capped) {
    const stuck = edges.firstThatCannotReach(resting, worlds.length);
    if (stuck !== undefined) report('law 7: from here no end can be reached', stuck);
  }
  return { states: worlds.length, steps, capped, findings: [...findings.values()] };
}

function firstWorld(setup: Setup): World {
  const times = <T>(count: number, value: T): readonly T[] => Array<T>(count).fill(value);
  return {
    moment: 0,
    commands: [],
    commandSeq: 0,
    log: [],
    logSeq: 0,
    flights: [],
    workers: times(setup.workers, { epoch: 0, stopping: false, run: undefined }),
    loops: times(setup.loops, { held: undefined }),
    sweeps: times(setup.sweeps, { pending: undefined, publish: undefined }),
    calls: setup.calls.map(() => ({ phase: { at: 'new' }, afterDelete: false })),
    left: setup.faults,
    losses: 0,
    deleteAnswered: false,
    made: 0,
  };
}

function stepsOf(setup: Setup, world: World): readonly Step[] {
  const steps: Step[] = [];
  const emit: Emit = (label, next, { kind = 'step', broke } = {}) => {
    steps.push({ world: next, label, kind, broke });
  };
  for (let i = 0; i < setup.calls.length; i++) callSteps(setup, world, i, emit);
  for (let i = 0; i < setup.workers; i++) workerSteps(setup, world, i, emit);
  for (let i = 0; i < setup.loops; i++) loopSteps(setup, world, i, emit);
  for (let i = 0; i < setup.sweeps; i++) sweepSteps(setup, world, i, emit);
  networkSteps(setup, world, emit);
  consumerSteps(setup, world, emit);
  timeSteps(setup, world, emit);
  return steps;
}

/** What the server does with commands that were handed out, or acknowledged. */
function consumerSteps(setup: Setup, world: World, emit: Emit): void {
  for (const { seq, verb, hand } of world.commands) {
    if (hand === 'out') {
      const holders = [
        ...world.workers.map(({ run }) => run?.job),
        ...world.loops.map((l) => l.held?.job),
      ];
      if (!holders.some((job) => job?.seq === seq)) {
        emit(`the ack wait of the ${verb} is over`, withHand(world, seq, 'ready'));
      } else if (world.left.redeliver > 0) {
        const ready = withHand(spend(world, 'redeliver'), seq, 'ready');
        emit(`the ack wait of the ${verb} is over though it is held`, ready, { kind: 'fault' });
      }
    } else if (hand === 'acked' && world.left.ackLost > 0) {
      const back = withHand(spend(world, 'ackLost'), seq, 'ready', 0);
      emit(`the server forgets that the ${verb} was acknowledged`, back, { kind: 'fault' });
    }
  }
}

/** Time passes; what is past its retention goes. Nothing sleeps through days. */
function timeSteps(setup: Setup, world: World, emit: Emit): void {
  const moment = world.moment + 1;
  const afterMs = setup.momentsMs[moment];
  if (afterMs === undefined) return;
  const ms = nowMs(setup, { moment });
  const commands = world.commands.filter(({ atMs }) => atMs + COMMANDS_MAX_AGE_MS > ms);
  const log = world.log.filter(({ atMs }) => atMs + EVENTS_MAX_AGE_MS > ms);
  const goes = commands.length < world.commands.length || log.length < world.log.length;
  if (goes && !isQuiet(world)) return;
  emit(
    `it is ${afterMs / 3_600_000} h later`,
    { ...world, moment, commands, log },
    { kind: 'outside' },
  );
}

function isQuiet(world: World): boolean {
  const mark = tailOf(world.log)?.status.mark;
  const busy =
    world.flights.length > 0 ||
    world.workers.some(({ run }) => run !== undefined) ||
    world.calls.some(({ phase }) => phase.at !== 'new' && phase.at !== 'over');
  return !busy && mark !== undefined && isOver(mark);
}

/** Steps by which a state is left of itself, for the way back from the states of rest. */
class Edges {
  #from = new Int32Array(1 << 16);
  #to = new Int32Array(1 << 16);
  #count = 0;

  add(from: number, to: number): void {
    if (this.#count === this.#from.length) {
      this.#from = grown(this.#from);
      this.#to = grown(this.#to);
    }
    this.#from[this.#count] = from;
    this.#to[this.#count++] = to;
  }

  firstThatCannotReach(goals: readonly number[], states: number): number | undefined {
    const starts = new Int32Array(states + 1);
    for (let i = 0; i < this.#count; i++) starts[(this.#to[i] ?? 0) + 1]! += 1;
    for (let i = 0; i < states; i++) starts[i + 1]! += starts[i] ?? 0;
    const place = starts.slice();
    const before = new Int32Array(this.#count);
    for (let i = 0; i < this.#count; i++) {
      before[place[this.#to[i] ?? 0]!++] = this.#from[i] ?? 0;
    }
    const reaches = new Uint8Array(states);
    const open = [...goals];
    for (const goal of goals) reaches[goal] = 1;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (let i = starts[at] ?? 0; i < (starts[at + 1] ?? 0); i++) {
        const from = before[i] ?? 0;
        if (reaches[from] === 1) continue;
        reaches[from] = 1;
        open.push(from);
      }
    }
    const stuck = reaches.indexOf(0);
    return stuck === -1 ? undefined : stuck;
  }
}

function grown(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
