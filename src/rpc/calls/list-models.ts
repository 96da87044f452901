// ListModels: what chats can ask for, the default model first.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  ListModelsResponseSchema,
  ModelSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../../chat/errors.ts';
import type { ModelClient, ModelInfo } from '../../chat/ports/model.ts';
import { ModelFailure, SERVER_FIELDS } from '../../chat/ports/model.ts';

/** The models there are. Rejects with MODELS_UNAVAILABLE where the model server cannot be asked. */
export async function modelsOrUnavailable(
  model: ModelClient,
  signal: AbortSignal,
): Promise<readonly ModelInfo[]> {
  try {
    return await model.listModels(signal);
  } catch (cause) {
    if (!(cause instanceof ModelFailure)) throw cause;
    throw new ChatError(
      'MODELS_UNAVAILABLE',
      `The model server cannot be asked which models it has, so nothing was created. ${cause.message}`,
      { retryAfterMs: 2_000, cause },
    );
  }
}

export async function listModels(
  model: ModelClient,
  signal: AbortSignal,
): Promise<MessageInitShape<typeof ListModelsResponseSchema>> {
  const models = await modelsOrUnavailable(model, signal);
  return { models: models.map((info, i) => viewOf(info, i === 0)) };
}

function viewOf(info: ModelInfo, isDefault: boolean): MessageInitShape<typeof ModelSchema> {
  const { name, aliases, can, contextTokens, maxOutputTokens, parallelCalls } = info;
  const { reads, fallbacks, prices } = info;
  return {
    name,
    aliases: [...aliases],
    isDefault,
    capabilities: defined(can),
    ...defined({ contextTokens, maxOutputTokens, parallelCalls }),
    unreadFields: SERVER_FIELDS.filter((field) => !reads.has(field)),
    fallbacks: [...fallbacks],
    ...(prices === undefined ? {} : { prices: defined(prices) }),
  };
}

/** Without what is not known: to protobuf-es a set undefined is no absence. */
function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const known = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
