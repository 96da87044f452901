// One run of one chat, from its claim to its end or to its wait for the client's tools: the model is
// asked for the next turn, and what it says goes to the log. Finished steps are never asked again.
import { create } from '@bufbuild/protobuf';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  FailureReason,
  FailureReasonSchema,
  StopReason,
  UsageSchema,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Settled } from '../chat/append.ts';
import type { Command } from '../chat/commands.ts';
import { runDueMs, runTimeout, toolDeadlineMs } from '../chat/deadlines.ts';
import type { StatusMark } from '../chat/event-log.ts';
import { fieldsOf } from '../chat/log-fields.ts';
import type { Logger } from '../chat/logger.ts';
import type { ModelClient, ModelSink } from '../chat/model-port.ts';
import { ModelFailure } from '../chat/model-port.ts';
import { nextCall } from '../chat/request-limits.ts';
import { OpenError } from '../chat/sealing-port.ts';
import type { End } from '../chat/terminal.ts';
import { type Judged, judge, schemaNotMet } from './answer-format.ts';
import { AnswerSink } from './answer-sink.ts';
import type { LogWriter } from './log-writer.ts';
import { isFull } from './log-writer.ts';
import type { Turn, TurnDeps } from './turn.ts';
import { isFirstStep, nextTurn, repairTurn } from './turn.ts';

/** Why a run is stopped before the model is done: the reason of its abort signal. */
export class RunStop extends Error {
  readonly why: 'cancelled' | 'hand-back' | 'lost' | 'run-timeout';

  constructor(why: RunStop['why'], message: string) {
    super(message);
    this.name = 'RunStop';
    this.why = why;
  }
}

export type RunResult =
  /** The terminal event is in the log. */
  | { readonly type: 'ended'; readonly end: End }
  /** The chat waits for its client's tools and the log shows it. */
  | { readonly type: 'waits' }
  /** The chat was given back and the log shows it. */
  | { readonly type: 'handed-back' }
  /** Another writer owns the chat or ended it, or the log is away: this run is over, the chat not. */
  | { readonly type: 'lost'; readonly why: string };

export interface RunDeps extends TurnDeps {
  readonly model: ModelClient;
  readonly logger: Logger;
}

/** What a turn came to. */
type Outcome = End | { readonly kind: 'wait' };

/** `mark`: of the claim, whose record the writer knows. */
export async function runChat(
  deps: RunDeps,
  command: Command,
  writer: LogWriter,
  mark: StatusMark,
  abort: AbortController,
): Promise<RunResult> {
  const leftMs = runDueMs(mark) - Date.now();
  const late = (): void => abort.abort(new RunStop('run-timeout', 'the run took too long'));
  // At once where it was due while nobody ran it: no model is asked any more.
  if (leftMs <= 0) late();
  const timer = setTimeout(late, Math.max(leftMs, 0));
  let turn: Turn | undefined;
  try {
    turn = await nextTurn(deps, command, writer.storeSequence, mark);
    // Erased: the chat is deleted, and the fence says so to whoever appends.
    if (turn === undefined) return lost('its start is erased: the chat is deleted');
    writer.resume(turn.textHash);
    for (;;) {
      const sink = new AnswerSink(writer, turn);
      const outcome = await ask(deps, command, turn, sink, abort.signal, mark);
      const usage = sink.finish(outcome);
      const next = nextCall(turn.limits, usage, turn.turn + 1);
      if (outcome.kind === 'wait') {
        // Results that no call could be made with are not asked for.
        if (next.may) return await wait(writer, sink, mark);
        return await finish(writer, { kind: 'completed', stopReason: next.stopReason }, usage);
      }
      const judged = judgeTurn(turn, sink, outcome);
      if ('end' in judged) return await finish(writer, judged.end, usage);
      const { violations } = judged;
      const fields = { ...fieldsOf(command), attempt: writer.attempt, turn: turn.turn };
      deps.logger.warn(
        { ...fields, violations: violations.length },
        'an answer did not fit its schema',
      );
      const repaired = turn.repairs.length > 0;
      // Asking again is a turn and a call of the model as any other.
      if (repaired || !next.may) {
        return await finish(writer, schemaNotMet(violations, repaired), usage);
      }
      turn = repairTurn(turn, sink, usage, violations);
    }
  } catch (error) {
    const stop: unknown = abort.signal.aborted ? abort.signal.reason : error;
    if (stop instanceof RunStop && stop.why === 'lost') return lost(stop.message);
    if (stop instanceof RunStop && stop.why === 'hand-back') return await handBack(writer);
    // Without its past it has nothing true to say of its text: the next attempt may.
    if (turn === undefined && !isFirstStep(mark)) throw error;
    deps.logger.error(
      { ...fieldsOf(command), attempt: writer.attempt, err: error },
      'a run failed inside Tailrace',
    );
    return await finish(writer, internalEnd(error), turn?.usage ?? create(UsageSchema, {}));
  } finally {
    clearTimeout(timer);
  }
}

