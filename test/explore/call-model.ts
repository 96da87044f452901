// Calls between two decisions: mirrors src/rpc/initiate-, cancel-, delete- and get-chat-stream.ts and
// readBoth in src/chat/log/read-chat.ts. The start is read together with what is read last.
import type { ChatAtLeader, ChatReading } from '../../src/chat/decisions/decisions.ts';
import {
  afterStartFailed,
  chatAt,
  decideCancel,
  decideDeleteCall,
  decideId,
  statusOf,
} from '../../src/chat/decisions/decisions.ts';
import { resultsMark } from '../../src/chat/decisions/marks.ts';
import type { End } from '../../src/chat/decisions/terminal.ts';
import { decideSubmit } from '../../src/chat/decisions/tool-decisions.ts';
import { carriedId, carrySteps, continueOf, nextContinue } from './control-model.ts';
import { appendSteps, forget, freshId, publishSteps, spend } from './jetstream.ts';
import type { CallSetup, Setup } from './setup.ts';
import type { Answer, CallPhase, CallState, Emit, Job, Pending, Reading, World } from './state.ts';
import { askedIn, commandOf, held, nowMs, requestHashOf, tailOf } from './values.ts';
import { endPending } from './worker-turn.ts';

type At<P extends CallPhase['at']> = Extract<CallPhase, { readonly at: P }>;

const CANCELLED: End = { kind: 'cancelled', reason: '' };
const UNREAD: Reading = { newest: undefined, log: undefined };

interface Turn {
  readonly setup: Setup;
  readonly world: World;
  readonly emit: Emit;
  readonly who: string;
  readonly index: number;
  readonly call: CallSetup;
  readonly state: CallState;
}

export function callSteps(setup: Setup, world: World, index: number, emit: Emit): void {
  const call = setup.calls[index];
  const state = world.calls[index];
  if (call === undefined || state === undefined) return;
  const who = `${call.verb} ${index}`;
  const turn: Turn = { setup, world, emit, who, index, call, state };
  const { phase } = state;
  switch (phase.at) {
    case 'new':
      return beginSteps(turn);
    case 'over':
      return;
    case 'read':
      readSteps(turn, phase);
      break;
    case 'publish':
      publish(turn, phase);
      break;
    case 'read-back':
      readBack(turn, phase);
      break;
    case 'end':
      cancelQueued(turn, phase);
      break;
    case 'submit':
      appendResults(turn, phase);
      break;
    case 'carry':
      carryDelete(turn, phase);
  }
  if (world.left.crash > 0) {
    const appends = phase.at === 'end' || phase.at === 'submit';
    const id = appends ? phase.pending.draft.id : '';
    const carried = phase.at === 'carry' ? carriedId(phase.phase) : id;
    const dead = answered(turn, 'nothing', spend(world, 'crash'));
    emit(`${who}: its process dies`, forget(dead, carried), { kind: 'fault' });
  }
}

function beginSteps(turn: Turn): void {
  const { setup, world, emit, who, call, state } = turn;
  if (call.after !== undefined && world.calls[call.after]?.phase.at !== 'over') return;
  if (world.moment < (call.from ?? 0)) return;
  // To answer NOT_FOUND to who comes before the chat shows nothing.
  if (call.verb !== 'initiate' && world.commandSeq === 0) return;
  if (call.verb === 'submit' && !isAsked(turn)) return;
  const job: Job = startJob(turn);
  const blind = setup.broken === 'startBlind' && call.verb === 'initiate';
  const phase: CallPhase = blind
    ? { at: 'publish', job, expectedLast: 0 }
    : { at: 'read', reading: UNREAD, next: 'decide' };
  const next = { ...state, phase, afterDelete: world.deleteAnswered };
  emit(`${who} is called`, withCall(turn, next), { kind: 'outside' });
}

