// src/model: model servers, behind the port in src/chat/model-port.ts. Here: any server that speaks
// OpenAI's chat completions. The openai SDK makes requests and errors; time, tries and the stream
// are ours. May not live here: anything of NATS, rpcs, or a chat's life.
import OpenAI from 'openai';
import {
  FIRST_TOKEN_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  MODEL_CALL_TRIES,
  MODEL_CONNECT_TIMEOUT_MS,
  MODEL_ERROR_BODY_BYTES,
  MODEL_IDLE_SOCKET_MS,
  MODEL_IDLE_SOCKETS,
  MODEL_LIST_BYTES,
  MODEL_LIST_FRESH_MS,
  MODEL_LIST_RETRY_MS,
  MODEL_LIST_TIMEOUT_MS,
  MODEL_RETRY_BASE_MS,
  MODEL_RETRY_MAX_MS,
  MODEL_SSE_LINE_BYTES,
  MODEL_TAIL_MS,
} from '../chat/limits.ts';
import type { ModelCall, ModelClient, ModelOutcome, ModelSink } from '../chat/model-port.ts';
import { chatBody, type MaxTokensField, maxTokensFieldOf } from './chat-body.ts';
import { failedTry, firstTokenTimeout, listTimeout, notAStream, unreadable } from './failure.ts';
import { createModelList, fixedModelList } from './model-list.ts';
import { createNodeFetch } from './node-fetch-transport.ts';
import { readAnswer } from './read-answer.ts';
import { retryWaitMs, wait } from './retry.ts';

export interface OpenAiClientOptions {
  /** With its path, for example http://127.0.0.1:8000/v1. */
  readonly baseUrl: string;
  /** Undefined: no Authorization is sent. */
  readonly apiKey?: string | undefined;
  /** Given: the model server is not asked which models there are. */
  readonly models?: readonly string[] | undefined;
  /** Undefined: the first of the list. */
  readonly defaultModel?: string | undefined;
  /** Default: by the address. */
  readonly maxTokensField?: MaxTokensField;
  readonly connectTimeoutMs?: number;
  /** From the start of the call to the model's first word, tries and waits included. */
  readonly firstTokenTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly tailMs?: number;
  readonly tries?: number;
  readonly retryBaseMs?: number;
  readonly retryMaxMs?: number;
  readonly maxLineBytes?: number;
  readonly listTimeoutMs?: number;
  readonly listFreshMs?: number;
  readonly listRetryMs?: number;
}

export interface OpenAiClient extends ModelClient {
  /** Ends all connections to the model server. */
  readonly close: () => void;
}