/** What the end of a turn is once its form was looked at, or why the model is asked again. */
function judgeTurn({ format, repairs }: Turn, sink: AnswerSink, end: End): Judged {
  if (end.kind === 'completed' && format !== undefined) return judge(format, sink.saidText(), end);
  if (end.kind !== 'failed' || repairs.length === 0) return { end };
  // The reason is the second call's, but there would have been no second call without the first answer.
  const message = `The answer did not fit the schema, and asking the model again failed. ${end.message}`;
  return { end: { ...end, message } };
}

async function wait(writer: LogWriter, sink: AnswerSink, mark: StatusMark): Promise<RunResult> {
  const deadlineMs = toolDeadlineMs(mark.expiresAtMs, Date.now());
  // As they are now that they are closed: an input for which nothing came is an empty object.
  const settled = await writer.wait(sink.toolUses(), deadlineMs);
  if (isFull(settled)) return await handBack(writer);
  return settled.type === 'stored' ? { type: 'waits' } : lost(lossBy(settled));
}

/** Runs the model to what belongs into the log; rejects where the run is not to end here. */
async function ask(
  deps: RunDeps,
  command: Command,
  turn: Turn,
  sink: ModelSink,
  signal: AbortSignal,
  { attempt, runTimeoutMs }: StatusMark,
): Promise<Outcome> {
  try {
    signal.throwIfAborted();
    const { request, messages, limits, createdAtMs } = turn;
    const next = nextCall(limits, turn.usage, turn.turn);
    if (!next.may) return { kind: 'completed', stopReason: next.stopReason };
    const { model, correlationId, traceparent } = command.meta;
    const { firstTokenTimeoutMs, idleTimeoutMs } = limits;
    const call = {
      model,
      answeredBy: turn.answeredBy,
      request,
      messages,
      tenant: command.chat.tenant,
      createdAtMs,
      turn: turn.turn,
      correlationId,
      traceparent,
      limits: { firstTokenTimeoutMs, idleTimeoutMs, outputTokens: next.outputTokens },
    };
    const told: ModelSink = {
      ...sink,
      warning: (warning) => {
        sink.warning(warning);
        if (warning.cause === undefined) return;
        deps.logger.warn({ ...fieldsOf(command), attempt, err: warning.cause }, warning.message);
      },
    };
    const { stopReason, answeredBy } = await deps.model.generate(call, told, signal);
    turn.answeredBy = answeredBy;
    const waits = stopReason === StopReason.TOOL_USE && turn.awaitToolResults;
    return waits ? { kind: 'wait' } : { kind: 'completed', stopReason };
  } catch (error) {
    const stop: unknown = signal.aborted ? signal.reason : undefined;
    if (stop instanceof RunStop && stop.why === 'cancelled') {
      return { kind: 'cancelled', reason: stop.message };
    }
    if (stop instanceof RunStop && stop.why === 'run-timeout') {
      return runTimeout(runTimeoutMs);
    }
    if (stop !== undefined || !(error instanceof ModelFailure)) throw error;
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

async function finish(writer: LogWriter, end: End, usage: Usage): Promise<RunResult> {
  const settled = await writer.end(end, usage);
  if (isFull(settled)) return handBack(writer);
  return settled.type === 'stored' ? { type: 'ended', end } : lost(lossBy(settled));
}

function lost(why: string): RunResult {
  return { type: 'lost', why };
}

/** What an append that was not stored means for its run, for the log. */
export function lossBy({ type }: Settled): string {
  return type === 'moved'
    ? 'its append was refused: another attempt owns the chat, or it is over'
    : 'the log did not take its append in time';
}

async function handBack(writer: LogWriter): Promise<RunResult> {
  const settled = await writer.handBack();
  return settled.type === 'stored' ? { type: 'handed-back' } : lost(lossBy(settled));
}

function internalEnd(error: unknown): End {
  const { INTERNAL: reason } = FailureReason;
  // Said to the caller, who can tell the operator: it names the key that is missing.
  if (error instanceof OpenError) {
    return { kind: 'error', reason, message: error.message, retryable: false };
  }
  const message = 'Tailrace failed while it ran this chat; the server log has the cause.';
  return { kind: 'error', reason, message, retryable: true };
}
