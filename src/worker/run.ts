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
import type { ToolUseBlock } from '../../gen/tailrace/v1/content_pb.ts';
import type { Settled } from '../chat/append.ts';
import type { Command } from '../chat/commands.ts';
import { runDueMs, runTimeout, toolDeadlineMs } from '../chat/deadlines.ts';
import type { StatusMark } from '../chat/event-log.ts';
import { fieldsOf } from '../chat/log-fields.ts';
import type { Logger } from '../chat/logger.ts';
import type { ModelClient, ModelSink, ModelWarning } from '../chat/model-port.ts';
import { ModelFailure } from '../chat/model-port.ts';
import { nextCall } from '../chat/request-limits.ts';
import { OpenError } from '../chat/sealing-port.ts';
import type { Span } from '../chat/span.ts';
import type { End } from '../chat/terminal.ts';
import type { OpenTools } from '../chat/tool-port.ts';
import { type Judged, judge, schemaNotMet } from './answer-format.ts';
import { AnswerSink } from './answer-sink.ts';
import type { LogWriter } from './log-writer.ts';
import { isFull } from './log-writer.ts';
import { runTools } from './run-tools.ts';
import { checkTurn } from './tool-choice.ts';
import type { OpenChat, Turn, TurnDeps } from './turn.ts';
import { corrected, isFirstStep, nextTurn, openChat, repairTurn } from './turn.ts';

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
  readonly span: Span;
}

/** What a turn came to. tools: calls that are answered here come next. */
type Outcome = End | GoesOn;
type GoesOn = { readonly kind: 'wait' | 'tools' };

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
  let usage: Usage | undefined;
  let begun = false;
  try {
    const chat = await openChat(deps, command);
    // Erased: the chat is deleted, and the fence says so to whoever appends.
    if (chat === undefined) return lost('its start is erased: the chat is deleted');
    const upTo = isFirstStep(mark) ? undefined : writer.storeSequence;
    const warnings: ModelWarning[] = [];
    await using opened = await deps.openTools(chat.request, {
      chat: command.chat,
      signal: abort.signal,
      warn: (warning) => void warnings.push(warning),
    });
    const run: Run = { deps, command, chat, opened, writer, mark, warnings, signal: abort.signal };
    let turn = await nextTurn(deps, chat, opened, command.chat, upTo);
    begun = true;
    writer.resume(turn.textHash);
    if (opened.missing !== undefined && !abort.signal.aborted) {
      tellWarnings(run);
      return await finish(writer, missingTools(opened.missing), turn.usage ?? create(UsageSchema));
    }
    for (;;) {
      usage = turn.usage;
      tellWarnings(run);
      const step = turn.calls === undefined ? askModel : answerCalls;
      const next: Next = await step(run, turn);
      if ('result' in next) return next.result;
      turn = next.turn;
    }
  } catch (error) {
    const stop: unknown = abort.signal.aborted ? abort.signal.reason : error;
    if (stop instanceof RunStop && stop.why === 'lost') return lost(stop.message);
    if (stop instanceof RunStop && stop.why === 'hand-back') return await handBack(writer);
    // Without its past it has nothing true to say of its text: the next attempt may.
    if (!begun && !isFirstStep(mark)) throw error;
    deps.logger.error(
      { ...fieldsOf(command), attempt: writer.attempt, err: error },
      'a run failed inside Tailrace',
    );
    return await finish(writer, internalEnd(error), usage ?? create(UsageSchema));
  } finally {
    clearTimeout(timer);
  }
}

interface Run {
  readonly deps: RunDeps;
  readonly command: Command;
  readonly chat: OpenChat;
  readonly opened: OpenTools;
  readonly writer: LogWriter;
  readonly mark: StatusMark;
  /** Of the tools, not told yet: they belong before the turn that does without. */
  readonly warnings: ModelWarning[];
  readonly signal: AbortSignal;
}

function tellWarnings({ deps, command, writer, warnings }: Run): void {
  for (const { reason, message, field } of warnings.splice(0)) {
    writer.push({ case: 'warning', value: { reason, message, field } });
    deps.logger.warn({ ...fieldsOf(command), attempt: writer.attempt, field }, message);
  }
}

/** What follows: another turn, or the run is over. */
type Next = { readonly turn: Turn } | { readonly result: RunResult };

