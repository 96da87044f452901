// An embedder whose vectors tell of the words of a text, and which says what it was asked.
import type { Embedder } from '../../../src/chat/ports/embedding.ts';
import { testVector } from '../../model-server/embeddings.ts';

export interface Asked {
  readonly kind: 'passage' | 'query';
  readonly texts: readonly string[];
  readonly signal: AbortSignal;
}

export interface TestEmbedder extends Embedder {
  readonly asked: Asked[];
}

/** By the words of a text; `fail` may reject instead. */
export function embedderOf(
  fail: (asked: Asked) => Promise<void> = () => Promise.resolve(),
  dimensions = 512,
): TestEmbedder {
  const asked: Asked[] = [];
  return {
    asked,
    batchSize: 4,
    embed: async (kind, texts, { signal }) => {
      const one = { kind, texts, signal };
      asked.push(one);
      await fail(one);
      return texts.map((text) => {
        const vector = testVector(text, dimensions);
        const length = Math.hypot(...vector);
        return vector.map((value) => value / length);
      });
    },
  };
}
