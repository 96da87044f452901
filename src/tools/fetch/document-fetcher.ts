// Fetches the documents that requests name by url: so many at once in this process, the next in their order.
import type { DocumentFetcher } from '../../chat/ports/document.ts';
import { DOCUMENT_FETCHES } from '../../chat/limits.ts';
import { FetchFailure } from './fetch-failure.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { createPlaces } from './places.ts';

export function createDocumentFetcher(
  fetch: GuardedFetch,
  mostAtOnce = DOCUMENT_FETCHES,
): DocumentFetcher {
  const places = createPlaces(mostAtOnce);
  return {
    fetch: async (url, refusal, signal) => {
      await places.take(signal);
      try {
        return await fetch(url, refusal, signal);
      } catch (error) {
        if (error instanceof FetchFailure) return { unfetched: error.message };
        throw error;
      } finally {
        places.giveBack();
      }
    },
  };
}
