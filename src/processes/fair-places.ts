// So many places for what may be done at once, and one rule for all that wait for them: they are given by turns (see
// fair-queue.ts), and the last free one only to a tenant that has none. So a tenant's many, however long they take,
// leave a place for whoever comes next. May not live here: what a place is for.
import type { ChatKey } from '../chat/chat-key.ts';
import { createFairQueue, type Waiting } from './fair-queue.ts';

export interface FairPlaces {
  /**
   * Resolves with what gives the place back, to be called once, or with undefined: too many wait, or it is closed.
   * Rejects with the signal's reason.
   */
  readonly take: (
    whose: ChatKey,
    cost: number,
    signal: AbortSignal,
  ) => Promise<(() => void) | undefined>;
  /** Who waits and who comes gets none any more. */
  readonly close: () => void;
}

interface WaitingForPlace extends Waiting {
  readonly settle: (giveBack: (() => void) | undefined) => void;
}

/** `mostWaiting`: of what all that wait may cost together. */
export function createFairPlaces(places: number, mostWaiting: number): FairPlaces {
  const waiting = createFairQueue<WaitingForPlace>(mostWaiting);
  /** Of the tenants that have one. */
  const held = new Map<string, number>();
  let free = places;
  let closed = false;

  const mayHave = (tenant: string): boolean => free > 1 || (free === 1 && !held.has(tenant));

  function take(tenant: string): () => void {
    free--;
    held.set(tenant, (held.get(tenant) ?? 0) + 1);
    return () => {
      free++;
      const left = (held.get(tenant) ?? 0) - 1;
      if (left > 0) held.set(tenant, left);
      else held.delete(tenant);
      for (let next = waiting.next(mayHave); next !== undefined; next = waiting.next(mayHave)) {
        next.settle(take(next.whose.tenant));
      }
    };
  }

  return {
    take: async (whose, cost, signal) => {
      signal.throwIfAborted();
      if (closed) return undefined;
      if (mayHave(whose.tenant)) return take(whose.tenant);
      const { promise, resolve, reject } = Promise.withResolvers<(() => void) | undefined>();
      const onAbort = (): void => {
        waiting.remove(own);
        reject(signal.reason);
      };
      const settle: WaitingForPlace['settle'] = (giveBack) => {
        signal.removeEventListener('abort', onAbort);
        resolve(giveBack);
      };
      const own: WaitingForPlace = { whose, cost, settle };
      signal.addEventListener('abort', onAbort, { once: true });
      for (const gone of waiting.add(own)) gone.settle(undefined);
      return promise;
    },
    close: () => {
      closed = true;
      for (let next = waiting.next(); next !== undefined; next = waiting.next()) {
        next.settle(undefined);
      }
    },
  };
}
