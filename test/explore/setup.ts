// What an exploration is given: actors, calls, faults, and which law is broken on purpose.
import {
  COMMANDS_MAX_AGE_MS,
  DEFAULT_TTL_MS,
  EVENTS_MAX_AGE_MS,
  MAX_ATTEMPTS,
  START_DEADLINE_MS,
} from '../../src/chat/limits.ts';
import type { GivenResult } from '../../src/chat/decisions/tool-decisions.ts';
import type { Faults } from './state.ts';

export interface CallSetup {
  readonly verb: 'initiate' | 'cancel' | 'delete' | 'get' | 'submit';
  /** submit: what is brought. */
  readonly results?: readonly GivenResult[];
  /** initiate: which request. */
  readonly request?: number;
  /** Begins when this call (by its place) has been answered. */
  readonly after?: number;
  /** Begins at this moment or later. */
  readonly from?: number;
}

/** What may be broken on purpose, and what is wrong then. */
export const BREAKS = {
  nofence: 'appends are unconditional',
  earlyAck: 'a worker acknowledges when it has claimed',
  refusedAcks: 'who was refused by the fence acknowledges all the same',
  nakRefused: 'a worker whose hand-back was refused hands the command back all the same',
  staleClaim: 'a refused claim goes out again under the new fence without a new decision',
  forgetDoubt: 'a publish in doubt counts as not stored and goes out again under the new fence',
  ownAnywhere: 'one’s own append in the log counts as success though others’ follow it',
  deleteEarly: 'a delete is answered when its command is stored',
  ackUnerased: 'a delete is acknowledged with the tombstone, before the rest is erased',
  loopForgets: 'a control loop acknowledges a cancel without a look at the log',
  startBlind: 'a start does not look at the log before it is published',
  forgetDelete: 'a delete in doubt does not know its own command when it lands late',
  countHandBacks: 'a clean hand-back counts as a lost attempt',
  startAfterWait: 'a start that comes again after a wait is claimed',
  oldContinue: 'a continue that comes again after the next wait is claimed',
  dropUnseen: 'a worker whose view lacks the results of its continue drops it',
  blindContinue: 'a continue is published without a look for one that is there',
  anyAnswer: 'a result for a call is taken without a look at the one that is there',
  answerEarly: 'results are acknowledged before they are stored',
  lateDeadline: 'a deadline ends a chat whose results are all there',
  forgetSteps: 'a run asks the model for a step that is finished',
  repeatCalls: 'a call that a lost run had begun is made again',
  callUnsaid: 'a call is made before the log says that it is begun',
  noContinue: 'the sweep does not publish the continue that a dead call left out',
} as const;
export type Break = keyof typeof BREAKS;

export interface Setup {
  readonly name: string;
  readonly workers: number;
  readonly loops: number;
  readonly sweeps: number;
  /** Deltas that each attempt says before its end. */
  readonly deltas: number;
  /** Turns in which the model calls client tools before it ends. */
  readonly waits: number;
  /** Calls in each of them. */
  readonly asks: number;
  /** Turns before those in which it calls a tool of ours that must not be called twice. */
  readonly tools: number;
  readonly maxAttempts: number;
  /** The times that a world may come to. */
  readonly momentsMs: readonly number[];
  readonly calls: readonly CallSetup[];
  readonly faults: Faults;
  readonly broken: Break | undefined;
}

const NO_FAULTS: Faults = {
  crash: 0,
  redeliver: 0,
  ackLost: 0,
  timeout: 0,
  stale: 0,
  deaf: 0,
  handBack: 0,
  giveUp: 0,
};

type Given = Partial<Omit<Setup, 'name' | 'faults' | 'broken'>> & {
  readonly faults?: Partial<Faults>;
};

function setup(name: string, given: Given): Setup {
  return {
    name,
    workers: 2,
    loops: 0,
    sweeps: 0,
    deltas: 0,
    waits: 0,
    asks: 1,
    tools: 0,
    maxAttempts: MAX_ATTEMPTS,
    momentsMs: [0],
    calls: [START],
    ...given,
    faults: { ...NO_FAULTS, ...given.faults },
    broken: undefined,
  };
}

const START: CallSetup = { verb: 'initiate', request: 1 };
const SAME: CallSetup = START;
const OTHER: CallSetup = { verb: 'initiate', request: 2 };
const CANCEL: CallSetup = { verb: 'cancel' };
const DELETE: CallSetup = { verb: 'delete' };
const GET: CallSetup = { verb: 'get' };

