// The laws as they can be seen in one state, or at the moment when something is stored. Law numbers as
// in docs/ARCHITECTURE.md.
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { COMMANDS_MAX_AGE_MS, DEFAULT_TTL_MS } from '../../src/chat/limits.ts';
import { isOver, isTerminal } from '../../src/chat/decisions/status.ts';
import type { GivenResult } from '../../src/chat/decisions/tool-decisions.ts';
import type { Setup } from './setup.ts';
import type { Draft, HeldJob, Job, World } from './state.ts';
import { askedIn, finishedSteps, isWork, nowMs, tailOf } from './values.ts';

/** Which law it breaks that this record is stored now. */
export function brokenByRecord(setup: Setup, world: World, draft: Draft): string | undefined {
  const tail = tailOf(world.log);
  const kind = draft.mark?.kind ?? 'delta';
  const before = tail?.status.mark;
  if (world.deleteAnswered) return `law 8: a record (${kind}) after a delete was answered`;
  if (before?.kind === 'tombstone') return `law 8: a record (${kind}) after the tombstone`;
  const over = before !== undefined && isOver(before);
  if (kind === 'tombstone') {
    return over ? undefined : 'law 5: a tombstone on a chat without its terminal event';
  }
  if (over) return `law 5: a record (${kind}) after the terminal event`;
  const lastSequence = tail?.lastSequence ?? 0;
  if (draft.last >= draft.first && draft.first !== lastSequence + 1) {
    return `law 4: sequence ${draft.first} follows ${lastSequence}`;
  }
  if (draft.answers !== undefined) return brokenByAnswers(world, draft.answers);
  if (kind === 'claim' && draft.tool === undefined) return brokenByClaim(setup, world, draft);
  if (draft.writer !== '') {
    const mark = draft.mark ?? before;
    const owns = before?.kind === 'claim' && draft.writer.startsWith(`${before.owner}/`);
    if (!owns || mark?.attempt !== before.attempt || runAttempt(draft) !== before.attempt) {
      return `law 2: a record (${kind}) by a run that does not own the chat`;
    }
  }
  const exhausted = draft.writer === '' && draft.mark?.status === ChatStreamStatus.ERROR;
  if (exhausted && before !== undefined && world.losses < setup.maxAttempts) {
    return `law 7: ended for its lost attempts, of which there were ${world.losses}`;
  }
  const timedOut = draft.writer === '' && draft.mark?.status === ChatStreamStatus.FAILED;
  if (timedOut && before?.kind === 'results' && !isExpired(setup, world)) {
    return 'law 9: a deadline ends a chat whose client’s results were acknowledged in time';
  }
  return undefined;
}

/** A call of a client tool has one result, and it comes while the chat waits for it. */
function brokenByAnswers(world: World, answers: readonly GivenResult[]): string | undefined {
  if (tailOf(world.log)?.status.mark.kind !== 'wait') {
    return 'law 2: a result is stored in a chat that does not wait';
  }
  const asked = new Map(askedIn(world.log).map((call) => [call.id, call]));
  for (const { id } of answers) {
    const call = asked.get(id);
    if (call === undefined) return 'law 2: a result is stored that nobody asked for';
    if (call.answer !== undefined) return 'law 2: a second result for one call';
  }
  return undefined;
}

/** Attempts are counted from the records themselves, not from what their marks say of it. */
function brokenByClaim(setup: Setup, world: World, draft: Draft): string | undefined {
  const { mark } = draft;
  const marked = (log: World['log'], kind: string): number =>
    log.filter((record) => record.mark?.kind === kind && record.tool === undefined).length;
  const claims = marked(world.log, 'claim');
  const attempt = mark?.attempt;
  if (attempt !== claims + 1) return `law 2: attempt ${attempt} after ${claims} claims`;
  const before = tailOf(world.log)?.status.mark;
  if (before?.kind === 'wait') return 'law 2: a claim of a chat that waits for its client’s tools';
  const results = world.log.findLast((record) => record.mark?.kind === 'results')?.seq ?? 0;
  if (mark?.results !== results)
    return 'law 2: a claim that goes on from other results than the last';
  if (before !== undefined && before.command > mark.command) {
    return 'law 2: a claim by an older command than the last';
  }
  const finished = ({ asks, tool }: Draft): boolean => asks !== undefined || tool !== undefined;
  const step = world.log.slice(world.log.findLastIndex(finished) + 1);
  // The run that finished the last step was the first to try the next one.
  const first = world.log.findLast(finished)?.tool === undefined ? 0 : 1;
  const tries = first + marked(step, 'claim') - marked(step, 'hand-back');
  if (tries < setup.maxAttempts) return undefined;
  return `law 7: one more attempt after ${setup.maxAttempts} were lost`;
}

function runAttempt(draft: Draft): number {
  return Number(draft.writer.slice(draft.writer.indexOf('/') + 1));
}

/** Which law it breaks that this command is stored now. */
export function brokenByCommand(world: World, job: Job): string | undefined {
  if (world.commands.some(({ verb }) => verb === 'delete')) {
    return `law 8: a ${job.verb} after the delete command`;
  }
  const started = world.commands.some(({ verb }) => verb === 'start');
  if (job.verb === 'continue') {
    const names = ({ verb, results }: Job): boolean => {
      return verb === 'continue' && results === job.results;
    };
    if (world.commands.some(names)) return 'law 2: a second continue for one results record';
    const named = world.log.find(({ seq }) => seq === job.results);
    if (named?.mark?.kind !== 'results') return 'law 2: a continue that names no results record';
  }
  if (job.verb !== 'start') return started ? undefined : `law 8: a ${job.verb} without a chat`;
  if (started || world.commands.length > 0) return 'law 1: a second chat under one id';
  if (world.log.length > 0) return 'law 1: a chat on the log of an earlier one, which never runs';
  return undefined;
}

