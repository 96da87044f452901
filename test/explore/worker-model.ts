// Workers between two decisions, up to the claim and after the last record: mirrors startWorker in
// src/worker/worker.ts. What is decided is decided by the real functions.
import type { Command } from '../../src/chat/ports/commands.ts';
import type { ClaimDecision, Takeover } from '../../src/chat/decisions/decisions.ts';
import { claimsUnread, decideClaim, stillOwns } from '../../src/chat/decisions/decisions.ts';
import { runDueMs } from '../../src/chat/decisions/deadlines.ts';
import type { LogTail } from '../../src/chat/ports/event-log.ts';
import { claimMark } from '../../src/worker/log/claim.ts';
import { appendSteps, forget, freshId, logViews, nameOf, spend } from './jetstream.ts';
import { brokenByWord } from './laws.ts';
import { runSteps, sayRefused, writeSteps } from './run-model.ts';
import type { Setup } from './setup.ts';
import type {
  Emit,
  Pending,
  Run,
  RunPhase,
  StoredRecord,
  WorkerState,
  World,
  Writer,
} from './state.ts';
import {
  commandOf,
  finishedSteps,
  held,
  isWork,
  nowMs,
  openTool,
  recordOf,
  runIdOf,
  tailOf,
} from './values.ts';
import type { At, Turn } from './worker-turn.ts';
import {
  endPending,
  letGo,
  ownerName,
  ownerOf,
  pendingOf,
  put,
  withHand,
  withLoss,
  withWorker,
} from './worker-turn.ts';

export function workerSteps(setup: Setup, world: World, index: number, emit: Emit): void {
  const worker = world.workers[index];
  if (worker === undefined) return;
  const { run } = worker;
  if (run === undefined) takeSteps(world, index, worker, emit);
  else {
    outsideSteps(setup, world, index, worker, run, emit);
    phaseSteps({ setup, world, index, worker, run, emit, who: `worker ${index}` });
  }
}

/** Mirrors `take` for a worker without this chat, and the stop of one that has let go of it. */
function takeSteps(world: World, index: number, worker: WorkerState, emit: Emit): void {
  const who = `worker ${index}`;
  if (worker.stopping) {
    const next = { epoch: worker.epoch + 1, stopping: false, run: undefined };
    emit(`${who} has stopped; another is started`, withWorker(world, index, next));
    return;
  }
  for (const command of world.commands) {
    if (command.hand !== 'ready' || !isWork(command.verb)) continue;
    const handed = command.handed === 0 ? 1 : 2;
    const taken: Run = {
      job: held(command),
      handed,
      refused: false,
      abort: 'no',
      phase: { at: 'decide' },
    };
    const out = withHand(world, command.seq, 'out', handed);
    emit(`${who} is handed the ${command.verb}`, withWorker(out, index, { ...worker, run: taken }));
  }
}

/** What happens to a run in any phase: a new delivery, the bell, a stop, the clock, a renewal, death. */
function outsideSteps(
  setup: Setup,
  world: World,
  index: number,
  worker: WorkerState,
  run: Run,
  emit: Emit,
): void {
  const who = `worker ${index}`;
  const put = (next: Partial<Run>, base = world): World =>
    withWorker(base, index, { ...worker, run: { ...run, ...next } });
  const stored = world.commands.find(({ seq }) => seq === run.job.seq);
  if (stored?.hand === 'ready') {
    emit(`${who} adopts a new delivery`, put({ handed: 2 }, withHand(world, stored.seq, 'out', 2)));
  }
  // Mirrors takeOther: the claim that the run writes under names a newer command.
  const claimed = run.phase.at === 'run' || run.phase.at === 'write';
  for (const { seq, hand, verb } of world.commands) {
    if (!claimed || hand !== 'ready' || !isWork(verb) || seq >= run.job.seq) continue;
    emit(`${who} acknowledges the ${verb}, older than its own`, withHand(world, seq, 'acked', 2));
  }
  const stoppable =
    run.phase.at === 'decide' ||
    run.phase.at === 'ask' ||
    run.phase.at === 'run' ||
    (run.phase.at === 'append' && run.phase.next === 'claim') ||
    (run.phase.at === 'write' && (run.phase.next === 'delta' || run.phase.next === 'tool'));
  if (stoppable && run.abort === 'no') {
    if (world.commands.some(({ verb }) => !isWork(verb))) {
      emit(`${who} hears the bell`, put({ abort: 'cancelled' }));
    }
    if (world.left.handBack > 0) {
      const stop = { ...worker, stopping: true, run: { ...run, abort: 'hand-back' as const } };
      const stopped = withWorker(spend(world, 'handBack'), index, stop);
      emit(`${who} is told to stop`, stopped, { kind: 'fault' });
    }
    const { phase } = run;
    if (phase.at === 'run' || phase.at === 'write') {
      if (runDueMs(phase.writer.claim) <= nowMs(setup, world)) {
        emit(`${who} has run for too long`, put({ abort: 'run-timeout' }));
      }
    }
  }
  renewSteps(world, index, worker, run, emit);
  if (world.left.crash > 0) {
    const next = { epoch: worker.epoch + 1, stopping: false, run: undefined };
    const lost = withLoss(setup, spend(world, 'crash'));
    const dead = forget(withWorker(lost, index, next), pendingOf(run)?.draft.id ?? '');
    emit(`${who} dies`, dead, { kind: 'fault' });
    apartDies(index, worker, run, dead, emit);
  }
}

