// What a model server's finish_reason means. Servers have their own words; one that is not known is
// a failure and not a guess, since COMPLETED must be true.
import { FailureReason, StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import { identifierOf } from './identifier.ts';

/** The part of a choice that says why it ended. */
export interface WireFinish {
  readonly finish_reason?: unknown;
  /** vLLM: the stop text that came; a number is a token's id. */
  readonly stop_reason?: unknown;
  /** SGLang: the same. */
  readonly matched_stop?: unknown;
  /** OpenRouter: the provider's own word, where finish_reason is made equal for all of them. */
  readonly native_finish_reason?: unknown;
}

const STOP_REASONS: ReadonlyMap<string, StopReason> = new Map([
  ['stop', StopReason.END_TURN],
  ['end_turn', StopReason.END_TURN],
  ['eos', StopReason.END_TURN],
  ['eos_token', StopReason.END_TURN],
  ['stop_sequence', StopReason.STOP_SEQUENCE],
  ['length', StopReason.MAX_TOKENS],
  ['max_tokens', StopReason.MAX_TOKENS],
  ['model_length', StopReason.MAX_TOKENS],
  ['tool_calls', StopReason.TOOL_USE],
  ['function_call', StopReason.TOOL_USE],
  ['refusal', StopReason.REFUSAL],
  ['content_filter', StopReason.CONTENT_FILTER],
  ['safety', StopReason.CONTENT_FILTER],
]);

/** The model server stopped, not the model. */
const INTERRUPTIONS: ReadonlySet<string> = new Set([
  'abort',
  'aborted',
  'cancelled',
  'error',
  'insufficient_system_resource',
  // vLLM: it saw the model repeat itself.
  'repetition',
]);

/** Undefined while the choice goes on. Throws a ModelFailure where the end is no answer. */
export function stopReasonOf(choice: WireFinish, stops: readonly string[]): StopReason | undefined {
  const said = choice.finish_reason;
  // Some servers write '' until there is a reason.
  if (said === undefined || said === null || said === '') return undefined;
  const word = typeof said === 'string' ? said.toLowerCase() : '';
  const stopReason = STOP_REASONS.get(word);
  if (stopReason === StopReason.CONTENT_FILTER && choice.native_finish_reason === 'refusal') {
    return StopReason.REFUSAL;
  }
  if (stopReason === StopReason.END_TURN && namesStop(choice, stops)) {
    return StopReason.STOP_SEQUENCE;
  }
  if (stopReason !== undefined) return stopReason;
  if (INTERRUPTIONS.has(word)) {
    throw new ModelFailure(
      FailureReason.UPSTREAM_CUT,
      `The model server gave the answer up before it was finished (finish_reason "${word}"). ` +
        'What came so far is incomplete; try again.',
      { retryable: true },
    );
  }
  throw new ModelFailure(
    FailureReason.UPSTREAM_INVALID,
    `The model server ended the answer for a reason that Tailrace does not know ` +
      `(finish_reason ${identifierOf(said) ?? 'of an odd form'}), so it cannot be called complete.`,
    { retryable: false },
  );
}

/**
 * END_TURN and a stop text look alike on OpenAI's wire, and so with llama.cpp and Ollama; some servers
 * say which it was. Only a text that was asked for counts: the field holds other words on other servers.
 */
function namesStop(choice: WireFinish, stops: readonly string[]): boolean {
  if (stops.length > 0 && choice.native_finish_reason === 'stop_sequence') return true;
  return stops.some((stop) => stop === choice.stop_reason || stop === choice.matched_stop);
}
