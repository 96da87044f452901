// The port to model servers: what the worker asks of src/model, and nothing of how it is done.
import type { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { Message } from '../../gen/tailrace/v1/content_pb.ts';

/** A model that chats can ask for. */
export interface ModelInfo {
  readonly name: string;
}

/** One call of a model: one turn. */
export interface ModelCall {
  readonly model: string;
  /** Sampling, system text and the rest; not the conversation. */
  readonly request: ChatRequest;
  /** The conversation so far, what this chat has added included. */
  readonly messages: readonly Message[];
  /** Goes upstream as a request header, so that both logs can be held together. */
  readonly correlationId: string;
}

/** Tokens of one call; a number is undefined where the model server did not say. */
export interface ModelUsage {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
  readonly cachedInputTokens: number | undefined;
}

/** Takes what the model says as it says it. Called synchronously, in order, never after the end. */
export interface ModelSink {
  readonly text: (delta: string) => void;
  readonly thinking: (delta: string) => void;
  readonly usage: (usage: ModelUsage) => void;
  /** Undefined: go on. A promise: stop reading from the model server until it resolves. */
  readonly pressure: () => Promise<void> | undefined;
}

export interface ModelOutcome {
  readonly stopReason: StopReason;
}

export interface ModelClient {
  /** The models there are, the default one first. Rejects with a ModelFailure. */
  readonly listModels: (signal: AbortSignal) => Promise<readonly ModelInfo[]>;
  /**
   * Runs one call to its end. Retries only before the first token. Rejects with a ModelFailure, or
   * with the signal's reason after an abort; by then the socket to the model server is closed.
   */
  readonly generate: (
    call: ModelCall,
    sink: ModelSink,
    signal: AbortSignal,
  ) => Promise<ModelOutcome>;
}

/** A model call that failed, in words that may be shown to callers; the cause is for the log. */
export class ModelFailure extends Error {
  readonly reason: FailureReason;
  readonly retryable: boolean;

  constructor(
    reason: FailureReason,
    message: string,
    options: { readonly retryable: boolean; readonly cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.name = 'ModelFailure';
    this.reason = reason;
    this.retryable = options.retryable;
  }
}
