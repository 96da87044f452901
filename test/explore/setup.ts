// What an exploration is given: actors, calls, faults, and which law is broken on purpose.
import {
  COMMANDS_MAX_AGE_MS,
  DEFAULT_TTL_MS,
  EVENTS_MAX_AGE_MS,
  MAX_ATTEMPTS,
  START_DEADLINE_MS,
} from '../../src/chat/limits.ts';
import type { Faults } from './state.ts';

export interface CallSetup {
  readonly verb: 'initiate' | 'cancel' | 'delete' | 'get';
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
} as const;
export type Break = keyof typeof BREAKS;

export interface Setup {
  readonly name: string;
  readonly workers: number;
  readonly loops: number;
  readonly sweeps: number;
  /** Deltas that each attempt says before its end. */
  readonly deltas: number;
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
];
