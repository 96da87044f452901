// Fetches the documents that requests name by url: so many at once in this process, the next by turns.
import type { DocumentFetcher } from '../../chat/ports/document.ts';
import { ChatError } from '../../chat/errors.ts';
import { DOCUMENT_FETCHES, MAX_WAITING_FETCHES } from '../../chat/limits.ts';
import { createFairPlaces } from '../../processes/fair-places.ts';
import { FetchFailure } from './fetch-failure.ts';
import type { GuardedFetch } from './guarded-fetch.ts';

export function createDocumentFetcher(
  fetch: GuardedFetch,
  { atOnce = DOCUMENT_FETCHES, maxWaiting = MAX_WAITING_FETCHES } = {},
): DocumentFetcher {
  const places = createFairPlaces(atOnce, maxWaiting);
  return {
    fetch: async (url, refusal, whose, signal) => {
      const giveBack = await places.take(whose, 1, signal);
      if (giveBack === undefined) throw fetchesBusy(maxWaiting);
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

function fetchesBusy(documents: number): ChatError {
  return new ChatError(
    'QUEUE_FULL',
    `${documents} documents wait to be fetched, the most that may; nothing was created. Call again in a moment.`,
    { retryAfterMs: 2_000 },
  );
}