/** Which law an acknowledgement or a hand-back by a run breaks that was refused by the fence. */
export function brokenByWord(
  setup: Setup,
  world: World,
  what: 'ack' | 'nak',
  job: HeldJob,
): string | undefined {
  if (isVoid(setup, world, job)) return undefined;
  const article = what === 'ack' ? 'an' : 'a';
  return `law 7: a run that the fence refused sends ${article} ${what}`;
}

/** Which law does not hold in this state. */
export function brokenState(setup: Setup, world: World): string | undefined {
  const mark = tailOf(world.log)?.status.mark;
  const over = mark !== undefined && isOver(mark);
  for (const command of world.commands) {
    if (command.hand !== 'acked') continue;
    if (isWork(command.verb) && !isVoid(setup, world, command)) {
      return `law 7: the ${command.verb} is acknowledged and the chat not over: it is lost`;
    }
    if (command.verb === 'cancel' && !over) {
      return 'law 8: a cancel is acknowledged and the chat not over';
    }
    if (command.verb === 'delete' && !isErased(world, command.seq)) {
      return 'law 8: a delete is acknowledged and content left';
    }
  }
  for (const [i, { phase }] of world.calls.entries()) {
    if (phase.at !== 'over') continue;
    const { answer } = phase;
    if (typeof answer === 'object' && isTerminal(answer.status) && mark?.status !== answer.status) {
      return `law 8: status ${answer.status} was answered, the log says ${mark?.status ?? 'nothing'}`;
    }
    if (answer === 'accepted' && mark?.kind !== 'tombstone') {
      const results = setup.calls[i]?.results ?? [];
      const asked = new Map(askedIn(world.log).map((call) => [call.id, call.answer]));
      if (results.some(({ id, answer }) => asked.get(id) !== answer)) {
        return 'law 7: a result was acknowledged, and the log does not have it';
      }
    }
    if (answer === 'created' && !over && !hasStart(world) && !isPast(setup, world)) {
      return 'law 1: a chat was accepted, and there is neither its start nor its end';
    }
  }
  const created = world.calls.filter(
    ({ phase }) => phase.at === 'over' && phase.answer === 'created',
  );
  if (created.length > 1 && setup.momentsMs.length === 1) return 'law 1: two calls made one chat';
  return undefined;
}

/**
 * Which law a run breaks that asks the model for this turn. One that another has taken the chat from, and
 * that does not know it yet, may still make the call that it was about to make.
 */
export function brokenByTurn(world: World, turn: number, attempt: number): string | undefined {
  if (turn > finishedSteps(world.log)) return undefined;
  if (tailOf(world.log)?.status.mark.attempt !== attempt) return undefined;
  return 'law 7: the model is asked for a step that is finished';
}

/** Which law a run breaks that makes the call of its turn now. */
export function brokenByCall(world: World): string | undefined {
  return world.made > 0 ? 'law 7: a call that must not be repeated is made twice' : undefined;
}

/** Nothing is left to do for this command: the chat is over, or the step that it was for is finished. */
function isVoid(setup: Setup, world: World, { results }: Pick<Job, 'results'>): boolean {
  const mark = tailOf(world.log)?.status.mark;
  if (mark !== undefined && isOver(mark)) return true;
  if (world.log.some(({ asks, seq }) => asks !== undefined && seq > results)) return true;
  return isExpired(setup, world);
}

function isExpired(setup: Setup, world: World): boolean {
  const start = world.commands.find(({ verb }) => verb === 'start');
  return start === undefined || start.atMs + DEFAULT_TTL_MS <= nowMs(setup, world);
}

function isErased(world: World, deleteSeq: number): boolean {
  const [only, ...more] = world.log;
  const buried = only?.mark?.kind === 'tombstone' && more.length === 0;
  return buried && world.commands.every(({ seq }) => seq >= deleteSeq);
}

function hasStart(world: World): boolean {
  return world.commands.some(({ verb }) => verb === 'start');
}

/** Retention may have taken the chat. */
function isPast(setup: Setup, world: World): boolean {
  return (setup.momentsMs[world.moment] ?? 0) >= COMMANDS_MAX_AGE_MS;
}

/** The end that must stay in reach: over, or the client's turn, and nothing outstanding. */
export function isAtRest(world: World): boolean {
  if (world.flights.length > 0) return false;
  if (world.workers.some(({ run, stopping }) => run !== undefined || stopping)) return false;
  if (world.loops.some(({ held }) => held !== undefined)) return false;
  if (world.sweeps.some(({ pending, publish }) => pending !== undefined || publish !== undefined))
    return false;
  if (world.calls.some(({ phase }) => phase.at !== 'new' && phase.at !== 'over')) return false;
  if (world.commands.some(({ hand }) => hand !== 'acked')) return false;
  const mark = tailOf(world.log)?.status.mark;
  if (mark !== undefined) return isOver(mark) || mark.kind === 'wait';
  return !hasStart(world);
}
