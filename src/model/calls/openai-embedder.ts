// An embeddings endpoint that speaks OpenAI's API, behind the port in src/chat/ports/embedding.ts: one call
// with its time and its tries, and vectors that can be relied on.
import { FailureReason, FailureReasonSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Embedder } from '../../chat/ports/embedding.ts';
import {
  EMBEDDING_CALL_TRIES,
  MAX_EMBEDDINGS_ANSWER_BYTES,
  MODEL_CONNECT_TIMEOUT_MS,
  MODEL_ERROR_BODY_BYTES,
  MODEL_IDLE_SOCKET_MS,
  MODEL_IDLE_SOCKETS,
  MODEL_RETRY_BASE_MS,
  MODEL_RETRY_MAX_MS,
} from '../../chat/limits.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import type { Span, Tracer } from '../../chat/ports/span.ts';
import { addressOf } from './call-span.ts';
import { vectorsIn } from '../answer/embeddings-answer.ts';
import { failedTry, unreadable } from '../answer/failure.ts';
import { createNodeFetch } from '../http/node-fetch-transport.ts';
import { createSdk } from './openai-sdk.ts';
import type { EmbeddingsSpec, ServerSpec } from '../settings/registry-spec.ts';
import { type RetryPolicy, retryWaitMs, wait } from './retry.ts';

export interface ClosableEmbedder extends Embedder {
  /** Ends all connections that carry no call. */
  readonly close: () => void;
}

const POLICY: RetryPolicy = {
  tries: EMBEDDING_CALL_TRIES,
  baseMs: MODEL_RETRY_BASE_MS,
  maxMs: MODEL_RETRY_MAX_MS,
};

export function createEmbedder(
  server: Pick<ServerSpec, 'baseUrl' | 'apiKey' | 'headers'>,
  spec: Omit<EmbeddingsSpec, 'server'>,
  tracer: Tracer,
  policy: RetryPolicy = POLICY,
): ClosableEmbedder {
  const { model, dimensions, batchSize, timeoutMs } = spec;
  const transport = createNodeFetch({
    connectTimeoutMs: MODEL_CONNECT_TIMEOUT_MS,
    maxErrorBytes: MODEL_ERROR_BODY_BYTES,
    maxBodyBytes: MAX_EMBEDDINGS_ANSWER_BYTES,
    maxIdleSockets: MODEL_IDLE_SOCKETS,
    idleSocketMs: MODEL_IDLE_SOCKET_MS,
  });
  const openai = createSdk(server, transport.fetch);
  const prefixes = { query: spec.queryPrefix, passage: spec.passagePrefix };

  async function askOnce(
    input: readonly string[],
    signal: AbortSignal,
    span: Span,
  ): Promise<readonly Float32Array[]> {
    // Not openai.embeddings.create: it takes for granted that the answer is what was asked for. Base64 is
    // what the SDK asks for as well: digits are three times as long.
    const body = {
      model,
      input,
      encoding_format: 'base64',
      ...(dimensions === undefined ? {} : { dimensions }),
    };
    const headers = { traceparent: span.traceparent };
    const response = await openai.post('/embeddings', { body, headers, signal }).asResponse();
    const stream = transport.streamOf(response);
    if (stream !== undefined) {
      stream.message.destroy();
      throw unreadable('something else than JSON instead of embeddings');
    }
    const { vectors, tokens } = vectorsIn(await response.text(), input.length, dimensions);
    span.set({ 'gen_ai.usage.input_tokens': tokens });
    return vectors;
  }

  async function tryOnce(
    input: readonly string[],
    signal: AbortSignal,
    traceparent: string,
  ): Promise<readonly Float32Array[]> {
    const span = tracer.begin(traceparent, `embeddings ${model}`, 'client', {
      'gen_ai.operation.name': 'embeddings',
      'gen_ai.request.model': model,
      ...addressOf(server.baseUrl),
    });
    try {
      const vectors = await askOnce(input, signal, span);
      span.end();
      return vectors;
    } catch (error) {
      const { reason } = failedTry(error).failure;
      span.end(signal.aborted ? 'ABORTED' : FailureReasonSchema.value[reason]?.localName);
      throw error;
    }
  }

  return {
    batchSize,
    embed: async (kind, texts, { signal, traceparent }) => {
      signal.throwIfAborted();
      const input = texts.map((text) => prefixes[kind] + text);
      const stop = new AbortController();
      const onAbort = (): void => stop.abort(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      const timer = setTimeout(() => stop.abort(timedOut(timeoutMs)), timeoutMs);
      try {
        for (let tried = 1; ; tried++) {
          try {
            return await tryOnce(input, stop.signal, traceparent);
          } catch (error) {
            if (stop.signal.aborted) throw stop.signal.reason;
            const { failure, again, retryAfterMs } = failedTry(error);
            const waitMs =
              again && tried < policy.tries ? retryWaitMs(tried, retryAfterMs, policy) : undefined;
            if (waitMs === undefined) throw failure;
            await wait(waitMs, stop.signal);
          }
        }
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      }
    },
    close: transport.closeIdle,
  };
}

function timedOut(timeoutMs: number): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_UNAVAILABLE,
    `The embeddings endpoint did not answer within ${timeoutMs} ms.`,
    { retryable: true },
  );
}
