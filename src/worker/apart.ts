// Running a chat apart, alone in a process: what is said between a worker and that process. Whatever
// kills a process cannot be asked about afterwards, so a chat that may be the cause runs where its end
// takes no other chat along (decisions.ts, runsApart).
import type { Command, Delivery, WorkQueue } from '../chat/ports/commands.ts';
import { APART_NAK_DELAY_MS } from '../chat/limits.ts';

/** What is done for the command's delivery; its worker sends it on for the newest one. */
export type ApartAnswer =
  | { readonly what: 'ack' | 'working' }
  | { readonly what: 'nak'; readonly delayMs: number };

/** What the process says. taken: from here on it renews the claim itself. free: it may have another. */
export type ApartReport = ApartAnswer | { readonly what: 'alive' | 'taken' | 'free' };

export interface ApartRun {
  readonly command: Command;
  /** Of the run: the chat is handed back where it says so. A cancel the process hears itself. */
  readonly abort: AbortSignal;
  readonly onTaken: () => void;
  readonly onAnswer: (answer: ApartAnswer) => void;
}

export interface Apart {
  /** Whether there is room for one more. */
  readonly room: () => boolean;
  /**
   * Resolves when the process is free again, or gone: true if it had acknowledged the command or handed
   * it back.
   */
  readonly run: (run: ApartRun) => Promise<boolean>;
  /** Ends the processes that are free. */
  readonly close: () => void;
}

/** A chat in its worker's hands, as far as going apart concerns it. */
interface Held {
  readonly command: Command;
  delivery: Delivery;
  readonly abort: AbortController;
  refused: boolean;
  apart: { readonly attempt: number; renews: boolean } | undefined;
}

/**
 * Runs the attempt apart, or hands the command back until there is room. True: the process died before
 * its word on the command; what becomes of the chat is decided anew.
 */
export async function runApart(apart: Apart, run: Held, attempt: number): Promise<boolean> {
  if (!apart.room()) {
    if (!run.refused) run.delivery.nak(APART_NAK_DELAY_MS);
    return false;
  }
  if (run.apart?.attempt === attempt) {
    throw new Error('The process that was to run the chat apart ended before it had claimed it.');
  }
  const own = { attempt, renews: false };
  run.apart = own;
  const answered = await apart.run({
    command: run.command,
    abort: run.abort.signal,
    onTaken: () => (own.renews = true),
    onAnswer: (answer) => {
      if (answer.what === 'nak') run.delivery.nak(answer.delayMs);
      else run.delivery[answer.what]();
    },
  });
  own.renews = false;
  // What it had claimed nobody holds now, and another may have taken it since.
  run.refused = true;
  return !answered;
}

export interface CommandFeed {
  /** Only to a process that is free. */
  readonly give: (command: Command) => void;
  readonly queue: (work: WorkQueue) => WorkQueue;
}

/** The queue of a process that runs chats apart: hands out what it is given, and nothing else. */
export function commandFeed(say: (report: ApartReport) => void): CommandFeed {
  let waiting: Command | undefined;
  let busy = false;
  const bells = new Set<(priority: number) => void>();
  const deliveryOf = (command: Command): Delivery => ({
    command,
    // It was handed out before, or it would not run apart.
    deliveries: 2,
    ack: () => say({ what: 'ack' }),
    nak: (delayMs) => say({ what: 'nak', delayMs }),
    working: () => say({ what: 'working' }),
  });
  return {
    give: (command) => {
      waiting = command;
      for (const ring of bells) ring(command.priority);
    },
    queue: (work) => ({
      ...work,
      onWork: (ring) => {
        bells.add(ring);
        return () => bells.delete(ring);
      },
      receiveWork: (onDelivery) => ({
        pull: (priority) => {
          // A worker of one slot asks for more when it has done with what it had.
          if (busy) say({ what: 'free' });
          busy = waiting?.priority === priority;
          if (!busy || waiting === undefined) return Promise.resolve(0);
          onDelivery(deliveryOf(waiting));
          waiting = undefined;
          say({ what: 'taken' });
          return Promise.resolve(1);
        },
        stop: () => undefined,
      }),
    }),
  };
}
