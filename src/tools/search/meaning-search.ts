// Search by meaning for one run of a chat. Where the endpoint fails the run goes on without, and the chat
// is warned of it once.
import { FailureReasonSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Embedder } from '../../chat/ports/embedding.ts';
import type { ModelWarning } from '../../chat/ports/model.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import type { ToolRunScope } from '../../chat/ports/tool.ts';
import { type KeptVectors, NoRoom } from './kept-vectors.ts';
import { TooManyPassages } from './passage-vectors.ts';
import { untilAborted } from './until-aborted.ts';

export interface MeaningSearch {
  /** Places of passages, the nearest first; none where the endpoint failed. Rejects with the call's reason alone. */
  readonly nearest: (
    query: string,
    range: { readonly from: number; readonly to: number },
    limit: number,
    call: { readonly signal: AbortSignal; readonly traceparent: string },
  ) => Promise<readonly number[]>;
}

/** `texts`: of all passages, by their places. `field`: of the request, for the warning. */
/** What is searched: the passages' texts by their places, and their key in `vectors`. */
export interface Searched {
  readonly vectors: KeptVectors;
  readonly key: string;
  readonly texts: readonly string[];
}

/** `field`: of the request, for the warning. */
export function createMeaningSearch(
  embedder: Embedder,
  { vectors, key, texts }: Searched,
  { signal: runSignal, warn }: ToolRunScope,
  field: string,
): MeaningSearch {
  /** All calls of the endpoint end with it: the run is over, or they are of no use any more. */
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(runSignal.reason);
  if (runSignal.aborted) onAbort();
  runSignal.addEventListener('abort', onAbort, { once: true });
  let givenUp = false;

  function giveUp(error: unknown): void {
    if (givenUp) return;
    givenUp = true;
    runSignal.removeEventListener('abort', onAbort);
    stop.abort(error);
    const reason = WarningReason.EMBEDDINGS_UNAVAILABLE;
    warn({
      reason,
      message: wordsOf(error, texts.length),
      field,
      cause: error,
    } satisfies ModelWarning);
  }

  return {
    nearest: async (query, range, limit, { signal, traceparent }) => {
      signal.throwIfAborted();
      if (givenUp) return [];
      try {
        // The passages are for the searches to come as well: only the run's end stops them.
        const made = vectors.of(embedder, key, texts, { over: stop.signal, traceparent });
        const asked = { signal: AbortSignal.any([signal, stop.signal]), traceparent };
        const both = Promise.all([made, embedder.embed('query', [query], asked)]);
        const [passages, [vector]] = await untilAborted(both, signal);
        return vector === undefined ? [] : passages.nearest(vector, range, limit);
      } catch (error) {
        signal.throwIfAborted();
        giveUp(error);
        return [];
      }
    },
  };
}

const ALONE = 'document_search goes by words alone for the rest of this run.';

/** No word of the endpoint's own. */
function wordsOf(error: unknown, passages: number): string {
  if (error instanceof TooManyPassages) {
    return `The documents have ${passages} passages, and no more than ${error.most} are searched by meaning; ${ALONE}`;
  }
  if (error instanceof NoRoom) {
    return `The vectors of other chats take all the memory that this worker has for them; ${ALONE}`;
  }
  const reason =
    error instanceof ModelFailure ? FailureReasonSchema.value[error.reason] : undefined;
  return `The embeddings endpoint failed (${reason?.localName ?? 'INTERNAL'}); ${ALONE}`;
}
