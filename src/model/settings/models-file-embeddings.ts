// The embeddings endpoint in the file of models.
import { z } from 'zod';
import {
  EMBEDDINGS_BATCH,
  EMBEDDINGS_TIMEOUT_MS,
  MAX_EMBEDDING_DIMENSIONS,
  MAX_EMBEDDINGS_BATCH,
  MAX_EMBEDDINGS_TIMEOUT_MS,
} from '../../chat/limits.ts';
import type { Fault } from '../../operator/operator-file.ts';
import type { EmbeddingsSpec } from './registry-spec.ts';

const name = z
  .string()
  .regex(/^[\x21-\x7e]{1,256}$/, 'a name of 1 to 256 visible ASCII characters without spaces');
const prefix = z.string().max(500, 'a text of at most 500 characters').prefault('');

function wholeNumber(least: number, most: number): z.ZodInt {
  const wanted = `a whole number from ${least} to ${most}`;
  return z.int(wanted).min(least, wanted).max(most);
}

export const EMBEDDINGS_SETTINGS = {
  embeddings: z
    .strictObject({
      server: name,
      model: name,
      dimensions: wholeNumber(1, MAX_EMBEDDING_DIMENSIONS).optional(),
      batch_size: wholeNumber(1, MAX_EMBEDDINGS_BATCH).prefault(EMBEDDINGS_BATCH),
      timeout_ms: wholeNumber(100, MAX_EMBEDDINGS_TIMEOUT_MS).prefault(EMBEDDINGS_TIMEOUT_MS),
      query_prefix: prefix,
      passage_prefix: prefix,
    })
    .optional(),
};

const EmbeddingsSettings = z.object(EMBEDDINGS_SETTINGS);
type EmbeddingsSettings = Readonly<z.infer<typeof EmbeddingsSettings>>;

export function embeddingsFaults(
  { embeddings }: EmbeddingsSettings,
  servers: ReadonlySet<string>,
): Fault[] {
  if (embeddings === undefined || servers.has(embeddings.server)) return [];
  const wanted = `is "${embeddings.server}"; the servers are: ${[...servers].join(', ')}`;
  return [{ path: ['embeddings', 'server'], wanted }];
}

/** Of settings without faults. */
export function embeddingsOf({ embeddings }: EmbeddingsSettings): EmbeddingsSpec | undefined {
  if (embeddings === undefined) return undefined;
  const { server, model, dimensions } = embeddings;
  return {
    server,
    model,
    dimensions,
    batchSize: embeddings.batch_size,
    timeoutMs: embeddings.timeout_ms,
    queryPrefix: embeddings.query_prefix,
    passagePrefix: embeddings.passage_prefix,
  };
}
