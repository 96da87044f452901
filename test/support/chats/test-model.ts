// The one model of tests that make no model list of their own.
import type { ModelInfo } from '../../../src/chat/ports/model.ts';
import { SERVER_FIELDS } from '../../../src/chat/ports/model.ts';

export const TEST_MODEL = 'test-model';

export const TEST_MODEL_INFO: ModelInfo = modelInfo(TEST_MODEL);

/** Of which nothing is known, and whose server reads everything. */
export function modelInfo(name: string, more: Partial<ModelInfo> = {}): ModelInfo {
  return {
    name,
    aliases: [],
    can: {
      tools: undefined,
      parallelTools: undefined,
      jsonSchema: undefined,
      reasoning: undefined,
      images: undefined,
      documents: undefined,
    },
    contextTokens: undefined,
    maxOutputTokens: undefined,
    reads: new Set(SERVER_FIELDS),
    continues: true,
    callsOnlyForced: false,
    imageUrls: true,
    maxStops: undefined,
    schemaFault: undefined,
    fallbacks: [],
    parallelCalls: undefined,
    prices: undefined,
    tokenizer: undefined,
    defaultPrompt: undefined,
    ...more,
  };
}
