// The abstract JetStream: what is stored under a fence, what is in flight, who was handed what. And
// the settled append over it, which mirrors appendSettled in src/chat/log/append.ts step by step.
import { readRefusal } from '../../src/chat/decisions/decisions.ts';
import { brokenByCommand, brokenByRecord } from './laws.ts';
import type { Setup } from './setup.ts';
import type { Draft, Emit, Flight, Job, Pending, StoredRecord, World } from './state.ts';
import { appendIdOf, fenceOf, nowMs, tailOf } from './values.ts';

interface Landed {
  readonly world: World;
  readonly seq: number;
  readonly broke: string | undefined;
}

/** Undefined: refused by the fence. */
function landRecord(
  setup: Setup,
  world: World,
  draft: Draft,
  expectedLast: number,
): Landed | undefined {
  if (setup.broken !== 'nofence' && fenceOf(world.log) !== expectedLast) return undefined;
  const seq = world.logSeq + 1;
  const stored: StoredRecord = { ...draft, seq, atMs: nowMs(setup, world) };
  const log = [...world.log, stored];
  return {
    world: {
      ...world,
      log,
      logSeq: seq,
      // Attempts are counted since the last finished step.
      losses: draft.asks === undefined && draft.tool === undefined ? world.losses : 0,
      flights: world.flights.filter(canLand(setup, 'log', seq)),
    },
    seq,
    broke: brokenByRecord(setup, world, draft),
  };
}

function landCommand(
  setup: Setup,
  world: World,
  job: Job,
  expectedLast: number,
): Landed | undefined {
  if (fenceOf(world.commands) !== expectedLast) return undefined;
  const seq = world.commandSeq + 1;
  const commands = [...world.commands, { ...job, seq, hand: 'ready' as const, handed: 0 as const }];
  const flights = world.flights.filter(canLand(setup, 'inbox', seq));
  return {
    world: { ...world, commands, commandSeq: seq, flights },
    seq,
    broke: brokenByCommand(world, job),
  };
}

/** A fence never goes back: what was sent under an older one will be refused whenever it arrives. */
function canLand(setup: Setup, to: Flight['to'], fence: number): (flight: Flight) => boolean {
  return (flight) =>
    flight.to !== to || flight.expectedLast === fence || setup.broken === 'nofence';
}

/** What is in flight lands or is lost. */
export function networkSteps(setup: Setup, world: World, emit: Emit): void {
  for (const flight of world.flights) {
    const without = { ...world, flights: world.flights.filter((each) => each !== flight) };
    const what = flight.to === 'log' ? nameOf(flight.draft) : flight.job.verb;
    const landed =
      flight.to === 'log'
        ? landRecord(setup, without, flight.draft, flight.expectedLast)
        : landCommand(setup, without, flight.job, flight.expectedLast);
    if (landed !== undefined) {
      emit(`a late publish lands: ${what}`, landed.world, { broke: landed.broke });
    }
    emit(`a late publish is lost: ${what}`, without);
  }
}

/** Views of the log that a reading may give: the leader's, and older ones while faults are left. */
export function logViews(
  world: World,
): readonly { readonly log: readonly StoredRecord[]; readonly stale: boolean }[] {
  const views: { log: readonly StoredRecord[]; stale: boolean }[] = [
    { log: world.log, stale: false },
  ];
  if (world.left.stale === 0) return views;
  for (let back = 1; back <= 2 && back <= world.log.length; back++) {
    views.push({ log: world.log.slice(0, -back), stale: true });
  }
  return views;
}

export function spend(world: World, fault: keyof World['left']): World {
  return { ...world, left: { ...world.left, [fault]: world.left[fault] - 1 } };
}

/** An id that nothing else in this state has. */
export function freshId(world: World, who: string): string {
  const taken = (id: string): boolean =>
    world.log.some((record) => record.id === id) ||
    world.flights.some((flight) => flight.to === 'log' && flight.draft.id === id);
  let id = who;
  while (taken(id)) id += '′';
  return id;
}

/** Who was in doubt about an append is gone, or knows. */
export function forget(world: World, id: string): World {
  const inFlight = world.flights.some((flight) => flight.to === 'log' && flight.draft.id === id);
  if (inFlight || !world.log.some((record) => record.id === id)) return world;
  const log = world.log.map((record) => (record.id === id ? { ...record, id: '' } : record));
  return { ...world, log };
}

export interface Appending {
  readonly who: string;
  readonly pending: Pending;
  /** The actor at this step of its append. */
  readonly at: (world: World, pending: Pending) => World;
  readonly stored: (world: World, seq: number) => World;
  readonly moved: (world: World) => World;
  /** Given up: the log was away for too long. */
  readonly unavailable: (world: World) => World;
}

/** One step of appendSettled: the append, or the reading that settles a refusal or a doubt. */
export function appendSteps(setup: Setup, world: World, emit: Emit, given: Appending): void {
  if (given.pending.phase === 'send') sendSteps(setup, world, emit, given);
  else settleSteps(setup, world, emit, given);
}

