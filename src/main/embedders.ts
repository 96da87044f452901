// The embeddings endpoint of the operator's file as it is now. A run keeps to the one that it began with.
import type { Embedder } from '../chat/ports/embedding.ts';
import type { Tracer } from '../chat/ports/span.ts';
import { type ClosableEmbedder, createEmbedder } from '../model/calls/openai-embedder.ts';
import type { RegistrySpec } from '../model/settings/registry-spec.ts';

export interface Embedders {
  readonly embedder: () => Embedder | undefined;
  readonly close: () => void;
}

/** `spec`: another object each time that the file was read again. */
export function embedders(spec: () => RegistrySpec, tracer: Tracer): Embedders {
  let made: { readonly of: RegistrySpec; readonly one: ClosableEmbedder | undefined } | undefined;
  return {
    embedder: () => {
      const now = spec();
      if (made?.of === now) return made.one;
      made?.one?.close();
      made = { of: now, one: embedderOf(now, tracer) };
      return made.one;
    },
    close: () => made?.one?.close(),
  };
}

function embedderOf(
  { embeddings, servers }: RegistrySpec,
  tracer: Tracer,
): ClosableEmbedder | undefined {
  const server = servers.find(({ name }) => name === embeddings?.server);
  if (embeddings === undefined || server === undefined) return undefined;
  return createEmbedder(server, embeddings, tracer);
}
