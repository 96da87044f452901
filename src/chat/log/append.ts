// Appending under the fence until it is known what became of it (law 2). No timer decides who is
// right: a doubt is settled by reading the leader, and nothing else is appended meanwhile.
import type { ChatKey } from '../chat-key.ts';
import { readRefusal } from '../decisions/decisions.ts';
import { ChatError } from '../errors.ts';
import type { Append, EventLog } from '../ports/event-log.ts';
import { FULL_STORE_WAIT_MS } from '../limits.ts';

export type Settled =
  | { readonly type: 'stored'; readonly storeSequence: number }
  /** The chat is over or another attempt owns it; read the log and decide again. */
  | { readonly type: 'moved' }
  /**
   * The log could not be reached, or takes no more, for the whole time that was given. `full`: it was
   * only ever refused by a full store, so that it is certainly not there.
   */
  | { readonly type: 'unavailable'; readonly full: boolean; readonly cause: unknown };

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
  /** Aborted: a full store is waited for no longer. */
  hurry?: AbortSignal,
): Promise<Settled> {
  let expectedLast = view.expectedLast;
  let waitMs = FIRST_WAIT_MS;
  let doubted = false;
  const beganMs = performance.now();
  for (;;) {
    const outcome = await log.append(chat, expectedLast, append);
    if (outcome.type === 'stored') return outcome;
    if (outcome.type === 'doubt') {
      if (outcome.closed === true)
        return { type: 'unavailable', full: false, cause: outcome.cause };
      doubted = true;
    }
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
    const full = outcome.type === 'full' && !doubted;
    const deadlineMs = beganMs + (full ? Math.min(settleMs, FULL_STORE_WAIT_MS) : settleMs);
    if (performance.now() + waitMs > deadlineMs || (full && hurry?.aborted === true)) {
      return { type: 'unavailable', full, cause };
    }
    await sleep(waitMs, full ? hurry : undefined);
    waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS);
  }
}

async function sleep(ms: number, cut: AbortSignal | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = (): void => resolve();
  cut?.addEventListener('abort', wake);
  await promise;
  clearTimeout(timer);
  cut?.removeEventListener('abort', wake);
}
