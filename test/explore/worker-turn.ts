// What the steps of a worker share: whose turn it is, and the worlds that come of a change to one
// worker or one command.
import { endMark } from '../../src/chat/decisions/marks.ts';
import type { End } from '../../src/chat/decisions/terminal.ts';
import { freshId } from './jetstream.ts';
import type { Setup } from './setup.ts';
import type { Emit, Pending, Run, RunPhase, StoredRecord, WorkerState, World } from './state.ts';
import { tailOf } from './values.ts';

export type At<P extends RunPhase['at']> = Extract<RunPhase, { readonly at: P }>;

export interface Turn {
  readonly setup: Setup;
  readonly world: World;
  readonly index: number;
  readonly worker: WorkerState;
  readonly run: Run;
  readonly emit: Emit;
  readonly who: string;
}

export function put({ world, index, worker, run }: Turn, next: Partial<Run>, base = world): World {
  return withWorker(base, index, { ...worker, run: { ...run, ...next } });
}

export function letGo({ world, index, worker }: Turn, base = world): World {
  return withWorker(base, index, { ...worker, run: undefined });
}

export function withWorker(world: World, index: number, worker: WorkerState): World {
  return { ...world, workers: world.workers.with(index, worker) };
}

/** A command that is not there any more is answered for in vain. */
export function withHand(
  world: World,
  seq: number,
  hand: 'ready' | 'out' | 'acked',
  handed?: 0 | 1 | 2,
): World {
  const index = world.commands.findIndex((command) => command.seq === seq);
  const command = world.commands[index];
  if (command === undefined) return world;
  const next = { ...command, hand, handed: handed ?? command.handed };
  return { ...world, commands: world.commands.with(index, next) };
}

/** More than end a chat are not told apart. */
export function withLoss(setup: Setup, world: World): World {
  return { ...world, losses: Math.min(world.losses + 1, setup.maxAttempts) };
}

export function ownerOf({ index, worker }: Turn): string {
  return ownerName(index, worker);
}

export function ownerName(index: number, { epoch }: WorkerState): string {
  return `worker ${index}.${epoch}`;
}

export function pendingOf(run: Run): Pending | undefined {
  const { phase } = run;
  return phase.at === 'append' || phase.at === 'write' ? phase.pending : undefined;
}

/** What endChat in src/chat/log/end-chat.ts appends. */
export function endPending(
  world: World,
  who: string,
  life: Parameters<typeof endMark>[0],
  log: readonly StoredRecord[],
  end: End,
): Pending {
  const tail = tailOf(log);
  const mark = endMark(life, tail, end);
  const { attempt, owner, firstSequence: first, lastSequence: last } = mark;
  return {
    draft: { id: freshId(world, who), writer: '', mark, first, last },
    view: {
      expectedLast: tail?.last.storeSequence ?? 0,
      afterSequence: first - 1,
      attempt,
      owner,
    },
    phase: 'send',
    doubt: false,
  };
}
