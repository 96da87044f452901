// The answer of an embeddings endpoint to vectors of length 1, or why it is none.
import { z } from 'zod';
import { MAX_EMBEDDING_DIMENSIONS } from '../../chat/limits.ts';
import { unreadable } from './failure.ts';

const Answer = z.object({
  data: z.array(
    z.object({
      // As base64 of little-endian floats, or as digits: not every server heeds what it is asked for.
      embedding: z.union([z.string(), z.array(z.number())]),
      index: z.int().optional(),
    }),
  ),
  usage: z.object({ prompt_tokens: z.number() }).optional().catch(undefined),
});

export interface EmbeddingsAnswer {
  /** In the order of the texts. */
  readonly vectors: readonly Float32Array[];
  readonly tokens: number | undefined;
}

/** `count`: of the texts. Throws a ModelFailure. */
export function vectorsIn(
  text: string,
  count: number,
  dimensions: number | undefined,
): EmbeddingsAnswer {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw unreadable('embeddings that are not JSON');
  }
  const answer = Answer.safeParse(json);
  if (!answer.success) throw unreadable('JSON that holds no embeddings');
  const { data, usage } = answer.data;
  if (data.length !== count) throw unreadable(`${data.length} embeddings for ${count} texts`);
  const byIndex = new Map(data.map(({ embedding, index }, i) => [index ?? i, unit(embedding)]));
  const found = Array.from({ length: count }, (_, i) => byIndex.get(i)).filter(
    (vector) => vector !== undefined,
  );
  if (found.length !== count)
    throw unreadable('embeddings whose indexes are not those of the texts');
  const wanted = dimensions ?? found[0]?.length;
  const other = found.find(({ length }) => length !== wanted);
  if (other !== undefined) {
    throw unreadable(`an embedding of ${other.length} dimensions, where ${wanted} are wanted`);
  }
  return { vectors: found, tokens: usage?.prompt_tokens };
}

function unit(embedding: string | readonly number[]): Float32Array {
  const vector = typeof embedding === 'string' ? floatsIn(embedding) : Float32Array.from(embedding);
  if (vector.length === 0 || vector.length > MAX_EMBEDDING_DIMENSIONS) {
    throw unreadable(`an embedding of ${vector.length} dimensions`);
  }
  const length = Math.hypot(...vector);
  // Infinite, no number, or without a direction.
  if (!(length > 0 && length < Infinity)) throw unreadable('an embedding that is no direction');
  return vector.map((value) => value / length);
}

function floatsIn(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64');
  const vector = new Float32Array(Math.floor(bytes.length / 4));
  for (let i = 0; i < vector.length; i++) vector[i] = bytes.readFloatLE(4 * i);
  return vector;
}
