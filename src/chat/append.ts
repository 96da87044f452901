// Appending under the fence until it is known what became of it (law 2). No timer decides who is
// right: a doubt is settled by reading the leader, and nothing else is appended meanwhile.
import type { ChatKey } from './chat-key.ts';
import { readRefusal } from './decisions.ts';
import { ChatError } from './errors.ts';
import type { Append, EventLog } from './event-log.ts';

export type Settled =
  | { readonly type: 'stored'; readonly storeSequence: number }
  /** The chat is over or another attempt owns it; read the log and decide again. */
  | { readonly type: 'moved' }
  /** The log could not be reached, or takes no more, for the whole time that was given. */
  | { readonly type: 'unavailable'; readonly cause: unknown };

export interface AppendView {
  readonly expectedLast: number;
  readonly afterSequence: number;
  readonly attempt: number;
  readonly owner: string;
}

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 2_000;

export async function appendSettled(
  log: EventLog,
  chat: ChatKey,
  view: AppendView,
  append: Append,
  settleMs: number,
): Promise<Settled> {
  let expectedLast = view.expectedLast;
  let waitMs = FIRST_WAIT_MS;
  const deadlineMs = performance.now() + settleMs;
  for (;;) {
    const outcome = await log.append(chat, expectedLast, append);
    if (outcome.type === 'stored') return outcome;
    let cause = outcome.type === 'refused' ? new Error('refused by the fence') : outcome.cause;
    try {
      const own = { ...view, expectedLast, appendId: append.appendId };
      const meaning = readRefusal(own, await log.tail(chat));
      if (meaning.means === 'stored')
        return { type: 'stored', storeSequence: meaning.storeSequence };
      if (meaning.means === 'moved') return { type: 'moved' };
      expectedLast = meaning.expectedLast;
    } catch (error) {
      if (!(error instanceof ChatError && error.reason === 'LOG_UNAVAILABLE')) throw error;
      cause = error;
    }
    if (performance.now() + waitMs > deadlineMs) return { type: 'unavailable', cause };
    await sleep(waitMs);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
