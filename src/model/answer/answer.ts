// The meaning of a streamed chat completion: each event's data goes in, text and usage come out at
// the sink, and at the end there is an outcome or a ModelFailure. Knows nothing of sockets or time.
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ModelFailure, ModelOutcome, ModelSink, ModelUsage } from '../../chat/ports/model.ts';
import { cutAnswer, emptyAnswer, errorInStream, unreadable } from './failure.ts';
import { stopReasonOf, type WireFinish } from './finish.ts';
import { createDetailCollector } from '../dialects/reasoning-details.ts';
import { createTagSplitter, type ThinkTags } from '../dialects/think-tags.ts';
import { createToolCallDeltas } from './tool-call-deltas.ts';
import { createWholeCharacters } from './whole-characters.ts';

export interface Answer {
  /** Takes one event. Throws a ModelFailure where it is no part of an answer. */
  readonly take: (data: string, name: string, last: boolean) => void;
  /** Has the model said something? */
  readonly hasBegun: () => boolean;
  /** Did the model server say why the answer ended? */
  readonly isFinished: () => boolean;
  /** Did the model server say that nothing follows? */
  readonly isDone: () => boolean;
  /** What came of it. Throws a ModelFailure where it is not an answer. */
  readonly outcome: () => ModelOutcome;
  /** Hands over what was held back: also of what failed the words count, and have their price. */
  readonly release: () => void;
}

// What is read of the wire; anything may be in it.
interface WireChunk {
  readonly choices?: unknown;
  readonly usage?: unknown;
  readonly error?: unknown;
}
interface WireChoice extends WireFinish {
  readonly delta?: WireDelta | null;
}
interface WireDelta {
  readonly content?: unknown;
  readonly reasoning_content?: unknown;
  readonly reasoning?: unknown;
  readonly reasoning_details?: unknown;
  readonly refusal?: unknown;
  readonly tool_calls?: unknown;
}

const MAX_COUNT = 2 ** 31 - 1;
/** Ends that are an answer though nothing was said. */
const MAY_BE_EMPTY: ReadonlySet<StopReason> = new Set([
  StopReason.CONTENT_FILTER,
  StopReason.REFUSAL,
  StopReason.MAX_TOKENS,
]);

export interface Asked {
  readonly stops: readonly string[];
  /** The request has tools. */
  readonly tools: boolean;
  /** The most tokens that the answer may have; undefined: none was asked for. */
  readonly mostTokens: number | undefined;
  /** How the model marks reasoning within its text; undefined: it does not, or its server takes it out. */
  readonly thinkTags: ThinkTags | undefined;
}

/** Ends by which the model was done; with a call they mean that it waits for its result. */
const SAYS_DONE: ReadonlySet<StopReason> = new Set([
  StopReason.END_TURN,
  StopReason.STOP_SEQUENCE,
  StopReason.TOOL_USE,
]);