export function createModelClient(options: OpenAiClientOptions): OpenAiClient {
  const {
    baseUrl,
    apiKey,
    models,
    defaultModel,
    maxTokensField = maxTokensFieldOf(baseUrl),
    connectTimeoutMs = MODEL_CONNECT_TIMEOUT_MS,
    firstTokenTimeoutMs = FIRST_TOKEN_TIMEOUT_MS,
    idleTimeoutMs = IDLE_TIMEOUT_MS,
    tailMs = MODEL_TAIL_MS,
    maxLineBytes = MODEL_SSE_LINE_BYTES,
    listTimeoutMs = MODEL_LIST_TIMEOUT_MS,
  } = options;
  const policy = {
    tries: options.tries ?? MODEL_CALL_TRIES,
    baseMs: options.retryBaseMs ?? MODEL_RETRY_BASE_MS,
    maxMs: options.retryMaxMs ?? MODEL_RETRY_MAX_MS,
  };
  const transport = createNodeFetch({
    connectTimeoutMs,
    maxErrorBytes: MODEL_ERROR_BODY_BYTES,
    maxBodyBytes: MODEL_LIST_BYTES,
    maxIdleSockets: MODEL_IDLE_SOCKETS,
    idleSocketMs: MODEL_IDLE_SOCKET_MS,
  });
  const openai = createSdk(baseUrl, apiKey, transport.fetch);
  const modelList =
    models !== undefined && models.length > 0
      ? fixedModelList(models, defaultModel)
      : createModelList({
          read: readModels,
          defaultModel,
          freshMs: options.listFreshMs ?? MODEL_LIST_FRESH_MS,
          retryMs: options.listRetryMs ?? MODEL_LIST_RETRY_MS,
        });

  async function readModels(): Promise<readonly string[]> {
    const signal = AbortSignal.timeout(listTimeoutMs);
    try {
      // Not openai.models.list: it takes for granted that the answer is a list.
      const names = namesIn(await openai.get<unknown>('/models', { signal }));
      if (names.length > 0 || defaultModel !== undefined) return names;
    } catch (error) {
      if (signal.aborted) throw listTimeout(listTimeoutMs);
      if (error instanceof SyntaxError) throw unreadable('a list of models that is not JSON');
      throw failedTry(error).failure;
    }
    throw unreadable('a list of models without a model');
  }

  async function generate(
    call: ModelCall,
    sink: ModelSink,
    signal: AbortSignal,
  ): Promise<ModelOutcome> {
    signal.throwIfAborted();
    const body = chatBody(call, maxTokensField);
    const headers = correlationHeaders(call.correlationId);
    // One way to stop for both: the caller's abort and the first token that does not come.
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const deadline = performance.now() + firstTokenTimeoutMs;
    const firstTokenTimer = setTimeout(() => {
      stop.abort(firstTokenTimeout(firstTokenTimeoutMs));
    }, firstTokenTimeoutMs);
    let begun = false;

    async function callOnce(): Promise<ModelOutcome> {
      const response = await openai.chat.completions
        .create(body, { signal: stop.signal, headers })
        .asResponse();
      const stream = transport.streamOf(response);
      if (stream === undefined) {
        throw notAStream(response.headers.get('content-type') ?? '', await response.text());
      }
      return await readAnswer(stream, {
        sink,
        stops: call.request.stop,
        signal: stop.signal,
        onFirstToken() {
          begun = true;
          clearTimeout(firstTokenTimer);
        },
        idleTimeoutMs,
        tailMs,
        maxLineBytes,
      });
    }

    try {
      for (let tried = 1; ; tried++) {
        try {
          return await callOnce();
        } catch (error) {
          if (stop.signal.aborted) throw stop.signal.reason;
          const { failure, again, retryAfterMs } = failedTry(error);
          if (begun || !again || tried >= policy.tries) throw failure;
          const waitMs = retryWaitMs(tried, retryAfterMs, policy);
          // No use in waiting past the deadline, and this failure says more than a timeout would.
          if (waitMs === undefined || performance.now() + waitMs >= deadline) throw failure;
          await wait(waitMs, stop.signal);
        }
      }
    } finally {
      clearTimeout(firstTokenTimer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  return { listModels: modelList.list, generate, close: transport.closeIdle };
}

/** Everything is said, so that the SDK takes nothing from the environment behind config's back. */
function createSdk(
  baseURL: string,
  apiKey: string | undefined,
  fetch: typeof globalThis.fetch,
): OpenAI {
  return new OpenAI({
    baseURL,
    apiKey: apiKey ?? 'none',
    defaultHeaders: apiKey === undefined ? { authorization: null } : {},
    adminAPIKey: null,
    organization: null,
    project: null,
    webhookSecret: null,
    // Its debug level prints prompts.
    logLevel: 'off',
    maxRetries: 0,
    // Ours are shorter; this one only has to stay out of the way. The longest that a timer takes.
    timeout: 2 ** 31 - 1,
    fetch,
  });
}

/** Under the name that proxies log and the one that OpenAI logs; a header takes ASCII only. */
function correlationHeaders(correlationId: string): Record<string, string> {
  if (correlationId === '') return {};
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(correlationId);
  const value = plain ? correlationId : encodeURIComponent(correlationId.toWellFormed());
  return { 'x-correlation-id': value, 'x-client-request-id': value };
}

function namesIn(list: unknown): readonly string[] {
  const data = typeof list === 'object' && list !== null && 'data' in list ? list.data : undefined;
  if (!Array.isArray(data)) return [];
  return data.flatMap((entry: unknown) => {
    const id = typeof entry === 'object' && entry !== null && 'id' in entry ? entry.id : undefined;
    return typeof id === 'string' && id !== '' ? [id] : [];
  });
}