/** A result of the first call of a turn; `value` tells it from others. */
function submit(turn: number, value = 1, call = 0): CallSetup {
  return { verb: 'submit', results: [{ id: toolUseId(turn, call), answer: `${value}` }] };
}

export function toolUseId(turn: number, call: number): string {
  return `${turn}.${call}`;
}

const LATE_MS = START_DEADLINE_MS;
const EXPIRED_MS = DEFAULT_TTL_MS;
const LIFE_MS = [0, LATE_MS, EXPIRED_MS];

/** Small ones: all of them are explored by default, in about a minute. */
export const SMALL: readonly Setup[] = [
  setup('tiny', { faults: { crash: 1 } }),
  setup('starts', { workers: 1, calls: [START, OTHER], faults: { timeout: 1, crash: 1 } }),
  setup('repeat', { workers: 1, calls: [START, SAME], faults: { timeout: 2 } }),
  setup('run', { deltas: 1, faults: { crash: 1, redeliver: 1, timeout: 1, deaf: 1 } }),
  setup('acks', { faults: { ackLost: 2, redeliver: 1, crash: 1, stale: 1 } }),
  setup('drain', { deltas: 1, faults: { handBack: 1, redeliver: 1, crash: 1, deaf: 1 } }),
  setup('attempts', { workers: 1, faults: { crash: 3, handBack: 1 } }),
  setup('asks', { faults: { redeliver: 3 } }),
  setup('stale', { deltas: 1, faults: { stale: 2, crash: 1 } }),
  setup('away', { faults: { timeout: 2, giveUp: 1 } }),
  setup('cancel', { loops: 2, deltas: 1, calls: [START, CANCEL], faults: { crash: 1 } }),
  setup('cancels', { loops: 1, workers: 1, calls: [START, CANCEL, CANCEL] }),
  setup('doubt', { loops: 1, workers: 1, calls: [START, CANCEL], faults: { timeout: 2 } }),
  setup('delete', { loops: 1, workers: 1, calls: [START, DELETE], faults: { crash: 1 } }),
  setup('deleteDoubt', { loops: 1, workers: 1, calls: [START, DELETE], faults: { timeout: 1 } }),
  setup('deletes', { loops: 1, workers: 1, calls: [START, DELETE, DELETE] }),
  setup('both', { loops: 1, workers: 1, calls: [START, CANCEL, DELETE] }),
  setup('again', {
    loops: 1,
    workers: 1,
    calls: [START, DELETE, { ...SAME, after: 1 }, { ...GET, after: 1 }],
  }),
  setup('late', { sweeps: 2, momentsMs: LIFE_MS, faults: { crash: 1 } }),
  setup('expiry', {
    sweeps: 1,
    workers: 1,
    loops: 1,
    momentsMs: [0, EXPIRED_MS, COMMANDS_MAX_AGE_MS, EVENTS_MAX_AGE_MS],
    calls: [START, { ...SAME, from: 2 }],
    faults: { crash: 1 },
  }),
  setup('tool', { tools: 1, faults: { crash: 2 } }),
  setup('toolTwice', { tools: 1, faults: { crash: 1, redeliver: 1, deaf: 1 } }),
  setup('toolDrain', { tools: 1, workers: 1, faults: { handBack: 2, crash: 1 } }),
  setup('toolStale', { tools: 1, faults: { stale: 1, crash: 1, ackLost: 1 } }),
  setup('toolCancel', {
    tools: 1,
    workers: 1,
    loops: 1,
    calls: [START, CANCEL],
    faults: { crash: 1 },
  }),
  setup('toolWait', {
    tools: 1,
    waits: 1,
    workers: 1,
    sweeps: 1,
    calls: [START, submit(2)],
    faults: { crash: 1, ackLost: 1 },
  }),
  setup('wait', { waits: 1, sweeps: 1, calls: [START, submit(1)], faults: { crash: 1 } }),
  setup('waitAgain', {
    waits: 1,
    sweeps: 1,
    calls: [START, submit(1)],
    faults: { ackLost: 1 },
  }),
  setup('waitTwice', {
    waits: 1,
    sweeps: 1,
    calls: [START, submit(1)],
    faults: { redeliver: 1 },
  }),
  setup('submits', {
    waits: 1,
    workers: 1,
    sweeps: 1,
    calls: [START, submit(1, 1), submit(1, 2)],
    faults: { timeout: 1 },
  }),
  setup('parts', {
    waits: 1,
    asks: 2,
    workers: 1,
    sweeps: 1,
    calls: [START, submit(1), submit(1, 1, 1), submit(1, 2)],
  }),
  setup('rounds', {
    waits: 2,
    workers: 1,
    sweeps: 1,
    calls: [START, submit(1), submit(2)],
    faults: { ackLost: 1 },
  }),
  setup('waitStale', { waits: 1, sweeps: 1, calls: [START, submit(1)], faults: { stale: 2 } }),
  setup('sweeps', {
    waits: 1,
    workers: 1,
    sweeps: 2,
    calls: [START, submit(1)],
    faults: { crash: 1, timeout: 1 },
  }),
  setup('waitCancel', {
    waits: 1,
    workers: 1,
    loops: 1,
    sweeps: 1,
    calls: [START, submit(1), CANCEL],
  }),
  setup('waitDelete', {
    waits: 1,
    workers: 1,
    loops: 1,
    sweeps: 1,
    calls: [START, submit(1), DELETE],
  }),
  setup('deadline', {
    waits: 1,
    workers: 1,
    sweeps: 1,
    momentsMs: LIFE_MS,
    calls: [START, submit(1)],
    faults: { crash: 1 },
  }),
];