export function createAnswer(sink: ModelSink, asked: Asked): Answer {
  const { stops, tools, thinkTags } = asked;
  let begun = false;
  let refused = false;
  let done = false;
  let stopReason: StopReason | undefined;
  let heldUsage: ModelUsage | undefined;
  let outputTokens: number | undefined;
  const tags = thinkTags && createTagSplitter(thinkTags, sink);
  const text = createWholeCharacters(tags?.push ?? sink.text);
  const thinking = createWholeCharacters(sink.thinking);
  const details = createDetailCollector();
  const calls = createToolCallDeltas(sink);

  function takeThought(delta: WireDelta): void {
    const plain = textIn(delta.reasoning_content) || textIn(delta.reasoning);
    // The same words twice, where both are there.
    const inDetails = Array.isArray(delta.reasoning_details)
      ? details.take(delta.reasoning_details)
      : '';
    const thought = plain || inDetails;
    if (thought === '') return;
    begun = true;
    // A server that hands reasoning over by itself leaves no tags of it in the text.
    tags?.off();
    thinking.push(thought);
  }

  /** What was thought so far is whole. */
  function sign(): void {
    const signature = details.signature();
    if (signature !== '') sink.signature(signature);
  }

  function takeChoice(choice: WireChoice): void {
    const delta = choice.delta;
    if (isObject(delta)) {
      takeThought(delta);
      const said = textIn(delta.content);
      if (said !== '') {
        begun = true;
        sign();
        text.push(said);
      }
      const refusal = textIn(delta.refusal);
      if (refusal !== '') {
        begun = true;
        refused = true;
        tags?.off();
        text.push(refusal);
      }
      if (Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0) {
        // No tool was offered. To leave the call out would show a completed chat that is not.
        if (!tools) throw unreadable('a tool call although the request offers no tools');
        begun = true;
        tags?.flush();
        sign();
        calls.take(delta.tool_calls);
      }
    }
    // The first word counts: some servers repeat the end with another reason.
    stopReason ??= stopReasonOf(choice, stops);
  }

  function takeUsage(usage: object, alone: boolean): void {
    heldUsage = usageOf(usage);
    outputTokens = heldUsage.outputTokens;
    // Some servers count along on every token: that is held, so that it costs nothing further.
    if (alone) reportUsage();
  }

  function reportUsage(): void {
    const usage = heldUsage;
    heldUsage = undefined;
    if (usage !== undefined) sink.usage(usage);
  }

  /** vLLM says "tool_calls" also where the length cut the call. */
  function callWasCut(): boolean {
    const { mostTokens = Infinity } = asked;
    return (outputTokens ?? 0) >= mostTokens && calls.someBroken();
  }

  function release(): void {
    thinking.end();
    text.end();
    tags?.flush();
    sign();
    reportUsage();
  }

  return {
    take(data, name, last) {
      if (done) return;
      if (data === '[DONE]') {
        done = true;
        return;
      }
      const chunk = parse(data, last);
      if (chunk === undefined) return;
      if (chunk.error !== undefined && chunk.error !== null) throw errorInStream(chunk.error);
      if (name === 'error') throw errorInStream(chunk);
      const choices = chunk.choices ?? [];
      if (!Array.isArray(choices))
        throw unreadable('an event that is no part of a chat completion');
      const choice: unknown = choices[0];
      if (isObject(choice)) takeChoice(choice);
      if (isObject(chunk.usage)) takeUsage(chunk.usage, choices.length === 0);
    },
    hasBegun: () => begun,
    isFinished: () => stopReason !== undefined,
    isDone: () => done,
    outcome() {
      release();
      if (stopReason === undefined && !done) throw cutAnswer();
      calls.end();
      const reason = refused ? StopReason.REFUSAL : (stopReason ?? StopReason.END_TURN);
      if (!begun && !MAY_BE_EMPTY.has(reason)) throw emptyAnswer();
      // Some servers say "stop" after a call.
      if (calls.count() > 0 && SAYS_DONE.has(reason)) {
        return { stopReason: callWasCut() ? StopReason.MAX_TOKENS : StopReason.TOOL_USE };
      }
      if (reason === StopReason.TOOL_USE) {
        throw unreadable('the word that it called a tool, and no call that could be read');
      }
      return { stopReason: reason };
    },
    release,
  };
}

/** Undefined for what is cut off at the very end: outcome() knows whether the answer was whole. */
function parse(data: string, last: boolean): WireChunk | undefined {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch {
    // Without the SyntaxError as its cause: that quotes the text.
    if (last) return undefined;
    throw unreadableJson(data);
  }
  if (!isObject(chunk)) throw unreadable('an event that is no part of a chat completion');
  return chunk;
}

function unreadableJson(data: string): ModelFailure {
  return unreadable(`${Buffer.byteLength(data)} bytes within its answer that are not JSON`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Text in a form that is not known must not be lost in silence. */
function textIn(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  throw unreadable('a part of its answer in a form that Tailrace does not know');
}

interface WireUsage {
  readonly prompt_tokens?: unknown;
  readonly completion_tokens?: unknown;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: unknown } | null;
  /** SGLang's place for it. */
  readonly reasoning_tokens?: unknown;
  readonly prompt_tokens_details?: { readonly cached_tokens?: unknown } | null;
  readonly prompt_cache_hit_tokens?: unknown;
}

function usageOf(usage: WireUsage): ModelUsage {
  return {
    inputTokens: countIn(usage.prompt_tokens),
    outputTokens: countIn(usage.completion_tokens),
    reasoningTokens:
      countIn(usage.completion_tokens_details?.reasoning_tokens) ?? countIn(usage.reasoning_tokens),
    cachedInputTokens:
      countIn(usage.prompt_tokens_details?.cached_tokens) ?? countIn(usage.prompt_cache_hit_tokens),
  };
}

function countIn(value: unknown): number | undefined {
  const count = typeof value === 'number' && Number.isInteger(value) ? value : -1;
  return count >= 0 && count <= MAX_COUNT ? count : undefined;
}