/** Mirrors readBoth: two readings at once, answered in either order, each a step. */
function readSteps(turn: Turn, { reading, next }: At<'read'>): void {
  const { world, emit, who } = turn;
  const go = (what: string, now: Reading): void => {
    if (now.newest !== undefined && now.log !== undefined) {
      decide(turn, next, `${who} reads ${what}`, { newest: now.newest, log: now.log });
    } else {
      emit(`${who} reads ${what}`, inPhase(turn, { at: 'read', reading: now, next }));
    }
  };
  if (reading.newest === undefined) {
    const newest = world.commands.at(-1);
    go(`the newest command (${newest?.verb ?? 'none'})`, { ...reading, newest: newest ?? 'none' });
  }
  if (reading.log === undefined) {
    const log = world.log.length === 0 ? [] : withoutDeltas(world);
    go(`the log (${tailOf(log)?.status.mark.kind ?? 'empty'})`, { ...reading, log });
  }
}

/** Only what a tail tells, so that readings which tell the same are one. */
function withoutDeltas({ log }: World): World['log'] {
  const status = log.findLast(({ mark }) => mark !== undefined);
  return log.filter((record, i) => {
    const { asks, answers, tool } = record;
    const ofTools = asks !== undefined || answers !== undefined || tool !== undefined;
    return i === log.length - 1 || record === status || ofTools;
  });
}

/** Who brings what was not asked for yet is refused, which shows nothing. */
function isAsked({ world, call }: Turn): boolean {
  const asked = new Set(askedIn(world.log).map(({ id }) => id));
  return (call.results ?? []).every(({ id }) => asked.has(id));
}

interface Whole {
  readonly newest: NonNullable<Reading['newest']>;
  readonly log: World['log'];
}

function readingOf(world: World, { newest, log }: Whole): ChatReading {
  const tail = tailOf(log);
  const last = newest === 'none' ? undefined : commandOf(world, held(newest));
  if (last?.verb === 'start') return { newest: last, start: last, tail };
  if ((last === undefined && tail === undefined) || last?.verb === 'delete') {
    return { newest: last, start: undefined, tail };
  }
  const start = startOf(world);
  return { newest: last ?? start, start, tail };
}

function startOf(world: World): ReturnType<typeof commandOf> | undefined {
  const start = world.commands.find(({ verb }) => verb === 'start');
  return start === undefined ? undefined : commandOf(world, held(start));
}

/** What the call does with what it has read. */
function decide(turn: Turn, next: At<'read'>['next'], saw: string, whole: Whole): void {
  const { setup, world, call, emit } = turn;
  const reading = readingOf(world, whole);
  const now = nowMs(setup, world);
  if (call.verb === 'initiate') {
    const found = decideId(reading, [requestHashOf(call.request ?? 0)], now);
    if (found.is !== 'free') return say(turn, saw, found.is);
    const phase: CallPhase = { at: 'publish', job: startJob(turn), expectedLast: 0 };
    emit(`${saw}: the id is free`, inPhase(turn, phase));
    return;
  }
  if (call.verb === 'delete') return decideDelete(turn, saw, reading, now);
  if (next === 'continue') return decideToContinue(turn, saw, whole);
  const at = chatAt(reading, now);
  if (at === undefined) return say(turn, saw, 'not found');
  const status = statusOf(at.tail);
  if (call.verb === 'get') return say(turn, saw, 'seen');
  if (call.verb === 'submit') return decideResults(turn, saw, at, whole);
  if (next === 'answer') return say(turn, saw, { status });
  const decision = decideCancel(at.tail);
  switch (decision.do) {
    case 'nothing':
      return say(turn, saw, { status });
    case 'append': {
      const pending = endPending(world, turn.who, at.start, whole.log, CANCELLED);
      emit(`${saw}: nobody holds the chat`, inPhase(turn, { at: 'end', pending }));
      return;
    }
    case 'command':
      if (at.newest.verb !== 'cancel') return publishNext(turn, saw, 'cancel', at);
      emit(`${saw}: a cancel is there`, inPhase(turn, WAIT));
  }
}

