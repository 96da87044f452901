// The port to model servers: what the worker asks of src/model, and nothing of how it is done.
import type { FailureReason, StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatRequest, ToolChoice } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Message } from '../../../gen/tailrace/v1/content_pb.ts';
import type { WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Span } from './span.ts';
import type { DefaultPrompt } from '../prompt/system-text.ts';

/** The request's fields of sampling, as the contract spells them. */
export const SAMPLING_FIELDS = [
  'seed',
  'min_p',
  'top_p',
  'temperature',
  'top_k',
  'repetition_penalty',
  'presence_penalty',
  'frequency_penalty',
  'max_tokens',
  'stop',
] as const;
export type SamplingField = (typeof SAMPLING_FIELDS)[number];

/** What a model's server reads or does not read of a request, as paths below it. */
export const SERVER_FIELDS = [
  ...SAMPLING_FIELDS,
  'thinking.effort',
  'thinking.budget_tokens',
  'messages.content.thinking',
] as const;
export type ServerField = (typeof SERVER_FIELDS)[number];

/** What a model can do; undefined: nobody has said. */
export interface ModelCapabilities {
  readonly tools: boolean | undefined;
  readonly parallelTools: boolean | undefined;
  readonly jsonSchema: boolean | undefined;
  readonly reasoning: boolean | undefined;
  readonly images: boolean | undefined;
  readonly documents: boolean | undefined;
}

/** How a model cuts text into tokens, where that can be counted here. */
export const TOKENIZERS = ['o200k_base', 'cl100k_base'] as const;
export type TokenizerName = (typeof TOKENIZERS)[number];

/** What a million tokens cost, in the operator's own currency. */
export interface ModelPrices {
  readonly currency: string;
  readonly input: number;
  /** Undefined: as other input. */
  readonly cachedInput: number | undefined;
  readonly output: number;
}

/** What a call has cost, in the operator's own currency. */
export interface ModelCost {
  readonly amount: number;
  readonly currency: string;
}

/** A model that chats can ask for. */
export interface ModelInfo {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly can: ModelCapabilities;
  readonly contextTokens: number | undefined;
  readonly maxOutputTokens: number | undefined;
  /** What its server reads; the rest is a warning, or refused by a strict request. */
  readonly reads: ReadonlySet<ServerField>;
  /** Its server goes on with an assistant message that is the last one. */
  readonly continues: boolean;
  /** Its server has it call a tool where tool_choice says that it must, and never by its own choice. */
  readonly callsOnlyForced: boolean;
  /** Its server fetches images by their address. */
  readonly imageUrls: boolean;
  /** The most stop texts that its server takes; undefined: not known. */
  readonly maxStops: number | undefined;
  /** What in a schema its server cannot be strict about; undefined: nothing is known of that. */
  readonly schemaFault: ((schema: object) => string | undefined) | undefined;
  /** Asked in this order when the model is down before its first token. */
  readonly fallbacks: readonly string[];
  /** The most calls at once, by the operator's word; those that come then wait. */
  readonly parallelCalls: number | undefined;
  readonly prices: ModelPrices | undefined;
  /** Undefined: not known, and the model server alone can tell whether a conversation fits. */
  readonly tokenizer: TokenizerName | undefined;
  readonly defaultPrompt: DefaultPrompt | undefined;
}

/** Something that is not honoured; the chat goes on. */
export interface ModelWarning {
  readonly reason: WarningReason;
  readonly message: string;
  /** The request's field, as a path; empty if none. */
  readonly field: string;
  /** For the log alone. */
  readonly cause?: unknown;
}

/** A tool as the model is told of it. */
export interface ToolDefinition {
  readonly name: string;
  readonly description: string;
  /** JSON text, compiled at the door; empty: it has no input. */
  readonly inputSchema: string;
}

/** One call of a model: one turn. */
export interface ModelCall {
  /** A name out of the list of models. */
  readonly model: string;
  /** Who answered the turn before, if it was another: it is asked first. */
  readonly answeredBy: string | undefined;
  /** Sampling, system text and the rest; not the conversation. */
  readonly request: ChatRequest;
  /** The conversation so far, what this chat has added included. */
  readonly messages: readonly Message[];
  /** What the model may call, the client's tools and Tailrace's own. */
  readonly tools: readonly ToolDefinition[];
  /** Of this turn. */
  readonly toolChoice: ToolChoice | undefined;
  /** With createdAtMs what the operator's default prompt may tell. */
  readonly tenant: string;
  readonly createdAtMs: number;
  /** Counts the chat's turns from 1; what is not honoured is told in the first. */
  readonly turn: number;
  /** Goes upstream as a request header, so that both logs can be held together. */
  readonly correlationId: string;
  /** Of the run: each call of a model server is a span of its own in it. */
  readonly span: Span;
  readonly limits: CallLimits;
}

export interface CallLimits {
  /** From when it is sent to the model's first word, tries, waits and other models included. */
  readonly firstTokenTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** What is left of the chat's budget of tokens; undefined: no bound. */
  readonly outputTokens: number | undefined;
}

/** Tokens of one call; a number is undefined where the model server did not say. */
export interface ModelUsage {
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
  readonly cachedInputTokens: number | undefined;
  /** Undefined where the operator gave no prices, or the server did not count. */
  readonly cost?: ModelCost | undefined;
}

/** Takes what the model says as it says it. Called synchronously, in order, never after the end. */
export interface ModelSink {
  readonly text: (delta: string) => void;
  readonly thinking: (delta: string) => void;
  /** What is to be handed back with the reasoning that came before. */
  readonly signature: (signature: string) => void;
  /** A call of a tool begins; they are numbered from 0. The id is empty where none was given. */
  readonly toolUse: (call: number, id: string, name: string) => void;
  /** More of the JSON text of its input. */
  readonly toolInput: (call: number, json: string) => void;
  readonly usage: (usage: ModelUsage) => void;
  readonly warning: (warning: ModelWarning) => void;
  /** Undefined: go on. A promise: stop reading from the model server until it resolves. */
  readonly pressure: () => Promise<void> | undefined;
}

export interface ModelOutcome {
  readonly stopReason: StopReason;
  /** Who answered, if it was another than the model that was asked for. */
  readonly answeredBy?: string | undefined;
}

export interface ModelClient {
  /** The models there are, the default one first. Rejects with a ModelFailure. */
  readonly listModels: (signal: AbortSignal) => Promise<readonly ModelInfo[]>;
  /**
   * Runs one call to its end. Retries, and asks other models, only before the first token. Rejects with a ModelFailure, or
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
