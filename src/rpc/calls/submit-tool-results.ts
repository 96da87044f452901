// SubmitToolResults: the results become part of the log, fenced, before anything is answered; a chat
// that waits has no other writer. Then a continue takes it on, published here or by the sweep.
import { create, toBinary } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { SubmitToolResultsRequest } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ToolResultBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { ToolResultBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Settled } from '../../chat/log/append.ts';
import { appendSettled } from '../../chat/log/append.ts';
import { answerOf } from '../../chat/fold/asked-calls.ts';
import type { AskedCalls } from '../../chat/fold/asked-calls.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { CommandInbox } from '../../chat/ports/commands.ts';
import { imageViolations } from '../../chat/rules/content-rules.ts';
import { continueChat } from '../../chat/log/continue-chat.ts';
import type { ChatAtLeader } from '../../chat/decisions/decisions.ts';
import type { Violation } from '../../chat/errors.ts';
import { ChatError, invalidRequest } from '../../chat/errors.ts';
import type { EventLog, LogTail } from '../../chat/ports/event-log.ts';
import { timestampFromMillis } from '../../chat/log/event-time.ts';
import {
  MAX_TOOL_CALLS_PER_TURN,
  MAX_TOOL_RESULTS_BYTES,
  NATS_REQUEST_MS,
  PUBLISH_TRIES,
} from '../../chat/limits.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { resultsMark } from '../../chat/decisions/marks.ts';
import { readChat, readView } from '../../chat/log/read-chat.ts';
import { readAskedCalls } from '../../chat/log/read-log.ts';
import { encodeBatch } from '../../chat/log/record.ts';
import type { RefusedResult } from '../../chat/decisions/tool-decisions.ts';
import { decideSubmit } from '../../chat/decisions/tool-decisions.ts';
import { resultFieldsNotHonoured } from '../../chat/rules/tool-rules.ts';

export interface SubmitDeps {
  readonly inbox: CommandInbox;
  readonly log: EventLog;
  readonly logger: Logger;
}

export async function submitToolResults(
  deps: SubmitDeps,
  tenant: string,
  request: SubmitToolResultsRequest,
): Promise<ChatStream> {
  const { results } = request;
  checkResults(results);
  const chat: ChatKey = { tenant, streamId: request.streamId };
  const given = results.map((result) => ({ id: result.toolUseId, answer: answerOf(result) }));
  let cause: unknown;
  for (let tries = 0; tries < SUBMIT_TRIES; tries++) {
    const at = await readChat(deps.inbox, deps.log, chat);
    const asked = await readAsked(deps.log, chat, at.tail, results);
    const decision = decideSubmit(at.tail, asked.asked(), given, Date.now());
    switch (decision.do) {
      case 'refuse':
        throw notWaiting(chat.streamId, decision.refused);
      case 'answer':
        await goOn(deps, at);
        return readView(deps.log, at.start, at.tail);
      case 'append': {
        const fresh = results.filter(({ toolUseId }) => decision.ids.includes(toolUseId));
        const settled = await appendResults(deps.log, at, fresh, decision.complete);
        // Stored, or another was quicker: in both cases the next reading says what is true.
        if (settled.type === 'unavailable') throw notDurable(settled.cause);
        cause = settled;
      }
    }
  }
  throw notDurable(cause);
}

/** Clients answer calls side by side: each that was quicker is one that the chat waits for no more. */
const SUBMIT_TRIES = MAX_TOOL_CALLS_PER_TURN + PUBLISH_TRIES;

/** Those of the wait that is on; all that there ever were only where one is not among them. */
async function readAsked(
  log: EventLog,
  chat: ChatKey,
  tail: LogTail | undefined,
  results: readonly ToolResultBlock[],
): Promise<AskedCalls> {
  const newest = await readAskedCalls(log, chat, tail, 'newest');
  if (results.every(({ toolUseId }) => newest.has(toolUseId))) return newest;
  return readAskedCalls(log, chat, tail, 'all');
}