/** Mirrors runApart in src/worker/apart.ts: only the process dies that ran the chat apart. */
function apartDies(index: number, worker: WorkerState, run: Run, dead: World, emit: Emit): void {
  const { phase } = run;
  const apart = phase.at === 'append' || phase.at === 'write' || phase.at === 'run';
  if (!apart || worker.stopping) return;
  const again: Run = { ...run, refused: true, phase: { at: 'decide' } };
  const next = { ...worker, epoch: worker.epoch + 1, run: again };
  const label = `worker ${index} sees the process die that ran the chat apart`;
  emit(label, withWorker(dead, index, next), { kind: 'fault' });
}

/** Mirrors `renew`: only what ends the run is a step. */
function renewSteps(world: World, index: number, worker: WorkerState, run: Run, emit: Emit): void {
  const { phase } = run;
  const goesOn = phase.at === 'write' && (phase.next === 'delta' || phase.next === 'tool');
  const writing = phase.at === 'run' || goesOn;
  if (!writing || run.abort !== 'no') return;
  for (const { log, stale } of logViews(world)) {
    const last = log.at(-1);
    if (stillOwns(phase.writer, last === undefined ? undefined : recordOf(last))) continue;
    const base = stale ? spend(world, 'stale') : world;
    const next = withWorker(base, index, { ...worker, run: undefined });
    const id = pendingOf(run)?.draft.id ?? '';
    emit(`worker ${index} renews its claim and sees another writer: stops`, forget(next, id), {
      kind: stale ? 'fault' : 'step',
    });
  }
}

function phaseSteps(turn: Turn): void {
  const { phase } = turn.run;
  switch (phase.at) {
    case 'decide':
      return decideSteps(turn);
    case 'ask':
      return askSteps(turn, phase);
    case 'append':
      return claimSteps(turn, phase);
    case 'write':
      return writeSteps(turn, phase);
    case 'run':
      return runSteps(turn, phase.writer);
    case 'say':
      return saySteps(turn, phase.what);
  }
}

/** Mirrors `decide`. */
function decideSteps(turn: Turn): void {
  const { setup, world, run, emit, who } = turn;
  const unread = claimsUnread(run.job.verb, run.handed, run.refused);
  const views = unread ? [{ log: [], stale: false }] : logViews(world);
  for (const { log, stale } of views) {
    const base = stale ? spend(world, 'stale') : world;
    const bounds = { nowMs: nowMs(setup, world), maxAttempts: setup.maxAttempts };
    const decision = decideBroken(setup, commandOf(world, run.job), tailOf(log), bounds);
    const how = unread ? 'does not read the log' : `reads ${stale ? 'an old view of ' : ''}the log`;
    const say = (what: string, phase: RunPhase): void => {
      emit(`${who} ${how}: ${what}`, put(turn, { phase }, base), {
        kind: stale ? 'fault' : 'step',
      });
    };
    // The same reading again: no other state.
    if (decision.do === 'read-again') continue;
    if (decision.do === 'drop') {
      say(`the command is void (${decision.why})`, { at: 'say', what: 'ack' });
    } else if (decision.do !== 'ask-owner') {
      const { pending, next } = takeoverOf(turn, decision, log);
      say(`makes ${nameOf(pending.draft)}`, { at: 'append', pending, next });
    } else {
      const { pending, next } = takeoverOf(turn, decision.otherwise, log);
      if (decision.owner === ownerOf(turn)) {
        say(`owns it and lost it: makes ${nameOf(pending.draft)}`, { at: 'append', pending, next });
      } else {
        const { owner } = decision;
        say(`has an owner, ${owner}`, { at: 'ask', owner, otherwise: pending, next });
      }
    }
  }
}

/** The real decision, but where it is broken on purpose. */
function decideBroken(
  setup: Setup,
  command: Command,
  tail: LogTail | undefined,
  bounds: Parameters<typeof decideClaim>[2],
): ClaimDecision {
  const real = decideClaim(command, tail, bounds);
  if (setup.broken === 'dropUnseen' && real.do === 'read-again') {
    return { do: 'drop', why: 'step-done' };
  }
  const claims = setup.broken === (command.verb === 'start' ? 'startAfterWait' : 'oldContinue');
  if (!claims || tail === undefined || real.do !== 'drop' || real.why !== 'step-done') return real;
  const mark = { ...tail.status.mark, kind: 'hand-back', results: 0 } as const;
  return decideClaim(command, { ...tail, status: { ...tail.status, mark } }, bounds);
}

