// Carrying out a control command to its end, by whoever comes to it: the call that made it, or a
// control loop in any process. Every step is decided from the leader's log and safe to repeat.
import { randomUUID } from 'node:crypto';
import type { Settled } from './append.ts';
import { appendSettled } from './append.ts';
import type { ChatKey } from '../chat-key.ts';
import type { Command, CommandInbox } from '../ports/commands.ts';
import { decideCancel, decideDelete } from '../decisions/decisions.ts';
import { endChat } from './end-chat.ts';
import { ChatError } from '../errors.ts';
import type { EventLog, LogEraser, LogTail } from '../ports/event-log.ts';
import { APPEND_SETTLE_MS, RING_AGAIN_MS } from '../limits.ts';
import { tombstoneMark } from '../decisions/marks.ts';

export interface CarryOutDeps {
  readonly log: EventLog;
  readonly eraser: LogEraser;
  readonly inbox: CommandInbox;
  /** Rings for the worker that runs the chat once more. */
  readonly ring: (command: Command) => void;
}

/** What `cancelled` says of a chat that is deleted before its end. */
const DELETED = 'The chat was deleted.';

/**
 * Ends the chat as cancelled: its worker has not done so in time. Resolves with true if this call ended
 * it. Rejects with LOG_UNAVAILABLE: the command stays, and comes again.
 */
export async function carryOutCancel(deps: CarryOutDeps, command: Command): Promise<boolean> {
  for (;;) {
    const tail = await deps.log.tail(command.chat);
    if (decideCancel(tail).do === 'nothing') return false;
    if (await endAsCancelled(deps, command, tail, command.meta.reason)) return true;
  }
}

/**
 * Resolves when nothing of the chat is left but what keeps its id taken. Rejects likewise. `patienceMs`:
 * how long the chat's own worker still has to act on the command.
 */
export async function carryOutDelete(
  deps: CarryOutDeps,
  command: Command,
  patienceMs: number,
): Promise<void> {
  const { chat } = command;
  const takeoverMs = performance.now() + patienceMs;
  for (;;) {
    const tail = await deps.log.tail(chat);
    const decision = decideDelete(tail);
    switch (decision.do) {
      case 'await-worker': {
        const leftMs = takeoverMs - performance.now();
        if (leftMs > 0) await pause(Math.min(leftMs, RING_AGAIN_MS));
        else await endAsCancelled(deps, command, tail, DELETED);
        continue;
      }
      case 'cancel':
        await endAsCancelled(deps, command, tail, DELETED);
        continue;
      case 'tombstone':
        if (tail !== undefined) settle(await appendTombstone(deps.log, chat, tail));
        continue;
      case 'erase':
        await deps.eraser.eraseBefore(chat, decision.tombstone);
        await deps.inbox.eraseBefore(chat, command.sequence);
        return;
    }
  }
}

/** True: this call ended it. False: the log has moved on; read it again. */
async function endAsCancelled(
  deps: CarryOutDeps,
  command: Command,
  tail: LogTail | undefined,
  reason: string,
): Promise<boolean> {
  const end = { kind: 'cancelled', reason } as const;
  if (settle(await endChat(deps.log, command.chat, command, tail, end, APPEND_SETTLE_MS))) {
    return true;
  }
  // A worker that appends without pause never heard the bell: ring it again, then look again.
  deps.ring(command);
  await pause(RING_AGAIN_MS);
  return false;
}

function appendTombstone(log: EventLog, chat: ChatKey, tail: LogTail): Promise<Settled> {
  const { mark } = tail.status;
  return appendSettled(
    log,
    chat,
    {
      expectedLast: tail.last.storeSequence,
      afterSequence: tail.lastSequence,
      attempt: mark.attempt,
      owner: mark.owner,
    },
    {
      appendId: randomUUID(),
      data: new Uint8Array(0),
      mark: tombstoneMark(tail),
    },
    APPEND_SETTLE_MS,
  );
}

/** True: stored. False: another was quicker. */
function settle(settled: Settled): boolean {
  if (settled.type !== 'unavailable') return settled.type === 'stored';
  throw new ChatError('LOG_UNAVAILABLE', 'The log did not take the end of a chat in time.', {
    retryAfterMs: 1_000,
    cause: settled.cause,
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
