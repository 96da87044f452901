// One run of one chat, from its claim to its end or to its wait for the client's tools: the model is
// asked for the next turn, and what it says goes to the log. Finished steps are never asked again.
import { create } from '@bufbuild/protobuf';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { FailureReason, StopReason, UsageSchema } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ToolUseBlock } from '../../gen/tailrace/v1/content_pb.ts';
import type { Settled } from '../chat/log/append.ts';
import type { Command } from '../chat/ports/commands.ts';
import { runDueMs, toolDeadlineMs } from '../chat/decisions/deadlines.ts';
import type { StatusMark } from '../chat/ports/event-log.ts';
import { fieldsOf } from '../chat/ports/log-fields.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { ModelClient, ModelWarning } from '../chat/ports/model.ts';
import { nextCall } from '../chat/rules/request-limits.ts';
import { LogReading } from '../chat/log/read-log.ts';
import { OpenError } from '../chat/ports/sealing.ts';
import type { Span } from '../chat/ports/span.ts';
import type { End } from '../chat/decisions/terminal.ts';
import type { OpenTools } from '../chat/ports/tool.ts';
import { type Judged, judge, schemaNotMet } from './answer/answer-format.ts';
import { AnswerSink } from './answer/answer-sink.ts';
import { ask, goesOn } from './ask-model.ts';
import type { LogWriter } from './log/log-writer.ts';
import { isFull } from './log/log-writer.ts';
import { endByStop, RunStop } from './run-stop.ts';
import { runTools } from './tools/run-tools.ts';
import { missingChoice } from './tools/tool-choice.ts';
import type { OpenChat, Turn, TurnDeps } from './turn.ts';
import { corrected, isFirstStep, nextTurn, openChat, repairTurn } from './turn.ts';

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
      command,
      signal: abort.signal,
      warn: (warning) => void warnings.push(warning),
    });
    const reading = new LogReading(deps.log, command.chat);
    const { signal } = abort;
    const run: Run = { deps, command, chat, opened, reading, writer, mark, warnings, signal };
    let turn = await nextTurn(chat, opened, reading, upTo);
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
    if (!begun && !isFirstStep(mark)) {
      // Without its past it has nothing true to say of its text: the next attempt may. A key that is not here
      // is missed by that one as well.
      if (!(error instanceof OpenError)) throw error;
      const said = await new LogReading(deps.log, command.chat).upTo(writer.storeSequence);
      writer.resume(said.textHash());
      ({ usage } = said);
    }
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
  /** What of the log the run has read: each step reads what came since. */
  readonly reading: LogReading;
  readonly writer: LogWriter;
  readonly mark: StatusMark;
  /** Of the tools, not told yet: they belong before the turn that does without. */
  readonly warnings: ModelWarning[];
  readonly signal: AbortSignal;
}

function tellWarnings({ deps, command, writer, warnings }: Run): void {
  for (const { reason, message, field, cause } of warnings.splice(0)) {
    writer.push({ case: 'warning', value: { reason, message, field } });
    const err = cause === undefined ? {} : { err: cause };
    deps.logger.warn({ ...fieldsOf(command), attempt: writer.attempt, field, ...err }, message);
  }
}

/** What follows: another turn, or the run is over. */
type Next = { readonly turn: Turn } | { readonly result: RunResult };

async function askModel(run: Run, turn: Turn): Promise<Next> {
  const { deps, chat, command, writer, mark, signal } = run;
  const missing = missingChoice(turn.toolChoice, chat.request, turn.tools);
  if (missing !== undefined && !signal.aborted) {
    return { result: await finish(writer, missing, turn.usage ?? create(UsageSchema)) };
  }
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
  const mayAsk = turn.repairs === undefined && next.may;
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
    const end = schemaNotMet(chat.format, violations, turn.repairs !== undefined);
    return { result: await finish(writer, end, usage) };
  }
  return { turn: repairTurn(chat, turn, sink, usage, violations) };
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
        toolImageBytes: turn.toolImageBytes,
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
  // Of the calls: this run has no turn more to tell them before.
  tellWarnings(run);
  if (chat.awaitToolResults) return { result: await wait(writer, client, mark) };
  const end: End = { kind: 'completed', stopReason: StopReason.TOOL_USE };
  return { result: await finish(writer, end, usage) };
}

/** A step is in the log: the next turn is read out of it, as whoever took over would. */
async function goOn(
  { chat, opened, reading, writer }: Run,
  turn: Turn,
  settled: Settled,
): Promise<Next> {
  if (isFull(settled)) return { result: await handBack(writer) };
  if (settled.type !== 'stored') return { result: lost(lossBy(settled)) };
  const next = await nextTurn(chat, opened, reading, writer.storeSequence);
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
  if (end.kind !== 'failed' || repairs === undefined) return { end };
  // The reason is the second call's, but there would have been no second call without the first answer.
  const message = `${firstAnswer(repairs, format?.tool)}, and asking the model again failed. ${end.message}`;
  return { end: { ...end, message } };
}

/** What was wrong with the answer that the model was asked again after. */
function firstAnswer(repairs: 'schema' | 'tool_choice', tool: string | undefined): string {
  if (tool === undefined) {
    const what = repairs === 'schema' ? 'fit the schema' : 'keep to tool_choice';
    return `The answer did not ${what}`;
  }
  if (repairs === 'schema') return `The input of the call of "${tool}" did not fit the schema`;
  return `The model did not keep to the call of "${tool}" that response_format.tool asks for`;
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
