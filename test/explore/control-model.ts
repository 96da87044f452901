// Control loops and sweeps between two decisions: mirrors src/worker/control-loop.ts,
// src/chat/log/carry-out.ts and src/worker/sweep.ts. The second in which a loop waits for the worker is
// not kept: it may act at any time, which is more than it does.
import { decideCancel, decideDelete } from '../../src/chat/decisions/decisions.ts';
import { overdueEnd } from '../../src/chat/decisions/deadlines.ts';
import type { LogTail } from '../../src/chat/ports/event-log.ts';
import { CLIENT_TOOL_TIMEOUT_MS } from '../../src/chat/limits.ts';
import { tombstoneMark } from '../../src/chat/decisions/marks.ts';
import type { End } from '../../src/chat/decisions/terminal.ts';
import type { ContinueDecision } from '../../src/chat/decisions/tool-decisions.ts';
import { decideContinue } from '../../src/chat/decisions/tool-decisions.ts';
import { appendSteps, forget, freshId, logViews, publishSteps, spend } from './jetstream.ts';
import type { Setup } from './setup.ts';
import type {
  CarryPhase,
  Emit,
  HeldJob,
  LoopState,
  Pending,
  Publication,
  StoredJob,
  StoredRecord,
  World,
} from './state.ts';
import { commandOf, held, isWork, nowMs, tailOf } from './values.ts';
import { endPending, withHand } from './worker-turn.ts';

const CANCELLED: End = { kind: 'cancelled', reason: '' };

export interface Carrying {
  readonly setup: Setup;
  readonly world: World;
  readonly emit: Emit;
  readonly who: string;
  readonly job: HeldJob;
  readonly phase: CarryPhase;
  readonly put: (world: World, phase: CarryPhase) => World;
  /** Rejected with LOG_UNAVAILABLE. */
  readonly fail: (world: World) => World;
}

/** One step of carryOutCancel or carryOutDelete. */
export function carrySteps(given: Carrying): void {
  const { setup, world, emit, who, job, phase, put } = given;
  switch (phase.at) {
    case 'read':
      return readSteps(given);
    case 'end':
      return carryAppend(given, phase.pending, 'end', (base) =>
        put(base, { at: job.verb === 'cancel' ? 'done' : 'read' }),
      );
    case 'bury':
      return carryAppend(given, phase.pending, 'bury', (base) => put(base, { at: 'read' }));
    case 'erase-log': {
      const log = world.log.filter(({ seq }) => seq >= phase.tombstone);
      emit(`${who} erases the log`, put({ ...world, log }, { at: 'erase-inbox' }));
      return;
    }
    case 'erase-inbox': {
      const commands = world.commands.filter(({ seq }) => seq >= job.seq);
      emit(`${who} erases the commands`, put({ ...world, commands }, { at: 'done' }));
      return;
    }
    case 'done':
      throw new Error(`${setup.name}: what is done has no step`);
  }
}

function readSteps(given: Carrying): void {
  const { setup, world, emit, who, job, put } = given;
  if (setup.broken === 'loopForgets' && job.verb === 'cancel') {
    emit(`${who} does not look at the log`, put(world, { at: 'done' }));
    return;
  }
  for (const { log, stale } of logViews(world)) {
    const base = stale ? spend(world, 'stale') : world;
    const saw = `${who} reads ${stale ? 'an old view of ' : ''}the log`;
    const go = (what: string, phase: CarryPhase): void => {
      emit(`${saw}: ${what}`, put(base, phase), { kind: stale ? 'fault' : 'step' });
    };
    const cancel = (what: string): void => {
      const pending = endPending(base, who, commandOf(world, job), log, CANCELLED);
      go(what, { at: 'end', pending });
    };
    const tail = tailOf(log);
    if (job.verb === 'cancel') {
      const decision = decideCancel(tail);
      if (decision.do === 'nothing') go('the chat is over', { at: 'done' });
      else cancel(decision.do === 'append' ? 'nobody holds the chat' : 'its worker has not acted');
      continue;
    }
    const decision = decideDelete(tail);
    if (decision.do === 'erase') {
      const { tombstone } = decision;
      if (setup.broken === 'ackUnerased') go('it is buried', { at: 'done' });
      else go('it is buried', { at: 'erase-log', tombstone });
    } else if (decision.do === 'tombstone' && tail !== undefined) {
      go('the chat is over', { at: 'bury', pending: tombstonePending(base, who, log) });
    } else {
      cancel(decision.do === 'cancel' ? 'nobody holds the chat' : 'its worker has not acted');
    }
  }
}

/** What appendTombstone appends. */
function tombstonePending(world: World, who: string, log: readonly StoredRecord[]): Pending {
  const tail = tailOf(log);
  if (tail === undefined) throw new Error('a tombstone needs a chat');
  const { mark } = tail.status;
  const buried = tombstoneMark(tail);
  return {
    draft: {
      id: freshId(world, who),
      writer: '',
      mark: buried,
      first: buried.firstSequence,
      last: buried.lastSequence,
    },
    view: {
      expectedLast: tail.last.storeSequence,
      afterSequence: tail.lastSequence,
      attempt: mark.attempt,
      owner: mark.owner,
    },
    phase: 'send',
    doubt: false,
  };
}