async function appendResults(
  log: EventLog,
  at: ChatAtLeader,
  results: readonly ToolResultBlock[],
  complete: boolean,
): Promise<Settled> {
  const { tail, start } = at;
  if (tail === undefined)
    throw new ChatError('INTERNAL', 'A chat without a log waits for nothing.');
  const mark = resultsMark(tail, complete);
  const { attempt, owner, firstSequence: sequence } = mark;
  const event = create(EventSchema, {
    sequence,
    attempt,
    time: timestampFromMillis(Date.now()),
    correlationId: start.meta.correlationId,
    payload: { case: 'toolResultsReceived', value: { results: [...results] } },
  });
  return appendSettled(
    log,
    start.chat,
    { expectedLast: tail.last.storeSequence, afterSequence: sequence - 1, attempt, owner },
    { appendId: randomUUID(), data: encodeBatch([event]), mark },
    NATS_REQUEST_MS,
  );
}

/** The results are durable: where the continue is not, the sweep publishes it. */
async function goOn(deps: SubmitDeps, { start, tail }: ChatAtLeader): Promise<void> {
  if (tail?.status.mark.kind !== 'results') return;
  const fields = fieldsOf(start);
  try {
    if (await continueChat(deps, start)) {
      deps.logger.info(fields, 'a chat goes on with the results of its client’s tools');
    }
  } catch (error) {
    if (!(error instanceof ChatError && error.reason === 'LOG_UNAVAILABLE')) throw error;
    deps.logger.warn({ ...fields, err: error }, 'a continue is left to the sweep');
  }
}

function checkResults(results: readonly ToolResultBlock[]): void {
  const refused: Violation[] = [];
  const violations: Violation[] = [];
  const ids = new Set<string>();
  let bytes = 0;
  for (const [i, result] of results.entries()) {
    const path = `results[${i}]`;
    if (ids.has(result.toolUseId)) {
      const description = `"${result.toolUseId}" has a result in this call already`;
      violations.push({ path: `${path}.tool_use_id`, description });
    }
    ids.add(result.toolUseId);
    resultFieldsNotHonoured(result.content, path, (inner) => {
      const description = 'only text, and images as bytes, are honoured by this version';
      refused.push({ path: inner, description });
    });
    for (const [j, { block }] of result.content.entries()) {
      if (block.case !== 'image') continue;
      violations.push(...imageViolations(block.value, `${path}.content[${j}].image`));
    }
    const own = toBinary(ToolResultBlockSchema, result).length;
    bytes += own;
    if (own > MAX_TOOL_RESULTS_BYTES) {
      const description = `takes ${own} bytes; at most ${MAX_TOOL_RESULTS_BYTES} are taken`;
      violations.push({ path, description });
    }
  }
  if (violations.length === 0 && bytes > MAX_TOOL_RESULTS_BYTES) {
    const description = `take ${bytes} bytes together; at most ${MAX_TOOL_RESULTS_BYTES} are taken in one call. Send them in several: the chat waits for the rest`;
    violations.push({ path: 'results', description });
  }
  if (violations.length + refused.length === 0) return;
  const reason = violations.length > 0 ? 'INVALID_REQUEST' : 'FIELD_NOT_HONOURED';
  throw invalidRequest(reason, [...violations, ...refused]);
}

const WHY: Readonly<Record<RefusedResult['why'], string>> = {
  unknown: 'it has not asked for',
  different: 'has another result already',
  late: 'it does not wait for any more',
};

function notWaiting(streamId: string, refused: readonly RefusedResult[]): ChatError {
  const said = refused.map(({ id, why }) => `"${id}" (${WHY[why]})`).join(', ');
  const ids = refused.map(({ id }) => id).join(',');
  return new ChatError(
    'NOT_WAITING_FOR_TOOL_RESULTS',
    `Nothing was taken, since the chat stream "${streamId}" takes no such result for: ${said}. Its pending_tool_uses are what it waits for.`,
    { metadata: { stream_id: streamId, tool_use_ids: ids } },
  );
}

function notDurable(cause: unknown): ChatError {
  return new ChatError(
    'LOG_UNAVAILABLE',
    'The log (NATS JetStream) did not confirm the results. Repeat the call: the same results are taken once.',
    { retryAfterMs: 1_000, cause },
  );
}
