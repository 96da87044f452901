// What may still be written to the store. It is never let run full: the last part of it is kept for what
// brings a chat to its end or takes it away, so that a full store can be emptied through the api.
import type { CommandInbox, WorkQueue } from '../ports/commands.ts';
import type { AppendOutcome, EventLog } from '../ports/event-log.ts';
import { MAX_STORE_RESERVE_BYTES, STORE_RESERVE_SHARE } from '../limits.ts';

/** One of the things that can be full: a stream's max_bytes, the account's storage, a disk. */
export interface StoreBound {
  /** In words, for the log. */
  readonly what: string;
  readonly limitBytes: number;
  readonly usedBytes: number;
  /** How often a written byte counts here: replicas share an account's storage. */
  readonly copies: number;
}

/**
 * room: everything. no-starts: chats that are there go on to their ends. no-answers: no model's words
 * either, only ends, cancels, deletes and the tombstones of the deleted.
 */
export type Fullness = 'room' | 'no-starts' | 'no-answers';

export function reserveBytes(limitBytes: number): number {
  return Math.min(limitBytes * STORE_RESERVE_SHARE, MAX_STORE_RESERVE_BYTES);
}

/** To leave a level takes a tenth more than to enter it, so that the edge is not told each second. */
const LEAVE_FACTOR = 1.1;

/** How full the fullest bound is, with `addedBytes` written since they were looked at. */
export function fullnessOf(
  bounds: readonly StoreBound[],
  addedBytes: number,
  before: Fullness = 'room',
): { readonly fullness: Fullness; readonly bound: StoreBound | undefined } {
  let found: { fullness: Fullness; bound: StoreBound | undefined } = {
    fullness: 'room',
    bound: undefined,
  };
  for (const bound of bounds) {
    const leftBytes = bound.limitBytes - bound.usedBytes - addedBytes * bound.copies;
    const reserve = reserveBytes(bound.limitBytes);
    const forStarts = before === 'room' ? reserve : reserve * LEAVE_FACTOR;
    const forAnswers = before === 'no-answers' ? (reserve / 2) * LEAVE_FACTOR : reserve / 2;
    if (leftBytes < forAnswers) return { fullness: 'no-answers', bound };
    if (leftBytes < forStarts && found.bound === undefined)
      found = { fullness: 'no-starts', bound };
  }
  return found;
}

export interface StoreRoom {
  /** What is too full for a start of this size; undefined where nothing is. */
  readonly forStart: (bytes: number) => string | undefined;
  /** What is too full for a model's words; undefined where nothing is. */
  readonly forAnswers: () => string | undefined;
  /** What became of a write: the room shrinks by it, and a store that refuses is told of once. */
  readonly wrote: (bytes: number, outcome: AppendOutcome) => void;
}

/** Headers, subject and the store's own frame, beside a record's data. */
const RECORD_OVERHEAD_BYTES = 512;

/** The same log; model's words are refused as by a full store while there is no room for them. */
export function logWithin(log: EventLog, room: StoreRoom): EventLog {
  return {
    ...log,
    append: async (chat, expectedLast, append) => {
      const full = append.mark === undefined ? room.forAnswers() : undefined;
      if (full !== undefined) return { type: 'full', cause: new Error(full) };
      const outcome = await log.append(chat, expectedLast, append);
      room.wrote(append.data.length + RECORD_OVERHEAD_BYTES, outcome);
      return outcome;
    },
  };
}

/** The same inbox; starts are refused as by a full store while there is no room for them. */
export function inboxWithin(inbox: CommandInbox, room: StoreRoom): CommandInbox {
  return {
    ...inbox,
    publish: async (command, expectedLast) => {
      const bytes = command.data.length + RECORD_OVERHEAD_BYTES;
      const full = command.verb === 'start' ? room.forStart(bytes) : undefined;
      if (full !== undefined) return { type: 'full', cause: new Error(full) };
      const outcome = await inbox.publish(command, expectedLast);
      room.wrote(bytes, outcome);
      return outcome;
    },
  };
}

/** The same queue; nothing is handed out while no answer could be stored. */
export function queueWithin(queue: WorkQueue, room: StoreRoom): WorkQueue {
  return {
    ...queue,
    receiveWork: (onDelivery) => {
      const receiving = queue.receiveWork(onDelivery);
      return {
        ...receiving,
        // Workers poll each second: what is not taken now is taken when there is room.
        pull: (priority, batch, linger) =>
          room.forAnswers() === undefined
            ? receiving.pull(priority, batch, linger)
            : Promise.resolve(0),
      };
    },
  };
}