function carryAppend(
  given: Carrying,
  pending: Pending,
  at: 'end' | 'bury',
  stored: (world: World) => World,
): void {
  const { setup, world, emit, who, put, fail } = given;
  appendSteps(setup, world, emit, {
    who,
    pending,
    at: (base, pending) => put(base, { at, pending }),
    stored,
    moved: (base) => put(base, { at: 'read' }),
    unavailable: fail,
  });
}

export function loopSteps(setup: Setup, world: World, index: number, emit: Emit): void {
  const loop = world.loops[index];
  if (loop === undefined) return;
  const who = `loop ${index}`;
  if (loop.held === undefined) {
    for (const command of world.commands) {
      if (command.hand !== 'ready' || isWork(command.verb)) continue;
      const next = { job: held(command), phase: { at: 'read' } } as const;
      const out = withHand(world, command.seq, 'out');
      emit(`${who} is handed the ${command.verb}`, withLoop(out, index, { held: next }));
    }
    return;
  }
  const { job, phase } = loop.held;
  if (phase.at === 'done') {
    const acked = withHand(world, job.seq, 'acked');
    emit(`${who} acknowledges the ${job.verb}`, withLoop(acked, index, { held: undefined }));
  } else {
    carrySteps({
      setup,
      world,
      emit,
      who,
      job,
      phase,
      put: (base, phase) => withLoop(base, index, { held: { job, phase } }),
      fail: (base) => withLoop(base, index, { held: undefined }),
    });
  }
  if (world.left.crash > 0) {
    const dead = withLoop(spend(world, 'crash'), index, { held: undefined });
    emit(`${who} dies`, forget(dead, carriedId(phase)), { kind: 'fault' });
  }
}

export function carriedId(phase: CarryPhase): string {
  return phase.at === 'end' || phase.at === 'bury' ? phase.pending.draft.id : '';
}

/** Mirrors endOverdue and continueOverdue. Its list may be wrong in either direction, so it may look at any time. */
export function sweepSteps(setup: Setup, world: World, index: number, emit: Emit): void {
  const sweep = world.sweeps[index];
  if (sweep === undefined) return;
  const who = `sweep ${index}`;
  const put = (base: World, pending: Pending | undefined): World => {
    return { ...base, sweeps: base.sweeps.with(index, { pending, publish: undefined }) };
  };
  const idle = (base: World): World => put(base, undefined);
  if (sweep.publish !== undefined) {
    publishSteps(setup, world, emit, {
      who,
      ...sweep.publish,
      stored: idle,
      refused: idle,
      doubt: idle,
    });
    return;
  }
  if (sweep.pending !== undefined) {
    appendSteps(setup, world, emit, {
      who,
      pending: sweep.pending,
      at: put,
      stored: idle,
      moved: idle,
      unavailable: idle,
    });
    return;
  }
  const start = world.commands.find(({ verb }) => verb === 'start');
  if (start === undefined) return;
  const command = commandOf(world, held(start));
  for (const { log, stale } of logViews(world)) {
    const base = stale ? spend(world, 'stale') : world;
    const tail = tailOf(log);
    const kind = stale ? 'fault' : 'step';
    const next = nextContinue(setup, base, log, base.commands.at(-1));
    if (next.do === 'publish' && setup.broken !== 'noContinue') {
      const publish = continueOf(setup, base, who, next);
      const sweeps = base.sweeps.with(index, { pending: undefined, publish });
      emit(`${who} finds results without a continue`, { ...base, sweeps }, { kind });
    }
    const end = overdueEnd(command.meta, overdueTail(setup, tail), nowMs(setup, world));
    if (end === undefined) continue;
    const pending = endPending(base, who, command, log, end);
    emit(`${who} finds the chat past its time`, put(base, pending), { kind });
  }
}

/** The real decision, but where it is broken on purpose. */
export function nextContinue(
  setup: Setup,
  world: World,
  log: readonly StoredRecord[],
  newest: StoredJob | undefined,
): ContinueDecision {
  if (newest === undefined) return { do: 'nothing' };
  const seen = setup.broken === 'blindContinue' ? { ...newest, results: 0 } : newest;
  return decideContinue(tailOf(log), commandOf(world, held(seen)));
}

/** What continueChat in src/chat/log/continue-chat.ts publishes. */
export function continueOf(
  setup: Setup,
  world: World,
  who: string,
  { results, expectedLast }: Extract<ContinueDecision, { readonly do: 'publish' }>,
): Publication {
  const atMs = nowMs(setup, world);
  return { job: { verb: 'continue', id: who, request: 0, results, atMs }, expectedLast };
}

/** Results count for nothing where that is broken on purpose. */
function overdueTail(setup: Setup, tail: LogTail | undefined): LogTail | undefined {
  if (setup.broken !== 'lateDeadline' || tail?.status.mark.kind !== 'results') return tail;
  const { mark } = tail.status;
  const deadlineMs = mark.waitingSinceMs + CLIENT_TOOL_TIMEOUT_MS;
  const waits = { ...mark, kind: 'wait', deadlineMs } as const;
  return { ...tail, status: { ...tail.status, mark: waits } };
}

function withLoop(world: World, index: number, loop: LoopState): World {
  return { ...world, loops: world.loops.with(index, loop) };
}
