// ListModels: what chats can ask for, the default model first.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ListModelsResponseSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../chat/errors.ts';
import type { ModelClient, ModelInfo } from '../chat/model-port.ts';
import { ModelFailure } from '../chat/model-port.ts';

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
  return { models: models.map(({ name }, i) => ({ name, isDefault: i === 0 })) };
}
