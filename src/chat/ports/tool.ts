// What a tool that Tailrace runs is to a run: a name and a schema for the model, and a call that answers
// with text, and sometimes images. What does not belong here: any tool; they are in src/tools.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Command } from './commands.ts';
import type { ImageType } from '../media-type.ts';
import type { ModelWarning } from './model.ts';

/** A tool as one chat has it: what it may use is bound in. */
export interface ServerTool {
  /** 1 to 128 characters of A–Z, a–z, 0–9, _ and -; unique in its chat. */
  readonly name: string;
  /** For the model: what it does, when to use it, and what there is to use it on. No secret. */
  readonly description: string;
  /** JSON Schema of its input, as JSON text: an object. */
  readonly inputSchema: string;
  /** Whether a call whose fate is not known may be made again: it reads, or does the same twice. */
  readonly idempotent: boolean;
  /** The MCP server that has it, by the request's name; undefined: it is Tailrace's own. */
  readonly server?: string;
  /** The longest wait for one call; undefined: TOOL_CALL_TIMEOUT_MS. */
  readonly timeoutMs?: number;
  /**
   * `input`: fits the schema. Resolves with what the model is told, cut to a bound by whoever calls. Rejects
   * with ToolFailure for what the model is to know; anything else is a fault of ours. Ends soon after
   * `signal` aborts. `traceparent` (W3C): of the call's span, for whatever the tool asks in turn. `tell` may be
   * called as often as there is news, and is heard until the call is over.
   */
  readonly call: (
    input: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    traceparent: string,
    tell?: (progress: ToolProgress) => void,
  ) => Promise<ToolAnswer>;
}

/** One that answers with text alone. */
export interface TextTool extends ServerTool {
  readonly call: (...asked: Parameters<ServerTool['call']>) => Promise<string>;
}

export type ToolAnswer = string | readonly ToolPart[];

export type ToolPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'image'; readonly data: Uint8Array; readonly mediaType: ImageType };

/** How far a call is. Numbers are finite. */
export interface ToolProgress {
  readonly progress: number;
  readonly total: number | undefined;
  readonly message: string;
}

/** What a chat's tools stand on while a run lasts: sessions with the servers that have them. */
export interface OpenTools extends AsyncDisposable {
  /** Why the chat cannot go on: what it requires is not to be had. */
  readonly missing: string | undefined;
  /** As they are now: a server may say that its own have changed. Does not reject. */
  readonly current: () => Promise<readonly ServerTool[]>;
}

/** What a run gives the tools that it opens. */
export interface ToolRunScope {
  /** Who it is for, and how it is found in the log. */
  readonly command: Pick<Command, 'chat' | 'meta'>;
  /** Aborts with the run. */
  readonly signal: AbortSignal;
  /** Of what is missing, before the next turn; the chat goes on. */
  readonly warn: (warning: ModelWarning) => void;
}

/**
 * Opens the tools that are run here of what a request asks for.
 * Does not reject: after `signal` aborts it comes soon to what there is.
 */
export type ToolOpener = (request: ChatRequest, run: ToolRunScope) => Promise<OpenTools>;

/** What a call came to that failed, in words for the model: what was wrong and what would be right. */
export class ToolFailure extends Error {
  constructor(message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options);
    this.name = 'ToolFailure';
  }
}
