// Fetches the documents that requests name by url: so many at once in this process, the next in their order.
import type { DocumentFetcher } from '../chat/document-port.ts';
import { DOCUMENT_FETCHES } from '../chat/limits.ts';
import { FetchFailure } from './fetch-failure.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

export function createDocumentFetcher(
  fetch: GuardedFetch,
  mostAtOnce = DOCUMENT_FETCHES,
): DocumentFetcher {
  let free = mostAtOnce;
  const waiting = new Set<() => void>();

  /** A place that is given back goes to the longest waiting, without being free in between. */
  async function take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (free > 0) {
      free--;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      waiting.delete(start);
      reject(signal.reason);
    };
    const start = (): void => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    waiting.add(start);
    await promise;
  }

  function giveBack(): void {
    const [next] = waiting;
    if (next === undefined) {
      free++;
      return;
    }
    waiting.delete(next);
    next();
  }

  return {
    fetch: async (url, refusal, signal) => {
      await take(signal);
      try {
        return await fetch(url, refusal, signal);
      } catch (error) {
        if (error instanceof FetchFailure) return { unfetched: error.message };
        throw error;
      } finally {
        giveBack();
      }
    },
  };
}
