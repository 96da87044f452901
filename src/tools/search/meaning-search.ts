// Search by meaning for one run of a chat: its passages are embedded once, at the first search. Where the
// endpoint fails the run goes on without, and the chat is warned of it once.
import { FailureReason, FailureReasonSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Embedder } from '../../chat/ports/embedding.ts';
import { EMBED_PASSAGES_MS } from '../../chat/limits.ts';
import type { ModelWarning } from '../../chat/ports/model.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import type { ToolRunScope } from '../../chat/ports/tool.ts';
import { embedPassages, type PassageVectors, TooManyPassages } from './passage-vectors.ts';
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
export function createMeaningSearch(
  embedder: Embedder,
  texts: readonly string[],
  { signal: runSignal, warn }: ToolRunScope,
  field: string,
): MeaningSearch {
  /** All calls of the endpoint end with it: the run is over, or they are of no use any more. */
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(runSignal.reason);
  if (runSignal.aborted) onAbort();
  runSignal.addEventListener('abort', onAbort, { once: true });
  let vectors: Promise<PassageVectors> | undefined;
  let givenUp = false;

  async function embedAll(traceparent: string): Promise<PassageVectors> {
    const timer = setTimeout(() => stop.abort(tookTooLong()), EMBED_PASSAGES_MS);
    try {
      return await embedPassages(embedder, texts, { signal: stop.signal, traceparent });
    } finally {
      clearTimeout(timer);
    }
  }

  function giveUp(error: unknown): void {
    if (givenUp) return;
    givenUp = true;
    vectors = undefined;
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
        vectors ??= embedAll(traceparent);
        const asked = { signal: AbortSignal.any([signal, stop.signal]), traceparent };
        const both = Promise.all([vectors, embedder.embed('query', [query], asked)]);
        const [made, [vector]] = await untilAborted(both, signal);
        return vector === undefined ? [] : made.nearest(vector, range, limit);
      } catch (error) {
        signal.throwIfAborted();
        giveUp(error);
        return [];
      }
    },
  };
}

function tookTooLong(): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_UNAVAILABLE,
    `The passages were not embedded within ${EMBED_PASSAGES_MS / 1_000} s.`,
    { retryable: true },
  );
}

const ALONE = 'document_search goes by words alone for the rest of this run.';

/** No word of the endpoint's own. */
function wordsOf(error: unknown, passages: number): string {
  if (error instanceof TooManyPassages) {
    return `The documents have ${passages} passages, and no more than ${error.most} are searched by meaning; ${ALONE}`;
  }
  const reason =
    error instanceof ModelFailure ? FailureReasonSchema.value[error.reason] : undefined;
  return `The embeddings endpoint failed (${reason?.localName ?? 'INTERNAL'}); ${ALONE}`;
}