/** Mirrors submitToolResults. */
function decideResults(turn: Turn, saw: string, at: ChatAtLeader, { log }: Whole): void {
  const { setup, world, call, who, emit } = turn;
  const asked = askedIn(log);
  const unseen = asked.map(({ id }) => ({ id, answer: undefined }));
  const seen = setup.broken === 'anyAnswer' ? unseen : asked;
  const given = call.results ?? [];
  const decision = decideSubmit(at.tail, seen, given, nowMs(setup, world));
  switch (decision.do) {
    case 'refuse':
      return say(turn, saw, 'refused');
    case 'answer':
      if (at.tail?.status.mark.kind !== 'results') return say(turn, saw, 'accepted');
      emit(`${saw}: all is there`, inPhase(turn, GO_ON));
      return;
    case 'append': {
      if (setup.broken === 'answerEarly') return say(turn, saw, 'accepted');
      if (at.tail === undefined) return;
      const mark = resultsMark(at.tail, decision.complete);
      const { attempt, owner, firstSequence: first, lastSequence: last } = mark;
      const answers = given.filter(({ id }) => decision.ids.includes(id));
      const pending: Pending = {
        draft: { id: freshId(world, who), writer: '', mark, first, last, answers },
        view: {
          expectedLast: at.tail.last.storeSequence,
          afterSequence: first - 1,
          attempt,
          owner,
        },
        phase: 'send',
        doubt: false,
      };
      emit(`${saw}: the chat waits for it`, inPhase(turn, { at: 'submit', pending }));
    }
  }
}

function appendResults(turn: Turn, { pending }: At<'submit'>): void {
  const { setup, world, emit, who } = turn;
  const look = (base: World): World => {
    return inPhase(turn, { at: 'read', reading: UNREAD, next: 'decide' }, base);
  };
  appendSteps(setup, world, emit, {
    who,
    pending,
    at: (base, pending) => inPhase(turn, { at: 'submit', pending }, base),
    stored: look,
    moved: look,
    unavailable: (base) => answered(turn, 'nothing', base),
  });
}

/** Mirrors continueChat; that it gives up is left to the crashes: the results are acknowledged all the same. */
const GO_ON: CallPhase = { at: 'read', reading: UNREAD, next: 'continue' };

function decideToContinue(turn: Turn, saw: string, { newest, log }: Whole): void {
  const { setup, world, who, emit } = turn;
  const next = nextContinue(setup, world, log, newest === 'none' ? undefined : newest);
  if (next.do === 'nothing') return say(turn, saw, 'accepted');
  const publish = continueOf(setup, world, who, next);
  emit(`${saw}: a continue is missing`, inPhase(turn, { at: 'publish', ...publish }));
}

/** Mirrors commandDelete. */
function decideDelete(turn: Turn, saw: string, reading: ChatReading, now: number): void {
  const { setup, world, who, emit } = turn;
  const own = setup.broken === 'forgetDelete' ? undefined : who;
  const next = decideDeleteCall(reading, own, now);
  switch (next.do) {
    case 'answer-not-found':
      return say(turn, saw, 'not found');
    case 'publish':
      return publishNext(turn, saw, 'delete', next.at);
    case 'carry-out': {
      const command = world.commands.find(({ seq }) => seq === next.command.sequence);
      if (command !== undefined) emit(`${saw}: its own is there`, carryOut(turn, command));
    }
  }
}

/** The wait for the end, which may last or not, and the reading that the answer rests on. */
const WAIT: CallPhase = { at: 'read', reading: UNREAD, next: 'answer' };

function publishNext(turn: Turn, saw: string, verb: 'cancel' | 'delete', at: ChatAtLeader): void {
  const { emit, who, setup, world } = turn;
  const job: Job = { verb, id: who, request: 0, results: 0, atMs: nowMs(setup, world) };
  const expectedLast = at.newest.sequence;
  emit(`${saw}: the chat is there`, inPhase(turn, { at: 'publish', job, expectedLast }));
}

function publish(turn: Turn, { job, expectedLast }: At<'publish'>): void {
  const { setup, world, emit, who, call } = turn;
  const readBack = (base: World, outcome: 'refused' | 'doubt'): World => {
    return inPhase(turn, { at: 'read-back', job, outcome }, base);
  };
  publishSteps(setup, world, emit, {
    who,
    job,
    expectedLast,
    stored: (base, seq) => {
      if (call.verb === 'initiate') return answered(turn, 'created', base);
      if (call.verb === 'submit') return answered(turn, 'accepted', base);
      if (call.verb === 'cancel') return inPhase(turn, WAIT, base);
      return carryOut(turn, { ...job, seq }, base);
    },
    refused: (base) => {
      if (call.verb === 'initiate') return readBack(base, 'refused');
      if (call.verb === 'submit') return inPhase(turn, GO_ON, base);
      return inPhase(turn, { at: 'read', reading: UNREAD, next: 'decide' }, base);
    },
    doubt: (base) => {
      if (call.verb === 'submit') return inPhase(turn, GO_ON, base);
      if (call.verb === 'initiate') return readBack(base, 'doubt');
      return inPhase(turn, { at: 'read', reading: UNREAD, next: 'decide' }, base);
    },
  });
}