async function askModel(run: Run, turn: Turn): Promise<Next> {
  const { deps, chat, command, writer, mark } = run;
  const sink = new AnswerSink(writer, turn);
  const outcome = await ask(run, turn, sink);
  const usage = sink.finish(outcome);
  const next = nextCall(chat.limits, usage, turn.turn + 1);
  if (goesOn(outcome)) {
    // Results that no call could be made with are not asked for.
    if (!next.may) {
      const end: End = { kind: 'completed', stopReason: next.stopReason };
      return { result: await finish(writer, end, usage) };
    }
    if (outcome.kind === 'wait') return { result: await wait(writer, sink.toolUses(), mark) };
    return goOn(run, turn, await writer.step());
  }
  const fields = { ...fieldsOf(command), attempt: writer.attempt, turn: turn.turn };
  const mayAsk = turn.repairs.length === 0 && next.may;
  if (outcome.kind === 'failed' && outcome.reason === FailureReason.TOOL_CHOICE_NOT_MET && mayAsk) {
    deps.logger.warn(fields, 'a turn did not keep to tool_choice');
    return { turn: corrected(turn, sink, usage) };
  }
  const judged = judgeTurn(chat, turn, sink, outcome);
  if ('end' in judged) return { result: await finish(writer, judged.end, usage) };
  const { violations } = judged;
  deps.logger.warn(
    { ...fields, violations: violations.length },
    'an answer did not fit its schema',
  );
  // Asking again is a turn and a call of the model as any other.
  if (!mayAsk) {
    const end = schemaNotMet(violations, turn.repairs.length > 0);
    return { result: await finish(writer, end, usage) };
  }
  return { turn: repairTurn(chat, turn, sink, usage, violations) };
}

function goesOn(outcome: Outcome): outcome is GoesOn {
  return outcome.kind === 'wait' || outcome.kind === 'tools';
}

/** Runs what is to be run here; what the client is to run is left to it. */
async function answerCalls(run: Run, turn: Turn): Promise<Next> {
  const { deps, command, chat, writer, mark, signal } = run;
  const { server, client } = turn.calls ?? { server: [], client: [] };
  const usage = turn.usage ?? create(UsageSchema);
  let settled: Settled = { type: 'stored', storeSequence: writer.storeSequence };
  try {
    settled = await runTools(
      {
        writer,
        tools: turn.tools,
        turn: turn.turn,
        nextIndex: turn.nextIndex,
        used: turn.used,
        toolResultChars: turn.toolResultChars,
        signal,
        span: deps.span,
        onFault: ({ id, name }, err) => {
          const fields = { ...fieldsOf(command), attempt: writer.attempt, tool: name, call: id };
          deps.logger.warn({ ...fields, err }, 'a call of a tool failed');
        },
      },
      server,
    );
  } catch (error) {
    const end = endByStop(signal, mark.runTimeoutMs);
    if (end === undefined) throw error;
    return { result: await finish(writer, end, usage) };
  }
  if (client.length === 0 || settled.type !== 'stored') return goOn(run, turn, settled);
  if (chat.awaitToolResults) return { result: await wait(writer, client, mark) };
  const end: End = { kind: 'completed', stopReason: StopReason.TOOL_USE };
  return { result: await finish(writer, end, usage) };
}

/** A step is in the log: the next turn is read out of it, as whoever took over would. */
async function goOn(
  { deps, chat, opened, command, writer }: Run,
  turn: Turn,
  settled: Settled,
): Promise<Next> {
  if (isFull(settled)) return { result: await handBack(writer) };
  if (settled.type !== 'stored') return { result: lost(lossBy(settled)) };
  const next = await nextTurn(deps, chat, opened, command.chat, writer.storeSequence);
  next.answeredBy = turn.answeredBy;
  return { turn: next };
}

/** What the end of a turn is once its form was looked at, or why the model is asked again. */
function judgeTurn({ format }: OpenChat, { repairs }: Turn, sink: AnswerSink, end: End): Judged {
  if (end.kind === 'completed' && format !== undefined) {
    const answer = format.tool === undefined ? sink.saidText() : sink.inputOf(format.tool);
    // Another tool was called, for the client to run: the answer is to come.
    return answer === undefined ? { end } : judge(format, answer, end);
  }
  if (end.kind !== 'failed' || repairs.length === 0) return { end };
  // The reason is the second call's, but there would have been no second call without the first answer.
  const what = format === undefined ? 'did not keep to tool_choice' : 'did not fit the schema';
  const message = `The answer ${what}, and asking the model again failed. ${end.message}`;
  return { end: { ...end, message } };
}

async function wait(
  writer: LogWriter,
  calls: readonly ToolUseBlock[],
  mark: StatusMark,
): Promise<RunResult> {
  const deadlineMs = toolDeadlineMs(mark.expiresAtMs, Date.now());
  // As they are now that they are closed: an input for which nothing came is an empty object.
  const settled = await writer.wait(calls, deadlineMs);
  if (isFull(settled)) return await handBack(writer);
  return settled.type === 'stored' ? { type: 'waits' } : lost(lossBy(settled));
}

/** Runs the model to what belongs into the log; rejects where the run is not to end here. */
async function ask(run: Run, turn: Turn, sink: AnswerSink): Promise<Outcome> {
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

/** The end of a chat whose run was stopped for good; undefined: it was not. */
function endByStop(signal: AbortSignal, runTimeoutMs: number): End | undefined {
  const stop: unknown = signal.aborted ? signal.reason : undefined;
  if (!(stop instanceof RunStop)) return undefined;
  if (stop.why === 'cancelled') return { kind: 'cancelled', reason: stop.message };
  return stop.why === 'run-timeout' ? runTimeout(runTimeoutMs) : undefined;
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

function missingTools(message: string): End {
  const reason = FailureReason.MCP_SERVER_UNAVAILABLE;
  return { kind: 'failed', reason, message, retryable: true };
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