/** Larger ones, two of everything, explored when asked for: minutes, and gigabytes, each. */
export const LARGE: readonly Setup[] = [
  setup('run2', { deltas: 1, faults: { crash: 2, redeliver: 1, timeout: 1, deaf: 1, ackLost: 1 } }),
  setup('drain2', {
    deltas: 1,
    faults: { handBack: 2, redeliver: 1, crash: 1, deaf: 1, timeout: 1 },
  }),
  setup('cancel2', {
    loops: 2,
    deltas: 1,
    calls: [START, CANCEL],
    faults: { crash: 1, redeliver: 1, timeout: 1, deaf: 1 },
  }),
  setup('delete2', {
    loops: 2,
    calls: [START, DELETE],
    faults: { crash: 1, redeliver: 1, deaf: 1 },
  }),
  setup('cancels2', {
    loops: 1,
    workers: 1,
    calls: [START, CANCEL, CANCEL],
    faults: { timeout: 1 },
  }),
  setup('doubt1', {
    loops: 1,
    workers: 1,
    calls: [START, DELETE],
    faults: { crash: 1, timeout: 1 },
  }),
  setup('deletes2', { loops: 1, workers: 1, calls: [START, DELETE, DELETE], faults: { crash: 1 } }),
  setup('doubt2', { loops: 2, calls: [START, DELETE], faults: { timeout: 2 } }),
  setup('stale2', { loops: 2, calls: [START, DELETE], faults: { stale: 2, crash: 1 } }),
  setup('all2', {
    loops: 2,
    sweeps: 1,
    momentsMs: LIFE_MS,
    calls: [START, CANCEL, DELETE, { ...SAME, after: 2 }],
    faults: { crash: 1 },
  }),
  setup('toolTwice2', { tools: 1, faults: { crash: 1, redeliver: 1, timeout: 1, deaf: 1 } }),
  setup('toolCancel2', { tools: 1, loops: 1, calls: [START, CANCEL], faults: { crash: 1 } }),
  setup('wait2', {
    waits: 1,
    sweeps: 1,
    calls: [START, submit(1)],
    faults: { crash: 1, redeliver: 1 },
  }),
  setup('submits2', {
    waits: 1,
    workers: 1,
    sweeps: 2,
    calls: [START, submit(1, 1), submit(1, 2)],
    faults: { crash: 1 },
  }),
  setup('rounds2', {
    waits: 2,
    workers: 1,
    sweeps: 1,
    calls: [START, submit(1), submit(2)],
    faults: { ackLost: 1, crash: 1 },
  }),
  setup('waitDoubt', { waits: 1, sweeps: 1, calls: [START, submit(1)], faults: { timeout: 2 } }),
  setup('waitCancel2', {
    waits: 1,
    workers: 1,
    loops: 1,
    sweeps: 1,
    calls: [START, submit(1), CANCEL],
    faults: { crash: 1 },
  }),
  setup('waitDelete2', {
    waits: 1,
    workers: 1,
    loops: 1,
    sweeps: 1,
    calls: [START, submit(1), DELETE],
    faults: { redeliver: 1 },
  }),
  setup('deadline2', {
    waits: 1,
    workers: 1,
    sweeps: 2,
    momentsMs: LIFE_MS,
    calls: [START, submit(1)],
    faults: { crash: 1 },
  }),
];
