// The vectors of passages, in memory, and which of them are nearest to one that is looked for. They are
// compared one by one: a few thousand take some milliseconds, exactly.
import type { Embedder } from '../../chat/ports/embedding.ts';
import {
  EMBEDDING_CALLS_AT_ONCE,
  MAX_EMBEDDED_PASSAGES,
  MAX_VECTOR_BYTES,
} from '../../chat/limits.ts';

export interface PassageVectors {
  /** Passages by their place from `from` up to but not with `to`, the nearest first. */
  readonly nearest: (
    query: Float32Array,
    range: { readonly from: number; readonly to: number },
    limit: number,
  ) => readonly number[];
}

/** There are more passages, or they would take more memory, than a run may have. */
export class TooManyPassages extends Error {
  readonly most: number;

  constructor(most: number) {
    super(`more than ${most} passages`);
    this.name = 'TooManyPassages';
    this.most = most;
  }
}

/**
 * Rejects as the embedder does, with TooManyPassages, or with what `take` throws: it is told of the bytes
 * before they are there. Equal texts are embedded once.
 */
export async function embedPassages(
  embedder: Embedder,
  texts: readonly string[],
  call: { readonly signal: AbortSignal; readonly traceparent: string },
  take: (bytes: number) => void,
): Promise<PassageVectors> {
  return searched(await embedUnique(embedder, texts, call, take));
}

/** Nothing in it refers to the texts: it is kept for longer than they are. */
interface Embedded {
  readonly vectors: Float32Array;
  readonly dimensions: number;
  /** By place: which of the vectors is the passage's. */
  readonly rowOf: readonly number[];
}

function searched({ vectors, dimensions, rowOf }: Embedded): PassageVectors {
  return {
    nearest: (query, { from, to }, limit) => {
      // As where the endpoint has another model behind it by now.
      if (rowOf.length > 0 && query.length !== dimensions) {
        throw new Error('A query’s vector differs in length from those of the passages.');
      }
      const best = new Best(limit);
      for (let place = from; place < to; place++) {
        best.take(place, product(vectors, (rowOf[place] ?? 0) * dimensions, query));
      }
      return best.places();
    },
  };
}

async function embedUnique(
  embedder: Embedder,
  texts: readonly string[],
  call: { readonly signal: AbortSignal; readonly traceparent: string },
  take: (bytes: number) => void,
): Promise<Embedded> {
  if (texts.length > MAX_EMBEDDED_PASSAGES) throw new TooManyPassages(MAX_EMBEDDED_PASSAGES);
  const rows = new Map<string, number>();
  const rowOf = texts.map((text) => {
    const row = rows.get(text) ?? rows.size;
    rows.set(text, row);
    return row;
  });
  const unique = [...rows.keys()];
  let all: Float32Array | undefined;
  let dimensions = 0;
  let next = 0;

  async function embedNext(): Promise<void> {
    const first = next;
    const batch = unique.slice(first, first + embedder.batchSize);
    next += batch.length;
    const vectors = await embedder.embed('passage', batch, call);
    // Known by the first answer.
    all ??= room(vectors[0]?.length ?? 0);
    for (const [i, vector] of vectors.entries()) {
      if (vector.length !== dimensions) throw new Error('Vectors of one model differ in length.');
      all.set(vector, (first + i) * dimensions);
    }
  }

  function room(length: number): Float32Array {
    dimensions = length;
    const most = Math.floor(MAX_VECTOR_BYTES / (4 * length));
    if (unique.length > most) throw new TooManyPassages(most);
    take(4 * unique.length * length);
    return new Float32Array(unique.length * length);
  }

  // Alone: it may show that the others need not be made.
  if (unique.length > 0) await embedNext();
  const work = async (): Promise<void> => {
    try {
      while (next < unique.length) await embedNext();
    } catch (error) {
      // The others stop as well.
      next = unique.length;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: EMBEDDING_CALLS_AT_ONCE }, work));
  return { vectors: all ?? new Float32Array(), dimensions, rowOf };
}

/** Of vectors of length 1: the cosine. Four sums, so that none waits for the one before it. */
function product(vectors: Float32Array, at: number, query: Float32Array): number {
  const { length } = query;
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < length; i += 4) {
    a += (vectors[at + i] ?? 0) * (query[i] ?? 0);
    b += (vectors[at + i + 1] ?? 0) * (query[i + 1] ?? 0);
    c += (vectors[at + i + 2] ?? 0) * (query[i + 2] ?? 0);
    d += (vectors[at + i + 3] ?? 0) * (query[i + 3] ?? 0);
  }
  for (; i < length; i++) a += (vectors[at + i] ?? 0) * (query[i] ?? 0);
  return a + b + c + d;
}

/** The best so many of what it is given, in order: most of it is no better than the last of these. */
class Best {
  readonly #limit: number;
  readonly #found: { readonly place: number; readonly score: number }[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  take(place: number, score: number): void {
    const found = this.#found;
    if (found.length === this.#limit && score <= (found.at(-1)?.score ?? -Infinity)) return;
    let at = found.length;
    while (at > 0 && (found[at - 1]?.score ?? Infinity) < score) at--;
    found.splice(at, 0, { place, score });
    if (found.length > this.#limit) found.pop();
  }

  places(): readonly number[] {
    return this.#found.map(({ place }) => place);
  }
}
