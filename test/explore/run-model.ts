// A run between its claim and its last record: mirrors runChat in src/worker/run.ts, LogWriter's
// #append in src/worker/log/log-writer.ts and `conclude` in src/worker/worker.ts.
import { runTimeout, toolDeadlineMs } from '../../src/chat/decisions/deadlines.ts';
import { RUN_TIMEOUT_MS } from '../../src/chat/limits.ts';
import type { MarkChange } from '../../src/chat/decisions/marks.ts';
import {
  changedMark,
  runEnds,
  runHandsBack,
  runSteps as runFinishesStep,
  runWaits,
} from '../../src/chat/decisions/marks.ts';
import type { End } from '../../src/chat/decisions/terminal.ts';
import { appendSteps, freshId } from './jetstream.ts';
import { brokenByCall, brokenByTurn } from './laws.ts';
import { toolUseId } from './setup.ts';
import type { Pending, RunPhase, World, Writer } from './state.ts';
import { nowMs } from './values.ts';
import type { At, Turn } from './worker-turn.ts';
import { letGo, put, withLoss } from './worker-turn.ts';

const COMPLETED: End = { kind: 'completed', stopReason: 1 };

const CANCELLED: End = { kind: 'cancelled', reason: '' };

/** Mirrors runChat: what the run does next of itself, or because it was told to stop. */
export function runSteps(turn: Turn, writer: Writer): void {
  const { setup, world, run, emit, who } = turn;
  // Only a continue has to look for the request; a deleted chat's is erased.
  const gone = run.job.verb === 'continue' && !world.commands.some(({ verb }) => verb === 'start');
  if (gone) {
    emit(`${who} finds no start to its continue: lets go`, letGo(turn));
    return;
  }
  const asked = brokenByTurn(world, writer.turn, writer.claim.attempt);
  if (asked !== undefined && run.abort === 'no' && writer.tool === 'none') {
    emit(`${who} asks the model for turn ${writer.turn}`, world, { broke: asked });
    return;
  }
  const go = (what: string, next: At<'write'>['next'], pending: Pending): void => {
    const phase: RunPhase = { at: 'write', pending, next, writer };
    emit(`${who} ${what}`, put(turn, { phase }));
  };
  const end = (what: string, end: End): void => {
    go(what, 'run-end', ownPending(turn, writer, 1, runEnds(writer.claim, end)));
  };
  switch (run.abort) {
    case 'no':
      if (writer.tool !== 'none') toolSteps(turn, writer);
      else if (writer.said < setup.deltas) {
        go('has something to say', 'delta', ownPending(turn, writer, 1, undefined));
      } else if (writer.turn <= setup.tools) {
        go('has a call of a tool of ours', 'tool', toolPending(turn, writer, 'called'));
      } else if (writer.turn <= setup.tools + setup.waits) {
        go('has calls of client tools', 'wait', waitPending(turn, writer));
      } else end('has its answer', COMPLETED);
      return;
    case 'cancelled':
      return end('stops its call', CANCELLED);
    case 'run-timeout':
      return end('stops its call', runTimeout(RUN_TIMEOUT_MS));
    case 'hand-back': {
      const change = runHandsBack(writer.claim);
      const counted =
        setup.broken === 'countHandBacks' ? { ...change, tries: change.tries + 1 } : change;
      go('stops its call', 'hand-back', ownPending(turn, writer, 0, counted));
    }
  }
}

