// One run of one chat, from its claim to its end: the model is asked, what it says goes to the log.
import { create, fromBinary } from '@bufbuild/protobuf';
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  FailureReason,
  FailureReasonSchema,
  UsageSchema,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Settled } from '../chat/append.ts';
import type { Command } from '../chat/commands.ts';
import { runTimeout } from '../chat/deadlines.ts';
import type { Logger } from '../chat/logger.ts';
import type { ModelClient } from '../chat/model-port.ts';
import { ModelFailure } from '../chat/model-port.ts';
import type { End } from '../chat/terminal.ts';
import { AnswerSink } from './answer-sink.ts';
import type { LogWriter } from './log-writer.ts';

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
  /** The chat was given back and the log shows it. */
  | { readonly type: 'handed-back' }
  /** Another writer owns the chat or ended it, or the log is away: this run is over, the chat not. */
  | { readonly type: 'lost'; readonly why: string };

export interface RunDeps {
  readonly model: ModelClient;
  readonly logger: Logger;
  readonly runTimeoutMs: number;
}

export async function runChat(
  deps: RunDeps,
  command: Command,
  writer: LogWriter,
  startedAtMs: number,
  abort: AbortController,
): Promise<RunResult> {
  const leftMs = startedAtMs + deps.runTimeoutMs - Date.now();
  const late = (): void => abort.abort(new RunStop('run-timeout', 'the run took too long'));
  // At once where it was due while nobody ran it: no model is asked any more.
  if (leftMs <= 0) late();
  const timer = setTimeout(late, Math.max(leftMs, 0));
  try {
    const { request } = fromBinary(InitiateChatStreamRequestSchema, command.data);
    if (request === undefined) throw new Error('The start command holds no request.');
    const sink = new AnswerSink(writer, request.stream ?? true);
    const end = await ask(deps, command, request, sink, abort.signal, writer.attempt);
    return await finish(writer, end, sink.finish(end));
  } catch (error) {
    const stop: unknown = abort.signal.aborted ? abort.signal.reason : error;
    if (stop instanceof RunStop && stop.why === 'lost') return lost(stop.message);
    if (stop instanceof RunStop && stop.why === 'hand-back') {
      const settled = await writer.handBack();
      return settled.type === 'stored' ? { type: 'handed-back' } : lost(lossBy(settled));
    }
    deps.logger.error(
      { ...fieldsOf(command), attempt: writer.attempt, err: error },
      'a run failed inside Tailrace',
    );
    return await finish(writer, INTERNAL_END, create(UsageSchema, {}));
  } finally {
    clearTimeout(timer);
  }
}

/** Runs the model to an end that belongs into the log; rejects where the run is not to end here. */
async function ask(
  deps: RunDeps,
  command: Command,
  request: ChatRequest,
  sink: AnswerSink,
  signal: AbortSignal,
  attempt: number,
): Promise<End> {
  try {
    signal.throwIfAborted();
    const { model, correlationId } = command.meta;
    const call = { model, request, messages: request.messages, turn: 1, correlationId };
    const outcome = await deps.model.generate(call, sink, signal);
    return { kind: 'completed', stopReason: outcome.stopReason };
  } catch (error) {
    const stop: unknown = signal.aborted ? signal.reason : undefined;
    if (stop instanceof RunStop && stop.why === 'cancelled') {
      return { kind: 'cancelled', reason: stop.message };
    }
    if (stop instanceof RunStop && stop.why === 'run-timeout') {
      return runTimeout(deps.runTimeoutMs);
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

const INTERNAL_END: End = {
  kind: 'error',
  reason: FailureReason.INTERNAL,
  message: 'Tailrace failed while it ran this chat; the server log has the cause.',
  retryable: true,
};

/** What every log line about a chat carries. */
export function fieldsOf(command: Command): Record<string, unknown> {
  return {
    tenant: command.chat.tenant,
    stream_id: command.chat.streamId,
    correlation_id: command.meta.correlationId,
  };
}
