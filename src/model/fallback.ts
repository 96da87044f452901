// Asking other models when one is down before its first token: which of them may be asked, when, and what
// the chat is told. After the first token nobody else is asked: an answer is one model's.
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import type { ModelOutcome, ModelSink, ModelWarning } from '../chat/ports/model.ts';
import { ModelFailure } from '../chat/ports/model.ts';

/** What another model may do better. */
const DOWN: ReadonlySet<FailureReason> = new Set([
  FailureReason.UPSTREAM_UNAVAILABLE,
  FailureReason.UPSTREAM_RATE_LIMITED,
  FailureReason.UPSTREAM_UNAUTHENTICATED,
  FailureReason.UPSTREAM_CUT,
  FailureReason.UPSTREAM_INVALID,
  FailureReason.FIRST_TOKEN_TIMEOUT,
]);

/** A model that may be asked, and how. */
export interface Candidate {
  readonly name: string;
  /** What of the request it does not honour; told if it is the one that answers. */
  readonly warnings: () => readonly ModelWarning[];
  /** `others`: how many may still be asked after it. */
  readonly ask: (sink: ModelSink, others: number) => Promise<ModelOutcome>;
}

/** `asked`: the model that the chat wants; the candidates need not begin with it. */
export async function answerByFirst(
  asked: string,
  candidates: readonly Candidate[],
  sink: ModelSink,
  signal: AbortSignal,
): Promise<ModelOutcome> {
  const failures: ModelFailure[] = [];
  for (const [i, { name, warnings, ask }] of candidates.entries()) {
    const failed = candidates.slice(0, i).map((each) => each.name);
    const begin = beginning(sink, () => {
      if (failed.length > 0) sink.warning(answersInPlace(name, failed, failures));
      for (const warning of warnings()) sink.warning(warning);
    });
    try {
      const outcome = await ask(begin.sink, candidates.length - 1 - i);
      begin.now();
      return name === asked ? outcome : { ...outcome, answeredBy: name };
    } catch (error) {
      // A context that is too small speaks against this one alone, where another was asked for.
      const passed = (reason: FailureReason): boolean =>
        DOWN.has(reason) || (i > 0 && reason === FailureReason.CONTEXT_OVERFLOW);
      const down = error instanceof ModelFailure && passed(error.reason) && !begin.hasBegun();
      if (signal.aborted || !down) throw error;
      failures.push(error);
    }
  }
  throw allFailed(candidates, failures);
}

/** A sink that calls back once, before the first word that comes through it. */
function beginning(
  sink: ModelSink,
  onBegin: () => void,
): { readonly sink: ModelSink; readonly now: () => void; readonly hasBegun: () => boolean } {
  let begun = false;
  const now = (): void => {
    if (begun) return;
    begun = true;
    onBegin();
  };
  return {
    now,
    hasBegun: () => begun,
    sink: {
      ...sink,
      text: (delta) => {
        now();
        sink.text(delta);
      },
      thinking: (delta) => {
        now();
        sink.thinking(delta);
      },
      toolUse: (call, id, tool) => {
        now();
        sink.toolUse(call, id, tool);
      },
    },
  };
}

function answersInPlace(
  name: string,
  failed: readonly string[],
  failures: readonly ModelFailure[],
): ModelWarning {
  const why = failures.map(({ message }) => message).join(' ');
  return {
    reason: WarningReason.MODEL_FALLBACK,
    message: `${name} answers in place of ${failed.join(', ')}. ${why}`,
    field: 'request.model',
    cause: causeOf(failures),
  };
}

/** In the words of the first that was asked. */
function allFailed(
  candidates: readonly Candidate[],
  failures: readonly ModelFailure[],
): ModelFailure {
  const [first] = failures;
  if (first === undefined) throw new Error('No model was asked.');
  if (failures.length === 1) return first;
  const others = candidates.slice(1).map(({ name }) => name);
  return new ModelFailure(
    first.reason,
    `${first.message} What may answer in its place failed too: ${others.join(', ')}.`,
    { retryable: failures.some(({ retryable }) => retryable), cause: causeOf(failures) },
  );
}

function causeOf(failures: readonly ModelFailure[]): unknown {
  const causes = failures.map((failure) => failure.cause ?? failure);
  return causes.length === 1 ? causes[0] : new AggregateError(causes, 'several models failed');
}
