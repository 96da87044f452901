// The laws as they can be seen in one state, or at the moment when something is stored. Law numbers as
// in docs/ARCHITECTURE.md.
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { COMMANDS_MAX_AGE_MS, DEFAULT_TTL_MS } from '../../src/chat/limits.ts';
import { isOver, isTerminal } from '../../src/chat/status.ts';
import type { Setup } from './setup.ts';
import type { Draft, Job, World } from './state.ts';
import { nowMs, tailOf } from './values.ts';

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
  if (kind === 'claim') return brokenByClaim(setup, world, draft);
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
  return undefined;
}

/** Attempts are counted from the records themselves, not from what their marks say of it. */
function brokenByClaim(setup: Setup, world: World, draft: Draft): string | undefined {
  const marked = (kind: string): number =>
    world.log.filter(({ mark }) => mark?.kind === kind).length;
  const claims = marked('claim');
  const attempt = draft.mark?.attempt;
  if (attempt !== claims + 1) return `law 2: attempt ${attempt} after ${claims} claims`;
  if (claims - marked('hand-back') < setup.maxAttempts) return undefined;
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
  if (job.verb !== 'start') return started ? undefined : `law 8: a ${job.verb} without a chat`;
  if (started || world.commands.length > 0) return 'law 1: a second chat under one id';
  if (world.log.length > 0) return 'law 1: a chat on the log of an earlier one, which never runs';
  return undefined;
}

/** Which law an acknowledgement or a hand-back by a run breaks that was refused by the fence. */
export function brokenByWord(setup: Setup, world: World, what: 'ack' | 'nak'): string | undefined {
  if (isVoid(setup, world)) return undefined;
  const article = what === 'ack' ? 'an' : 'a';
  return `law 7: a run that the fence refused sends ${article} ${what}`;
}

/** Which law does not hold in this state. */
export function brokenState(setup: Setup, world: World): string | undefined {
  const mark = tailOf(world.log)?.status.mark;
  const over = mark !== undefined && isOver(mark);
  for (const command of world.commands) {
    if (command.hand !== 'acked') continue;
    if (command.verb === 'start' && !isVoid(setup, world)) {
      return 'law 7: the start is acknowledged and the chat not over: it is lost';
    }
    if (command.verb === 'cancel' && !over) {
      return 'law 8: a cancel is acknowledged and the chat not over';
    }
    if (command.verb === 'delete' && !isErased(world, command.seq)) {
      return 'law 8: a delete is acknowledged and content left';
    }
  }
  for (const { phase } of world.calls) {
    if (phase.at !== 'over') continue;
    const { answer } = phase;
    if (typeof answer === 'object' && isTerminal(answer.status) && mark?.status !== answer.status) {
      return `law 8: status ${answer.status} was answered, the log says ${mark?.status ?? 'nothing'}`;
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

/** Nothing is left to do for its start. */
function isVoid(setup: Setup, world: World): boolean {
  const mark = tailOf(world.log)?.status.mark;
  if (mark !== undefined && isOver(mark)) return true;
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

/** The end that must stay in reach: over, and nothing outstanding. */
export function isAtRest(world: World): boolean {
  if (world.flights.length > 0) return false;
  if (world.workers.some(({ run, stopping }) => run !== undefined || stopping)) return false;
  if (world.loops.some(({ held }) => held !== undefined)) return false;
  if (world.sweeps.some(({ pending }) => pending !== undefined)) return false;
  if (world.calls.some(({ phase }) => phase.at !== 'new' && phase.at !== 'over')) return false;
  if (world.commands.some(({ hand }) => hand !== 'acked')) return false;
  const mark = tailOf(world.log)?.status.mark;
  if (mark !== undefined) return isOver(mark);
  return !hasStart(world);
}