/** What `claim`, or endChat in its place, will append. */
function takeoverOf(
  turn: Turn,
  takeover: Takeover,
  log: readonly StoredRecord[],
): { readonly pending: Pending; readonly next: 'claim' | 'end' } {
  const { setup, world, run } = turn;
  const command = commandOf(world, run.job);
  if (takeover.do === 'end') {
    return { pending: endPending(world, turn.who, command, log, takeover.end), next: 'end' };
  }
  const { claim } = takeover;
  const owner = ownerOf(turn);
  const mark = claimMark(command, claim, owner, nowMs(setup, world));
  const pending: Pending = {
    draft: {
      id: freshId(world, turn.who),
      writer: runIdOf(owner, claim.attempt),
      mark,
      first: claim.sequence,
      last: claim.sequence,
    },
    view: {
      expectedLast: claim.expectedLast,
      afterSequence: claim.sequence - 1,
      attempt: claim.attempt,
      owner,
    },
    phase: 'send',
    doubt: false,
  };
  return { pending, next: 'claim' };
}

/** Mirrors askOwner and answerAsOwner. */
function askSteps(turn: Turn, { owner, otherwise, next }: At<'ask'>): void {
  const { setup, world, run, emit, who } = turn;
  const holds = world.workers.some((other, index) => {
    return ownerName(index, other) === owner && other.run?.job.seq === run.job.seq;
  });
  const go: RunPhase = { at: 'append', pending: otherwise, next };
  if (!holds) {
    emit(`${who} asks the owner: no answer`, put(turn, { phase: go }));
    return;
  }
  if (run.refused) emit(`${who} asks the owner: a yes, and lets go`, letGo(turn));
  else emit(`${who} asks the owner: a yes`, put(turn, { phase: { at: 'say', what: 'nak' } }));
  if (world.left.deaf > 0) {
    const deaf = withLoss(setup, spend(world, 'deaf'));
    emit(`${who} asks the owner, which is too slow`, put(turn, { phase: go }, deaf), {
      kind: 'fault',
    });
  }
}

/** Mirrors `claim`, and the case 'end' of `decide`. */
function claimSteps(turn: Turn, { pending, next }: At<'append'>): void {
  const { setup, world, run, emit, who } = turn;
  const { mark, writer: runId, last } = pending.draft;
  appendSteps(setup, world, emit, {
    who,
    pending,
    at: (base, pending) => put(turn, { phase: { at: 'append', pending, next } }, base),
    stored: (base, storeSequence) => {
      if (next === 'end' || mark === undefined) {
        return put(turn, { phase: { at: 'say', what: 'ack' } }, base);
      }
      // Mirrors nextTurn in src/worker/turn.ts: what is finished is read from the log.
      const asked = setup.broken === 'forgetSteps' ? 1 : finishedSteps(base.log) + 1;
      const open = openTool(base.log);
      const tool = setup.broken === 'forgetSteps' ? 'none' : open === 'begun' ? 'unknown' : open;
      const turnAt = tool === 'none' ? asked : asked - 1;
      const writer: Writer = {
        claim: mark,
        runId,
        storeSequence,
        sequence: last,
        said: 0,
        turn: turnAt,
        tool,
      };
      const early = setup.broken === 'earlyAck' ? withHand(base, run.job.seq, 'acked') : base;
      // What was refused before this claim says nothing of what is sent after it.
      return put(turn, { refused: false, phase: { at: 'run', writer } }, early);
    },
    moved: (base) => {
      if (setup.broken === 'refusedAcks') return sayRefused(turn, 'ack', base);
      if (next === 'end') return letGo(turn, base);
      return put(turn, { refused: true, phase: { at: 'decide' } }, base);
    },
    unavailable: (base) => letGo(turn, withLoss(setup, base)),
  });
}

/** An acknowledgement or a hand-back; the server takes it from a superseded delivery too. */
function saySteps(turn: Turn, what: 'ack' | 'nak'): void {
  const { setup, world, run, emit, who } = turn;
  const stored = world.commands.find(({ seq }) => seq === run.job.seq);
  let after = world;
  if (what === 'ack') after = withHand(world, run.job.seq, 'acked');
  else if (stored?.hand === 'out') after = withHand(world, run.job.seq, 'ready');
  const broke = run.refused ? brokenByWord(setup, world, what, run.job) : undefined;
  emit(`${who} sends its ${what}`, letGo(turn, after), { broke });
}
