// One call of the model in a run: what it is asked with, and what its turn came to. What follows from that
// is the run's.
import { FailureReasonSchema, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Command } from '../chat/ports/commands.ts';
import type { StatusMark } from '../chat/ports/event-log.ts';
import { fieldsOf } from '../chat/ports/log-fields.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { ModelClient, ModelSink } from '../chat/ports/model.ts';
import { ModelFailure } from '../chat/ports/model.ts';
import { nextCall } from '../chat/rules/request-limits.ts';
import type { Span } from '../chat/ports/span.ts';
import type { End } from '../chat/decisions/terminal.ts';
import type { AnswerSink } from './answer/answer-sink.ts';
import { endByStop } from './run-stop.ts';
import { checkTurn } from './tools/tool-choice.ts';
import type { OpenChat, Turn } from './turn.ts';

/** What of a run a call of the model needs. */
export interface Asking {
  readonly deps: { readonly model: ModelClient; readonly logger: Logger; readonly span: Span };
  readonly command: Command;
  readonly chat: OpenChat;
  readonly mark: StatusMark;
  readonly signal: AbortSignal;
}

/** What a turn came to. tools: calls that are answered here come next. */
export type Outcome = End | GoesOn;
type GoesOn = { readonly kind: 'wait' | 'tools' };

export function goesOn(outcome: Outcome): outcome is GoesOn {
  return outcome.kind === 'wait' || outcome.kind === 'tools';
}

/** Runs the model to what belongs into the log; rejects where the run is not to end here. */
export async function ask(run: Asking, turn: Turn, sink: AnswerSink): Promise<Outcome> {
  const { deps, command, chat, signal } = run;
  const { attempt, runTimeoutMs } = run.mark;
  try {
    signal.throwIfAborted();
    const { request, limits, createdAtMs } = chat;
    const next = nextCall(limits, turn.usage, turn.turn);
    if (!next.may) return { kind: 'completed', stopReason: next.stopReason };
    const { model, correlationId } = command.meta;
    const { firstTokenTimeoutMs, idleTimeoutMs } = limits;
    const call = {
      model,
      answeredBy: turn.answeredBy,
      request,
      messages: turn.messages,
      tools: turn.tools.definitions,
      toolChoice: turn.toolChoice,
      tenant: command.chat.tenant,
      createdAtMs,
      turn: turn.turn,
      correlationId,
      span: deps.span,
      limits: { firstTokenTimeoutMs, idleTimeoutMs, outputTokens: next.outputTokens },
    };
    const taking: ModelSink = sink;
    const told: ModelSink = {
      ...taking,
      warning: (warning) => {
        sink.warning(warning);
        if (warning.cause === undefined) return;
        deps.logger.warn({ ...fieldsOf(command), attempt, err: warning.cause }, warning.message);
      },
    };
    const { stopReason, answeredBy } = await deps.model.generate(call, told, signal);
    turn.answeredBy = answeredBy;
    if (ANSWERS.has(stopReason)) checkTurn(turn.toolChoice, sink.calls);
    if (stopReason !== StopReason.TOOL_USE) return { kind: 'completed', stopReason };
    const answer = chat.format?.tool;
    if (answer !== undefined && sink.inputOf(answer) !== undefined) {
      return { kind: 'completed', stopReason };
    }
    if (sink.someOurs()) return { kind: 'tools' };
    return chat.awaitToolResults ? { kind: 'wait' } : { kind: 'completed', stopReason };
  } catch (error) {
    const end = endByStop(signal, runTimeoutMs);
    if (end !== undefined) return end;
    if (signal.aborted || !(error instanceof ModelFailure)) throw error;
    const { reason, message, retryable } = error;
    deps.logger.warn(
      {
        ...fieldsOf(command),
        attempt,
        reason: FailureReasonSchema.value[reason]?.localName,
        err: error.cause ?? error,
      },
      'the model server failed a chat',
    );
    return { kind: 'failed', reason, message, retryable };
  }
}

/** Ends of a turn in which the model said what it had to say. */
const ANSWERS: ReadonlySet<StopReason> = new Set([
  StopReason.END_TURN,
  StopReason.STOP_SEQUENCE,
  StopReason.TOOL_USE,
]);
