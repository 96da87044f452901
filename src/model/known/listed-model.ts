// What a server's list says of each of its models (GET /models): the id alike everywhere, the rest each in
// its own way; anything may be in it.
import type { ModelCapabilities } from '../../chat/ports/model.ts';

/** A model as its server lists it. */
export interface ListedModel {
  readonly id: string;
  readonly ownedBy: string | undefined;
  readonly contextTokens: number | undefined;
  readonly maxOutputTokens: number | undefined;
  readonly can: Partial<ModelCapabilities>;
  /** The body's fields that are read for it; undefined: not said. */
  readonly parameters: ReadonlySet<string> | undefined;
}

export function modelsIn(list: unknown): readonly ListedModel[] {
  const data = fieldOf(list, 'data');
  if (!Array.isArray(data)) return [];
  return data.flatMap((entry: unknown) => {
    const id = fieldOf(entry, 'id');
    return typeof id === 'string' && id !== '' ? [listedModel(id, entry)] : [];
  });
}

function listedModel(id: string, entry: unknown): ListedModel {
  const ownedBy = fieldOf(entry, 'owned_by');
  const parameters = wordsOf(fieldOf(entry, 'supported_parameters'));
  const inputs = wordsOf(fieldOf(fieldOf(entry, 'architecture'), 'input_modalities'));
  return {
    id,
    ownedBy: typeof ownedBy === 'string' ? ownedBy : undefined,
    // vLLM and SGLang; OpenRouter; llama.cpp, whose window may be smaller than what it was trained with.
    contextTokens:
      countOf(fieldOf(entry, 'max_model_len')) ??
      countOf(fieldOf(entry, 'context_length')) ??
      countOf(fieldOf(fieldOf(entry, 'meta'), 'n_ctx')),
    maxOutputTokens: countOf(fieldOf(fieldOf(entry, 'top_provider'), 'max_completion_tokens')),
    can: {
      tools: parameters?.has('tools'),
      jsonSchema: parameters?.has('structured_outputs'),
      reasoning: parameters?.has('reasoning'),
      images: inputs?.has('image'),
    },
    parameters,
  };
}

function countOf(said: unknown): number | undefined {
  return typeof said === 'number' && Number.isInteger(said) && said > 0 ? said : undefined;
}

function wordsOf(said: unknown): ReadonlySet<string> | undefined {
  if (!Array.isArray(said)) return undefined;
  return new Set(said.filter((word) => typeof word === 'string'));
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Reflect.get(value, name);
}