/** Mirrors runTools in src/worker/tools/run-tools.ts, for one call that must not be made twice. */
function toolSteps(turn: Turn, writer: Writer): void {
  const { setup, world, emit, who } = turn;
  const { broken } = setup;
  const go = (what: string, step: 'begun' | 'result'): void => {
    const pending = toolPending(turn, writer, step);
    emit(`${who} ${what}`, put(turn, { phase: { at: 'write', pending, next: 'tool', writer } }));
  };
  const make = (): void => {
    const made = { ...writer, tool: 'made' as const };
    const base = { ...world, made: Math.min(world.made + 1, 2) };
    emit(`${who} makes the call`, put(turn, { phase: { at: 'run', writer: made } }, base), {
      broke: brokenByCall(world),
    });
  };
  switch (writer.tool) {
    case 'called':
      return broken === 'callUnsaid' ? make() : go('is about to make the call', 'begun');
    case 'begun':
      return make();
    case 'unknown':
      return broken === 'repeatCalls' ? make() : go('says that the fate is not known', 'result');
    default:
      return go('has the result', 'result');
  }
}

/** Mirrors LogWriter's step. */
function toolPending(
  turn: Turn,
  writer: Writer,
  tool: NonNullable<Pending['draft']['tool']>,
): Pending {
  const pending = ownPending(turn, writer, 1, runFinishesStep(writer.claim));
  return { ...pending, draft: { ...pending.draft, tool } };
}

/** Mirrors LogWriter's wait. */
function waitPending(turn: Turn, writer: Writer): Pending {
  const { setup, world } = turn;
  const now = nowMs(setup, world);
  const { expiresAtMs } = writer.claim;
  const change = runWaits(writer.claim, now, toolDeadlineMs(expiresAtMs, now));
  const asks = Array.from({ length: setup.asks }, (_, call) => toolUseId(writer.turn, call));
  const pending = ownPending(turn, writer, 1, change);
  return { ...pending, draft: { ...pending.draft, asks } };
}

/** What LogWriter's #append sends. */
function ownPending(
  turn: Turn,
  writer: Writer,
  events: number,
  change: MarkChange | undefined,
): Pending {
  const { claim, runId, sequence } = writer;
  const first = sequence + 1;
  const last = sequence + events;
  const range = { firstSequence: first, lastSequence: last };
  const mark = change === undefined ? undefined : changedMark(claim, change, range);
  return {
    draft: { id: freshId(turn.world, turn.who), writer: runId, mark, first, last },
    view: {
      expectedLast: writer.storeSequence,
      afterSequence: sequence,
      attempt: claim.attempt,
      owner: claim.owner,
    },
    phase: 'send',
    doubt: false,
  };
}

/** Mirrors LogWriter's #append and, for its last record, `conclude`. */
export function writeSteps(turn: Turn, { pending, next, writer }: At<'write'>): void {
  const { setup, world, emit, who } = turn;
  const { broken } = setup;
  const lost = (base: World): World => {
    if (broken === 'refusedAcks') return sayRefused(turn, 'ack', base);
    if (broken === 'nakRefused' && next === 'hand-back') return sayRefused(turn, 'nak', base);
    return letGo(turn, base);
  };
  appendSteps(setup, world, emit, {
    who,
    pending,
    at: (base, pending) => put(turn, { phase: { at: 'write', pending, next, writer } }, base),
    stored: (base, storeSequence) => {
      if (next === 'run-end' || next === 'wait')
        return put(turn, { phase: { at: 'say', what: 'ack' } }, base);
      if (next === 'hand-back') return put(turn, { phase: { at: 'say', what: 'nak' } }, base);
      const { last: sequence, mark, tool } = pending.draft;
      if (mark !== undefined && tool !== undefined) {
        const over = tool === 'result';
        const next: Writer = {
          ...writer,
          claim: mark,
          storeSequence,
          sequence,
          said: 0,
          turn: over ? writer.turn + 1 : writer.turn,
          tool: over ? 'none' : tool,
        };
        return put(turn, { phase: { at: 'run', writer: next } }, base);
      }
      const after = { ...writer, storeSequence, sequence, said: writer.said + 1 };
      return put(turn, { phase: { at: 'run', writer: after } }, base);
    },
    moved: lost,
    unavailable: (base) => lost(withLoss(setup, base)),
  });
}

export function sayRefused(turn: Turn, what: 'ack' | 'nak', base: World): World {
  return put(turn, { refused: true, phase: { at: 'say', what } }, base);
}