/** What is there of a start that was not confirmed. */
function readBack(turn: Turn, { job, outcome }: At<'read-back'>): void {
  const { world, emit, who } = turn;
  const look: CallPhase = { at: 'read', reading: UNREAD, next: 'decide' };
  const next = afterStartFailed(outcome, startOf(world), job.id);
  const saw = `${who} reads the start back`;
  if (next === 'stored') say(turn, saw, 'created');
  else if (next === 'look') emit(`${saw}: looks who has the id`, inPhase(turn, look));
  else emit(`${saw}: again`, inPhase(turn, { at: 'publish', job, expectedLast: 0 }));
}

function carryOut(turn: Turn, job: Job & { readonly seq: number }, base = turn.world): World {
  if (turn.setup.broken === 'deleteEarly') return answered(turn, 'deleted', base);
  return inPhase(turn, { at: 'carry', job: held(job), phase: { at: 'read' } }, base);
}

function carryDelete(turn: Turn, { job, phase }: At<'carry'>): void {
  const { setup, world, emit, who } = turn;
  carrySteps({
    setup,
    world,
    emit,
    who,
    job,
    phase,
    put: (base, phase) => {
      if (phase.at === 'done') return answered(turn, 'deleted', base);
      return inPhase(turn, { at: 'carry', job, phase }, base);
    },
    fail: (base) => answered(turn, 'nothing', base),
  });
}

function cancelQueued(turn: Turn, { pending }: At<'end'>): void {
  const { setup, world, emit, who } = turn;
  const look = (base: World): World => {
    return inPhase(turn, { at: 'read', reading: UNREAD, next: 'decide' }, base);
  };
  appendSteps(setup, world, emit, {
    who,
    pending,
    at: (base, pending) => inPhase(turn, { at: 'end', pending }, base),
    stored: look,
    moved: look,
    unavailable: (base) => answered(turn, 'nothing', base),
  });
}

function startJob({ setup, world, call, who }: Turn): Job {
  const request = call.request ?? 0;
  return { verb: 'start', id: who, request, results: 0, atMs: nowMs(setup, world) };
}

function say(turn: Turn, saw: string, answer: Answer): void {
  const text = typeof answer === 'string' ? answer : `status ${answer.status}`;
  turn.emit(`${saw}: answers ${text}`, answered(turn, answer), {
    broke: brokenByAnswer(turn, answer),
  });
}

/** What a caller may not be told. */
function brokenByAnswer(turn: Turn, answer: Answer): string | undefined {
  const { state, world, who, call, setup } = turn;
  const own = world.commands.find(({ id }) => id.startsWith(who));
  if (call.verb === 'delete' && answer === 'not found' && own?.verb === 'delete') {
    return 'law 8: a delete is answered NOT_FOUND because of its own command';
  }
  const gone = answer === 'not found' || answer === 'retired' || answer === 'refused';
  const kept = setup.momentsMs.length === 1;
  if (state.afterDelete && kept && !gone && answer !== 'nothing') {
    return 'law 8: a chat that was deleted before the call is there, or its id is free';
  }
  return undefined;
}

function answered(turn: Turn, answer: Answer, base = turn.world): World {
  const next = inPhase(turn, { at: 'over', answer }, base);
  return answer === 'deleted' ? { ...next, deleteAnswered: true } : next;
}

function inPhase(turn: Turn, phase: CallPhase, base = turn.world): World {
  return withCall(turn, { ...turn.state, phase }, base);
}

function withCall({ index, world }: Turn, state: CallState, base = world): World {
  return { ...base, calls: base.calls.with(index, state) };
}
