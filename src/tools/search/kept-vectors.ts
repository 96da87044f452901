// The vectors that a process keeps, by the texts that they are of and by who made them: further searches,
// attempts and chats with the same documents find them made. Those used longest ago go first.
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { EMBED_PASSAGES_MS, KEPT_VECTOR_BYTES } from '../../chat/limits.ts';
import type { Embedder } from '../../chat/ports/embedding.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import { embedPassages, type PassageVectors } from './passage-vectors.ts';

export interface KeptVectors {
  /**
   * `key`: of the texts. Embeds them where it has not yet, until each run that asked for them is `over`.
   * Rejects as the embedder does, or with TooManyPassages or NoRoom.
   */
  readonly of: (
    embedder: Embedder,
    key: string,
    texts: readonly string[],
    run: { readonly over: AbortSignal; readonly traceparent: string },
  ) => Promise<PassageVectors>;
  /** Of the vectors that there are, those being made included. */
  readonly bytes: () => number;
}

/** Vectors that are being made for other chats take all the memory that there is for vectors. */
export class NoRoom extends Error {
  constructor() {
    super('no room for more vectors');
    this.name = 'NoRoom';
  }
}

interface Kept {
  readonly vectors: Promise<PassageVectors>;
  readonly join: (run: AbortSignal) => void;
  /** 0 until the first batch shows how many dimensions they have. */
  bytes: number;
  made: boolean;
}

export function createKeptVectors(maxBytes: number = KEPT_VECTOR_BYTES): KeptVectors {
  /** Used longest ago first. */
  const kept = new Map<string, Kept>();
  const numbers = new WeakMap<Embedder, number>();
  let lastNumber = 0;
  let bytes = 0;

  function numberOf(embedder: Embedder): number {
    const number = numbers.get(embedder) ?? ++lastNumber;
    numbers.set(embedder, number);
    return number;
  }

  function drop(key: string, one: Kept): void {
    if (kept.get(key) !== one) return;
    kept.delete(key);
    bytes -= one.bytes;
  }

  /** What is made gives way; who searches it once more makes it once more. */
  function take(one: Kept, wanted: number): void {
    for (const [key, other] of kept) {
      if (bytes + wanted <= maxBytes) break;
      if (other.made) drop(key, other);
    }
    if (bytes + wanted > maxBytes) throw new NoRoom();
    one.bytes = wanted;
    bytes += wanted;
  }

  function make(
    embedder: Embedder,
    key: string,
    texts: readonly string[],
    traceparent: string,
  ): Kept {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(tookTooLong()), EMBED_PASSAGES_MS);
    const runs = new Map<AbortSignal, () => void>();
    const call = { signal: stop.signal, traceparent };
    const one: Kept = {
      vectors: embedPassages(embedder, texts, call, (wanted) => {
        stop.signal.throwIfAborted();
        take(one, wanted);
      }),
      join: (run) => {
        if (one.made || runs.has(run)) return;
        const leave = (): void => {
          runs.delete(run);
          if (runs.size > 0) return;
          // Who comes now begins anew.
          drop(key, one);
          stop.abort(run.reason);
        };
        runs.set(run, leave);
        run.addEventListener('abort', leave, { once: true });
      },
      bytes: 0,
      made: false,
    };
    const settled = (): void => {
      clearTimeout(timer);
      for (const [run, leave] of runs) run.removeEventListener('abort', leave);
      runs.clear();
    };
    one.vectors.then(
      () => {
        one.made = true;
        settled();
      },
      () => {
        drop(key, one);
        settled();
      },
    );
    return one;
  }

  return {
    of: async (embedder, ofTexts, texts, { over, traceparent }) => {
      over.throwIfAborted();
      const key = `${numberOf(embedder)} ${ofTexts}`;
      const one = kept.get(key) ?? make(embedder, key, texts, traceparent);
      // Last in order: used now.
      kept.delete(key);
      kept.set(key, one);
      one.join(over);
      return one.vectors;
    },
    bytes: () => bytes,
  };
}

function tookTooLong(): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_UNAVAILABLE,
    `The passages were not embedded within ${EMBED_PASSAGES_MS / 1_000} s.`,
    { retryable: true },
  );
}