function sendSteps(setup: Setup, world: World, emit: Emit, given: Appending): void {
  const { who, pending } = given;
  const { draft, view } = pending;
  const { expectedLast } = view;
  const name = nameOf(draft);
  const settle = (doubt: boolean): Pending => ({ ...pending, phase: 'settle', doubt });
  const landed = landRecord(setup, world, draft, expectedLast);
  if (landed === undefined) {
    emit(`${who} appends ${name}: refused`, given.at(world, settle(false)));
  } else {
    const { broke } = landed;
    const after = given.stored(forget(landed.world, draft.id), landed.seq);
    emit(`${who} appends ${name}: stored as ${landed.seq}`, after, { broke });
  }
  if (world.left.timeout === 0) return;
  if (landed !== undefined) {
    const after = given.at(spend(landed.world, 'timeout'), settle(true));
    const { broke } = landed;
    emit(`${who} appends ${name}: no answer, but stored`, after, { kind: 'fault', broke });
  }
  const flight: Flight = { to: 'log', draft, expectedLast };
  const late = { ...spend(world, 'timeout'), flights: [...world.flights, flight] };
  emit(`${who} appends ${name}: no answer, still in flight`, given.at(late, settle(true)), {
    kind: 'fault',
  });
}

function settleSteps(setup: Setup, world: World, emit: Emit, given: Appending): void {
  const { who, pending } = given;
  const { draft, view } = pending;
  const name = nameOf(draft);
  const done = (next: World): World => forget(next, draft.id);
  for (const { log, stale } of logViews(world)) {
    const base = stale ? spend(world, 'stale') : world;
    const more = stale ? ({ kind: 'fault' } as const) : {};
    const saw = `${who} reads ${stale ? 'an old view of the log' : 'the log'} about ${name}`;
    const meaning = breakMeaning(
      setup,
      world,
      pending,
      readRefusal({ ...view, appendId: appendIdOf(draft) }, tailOf(log)),
    );
    switch (meaning.means) {
      case 'stored':
        emit(`${saw}: it is there`, given.stored(done(base), meaning.storeSequence), more);
        break;
      case 'moved':
        emit(`${saw}: the chat has moved on`, given.moved(done(base)), more);
        break;
      case 'again': {
        const { expectedLast } = meaning;
        const next: Pending = { ...pending, phase: 'send', view: { ...view, expectedLast } };
        emit(`${saw}: the same again`, given.at(base, next), more);
      }
    }
  }
  if (world.left.giveUp > 0) {
    emit(`${who} gives up ${name} unsettled`, given.unavailable(done(spend(world, 'giveUp'))), {
      kind: 'fault',
    });
  }
}

/** The real meaning, but where it is broken on purpose. */
function breakMeaning(
  setup: Setup,
  world: World,
  { draft, doubt }: Pending,
  real: ReturnType<typeof readRefusal>,
): ReturnType<typeof readRefusal> {
  const again = { means: 'again', expectedLast: fenceOf(world.log) } as const;
  if (setup.broken === 'forgetDoubt' && doubt) return again;
  if (setup.broken === 'staleClaim' && draft.mark?.kind === 'claim' && !doubt) return again;
  const own = world.log.find((record) => record.id === draft.id);
  if (setup.broken === 'ownAnywhere' && own !== undefined) {
    return { means: 'stored', storeSequence: fenceOf(world.log) };
  }
  return real;
}

export interface Publishing {
  readonly who: string;
  readonly job: Job;
  readonly expectedLast: number;
  readonly stored: (world: World, seq: number) => World;
  readonly refused: (world: World) => World;
  readonly doubt: (world: World) => World;
}

/** One conditional publish to COMMANDS, as CommandInbox.publish does it. */
export function publishSteps(setup: Setup, world: World, emit: Emit, given: Publishing): void {
  const { who, job, expectedLast } = given;
  const landed = landCommand(setup, world, job, expectedLast);
  if (landed === undefined) {
    emit(`${who} publishes its ${job.verb}: refused`, given.refused(world));
  } else {
    const { broke } = landed;
    const after = given.stored(landed.world, landed.seq);
    emit(`${who} publishes its ${job.verb}: stored as ${landed.seq}`, after, { broke });
  }
  if (world.left.timeout === 0) return;
  const spent = spend(world, 'timeout');
  if (landed !== undefined) {
    const after = given.doubt(spend(landed.world, 'timeout'));
    const { broke } = landed;
    emit(`${who} publishes its ${job.verb}: no answer, but stored`, after, {
      kind: 'fault',
      broke,
    });
  }
  const flights: readonly Flight[] = [...world.flights, { to: 'inbox', job, expectedLast }];
  emit(
    `${who} publishes its ${job.verb}: no answer, still in flight`,
    given.doubt({ ...spent, flights }),
    {
      kind: 'fault',
    },
  );
}

export function nameOf({ mark }: Draft): string {
  if (mark === undefined) return 'a delta';
  if (mark.kind === 'claim') return `claim ${mark.attempt}`;
  return mark.kind === 'end' ? `an end (status ${mark.status})` : `a ${mark.kind}`;
}
