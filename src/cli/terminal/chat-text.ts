// A chat as people read it: its state in lines of key and value, its answer as text.
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import {
  ChatStreamStatusSchema,
  FailureReasonSchema,
  StopReason,
  StopReasonSchema,
} from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type {
  ChatStream,
  ChatStreamStatus,
  Failure,
  Usage,
} from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ContentBlock } from '../../../gen/tailrace/v1/content_pb.ts';

export function statusName(status: ChatStreamStatus): string {
  return ChatStreamStatusSchema.value[status]?.localName ?? `status ${status}`;
}

function stopReasonName(reason: StopReason): string {
  return StopReasonSchema.value[reason]?.localName ?? `stop reason ${reason}`;
}

/** Local time, to the second. */
export function timeText(time: Timestamp | undefined): string {
  return time === undefined ? '' : timestampDate(time).toLocaleString('sv-SE');
}

export function failureText({ reason, message }: Failure): string {
  return `${FailureReasonSchema.value[reason]?.localName ?? reason}: ${message}`;
}

export function usageText(usage: Usage | undefined): string {
  if (usage === undefined) return '';
  const { inputTokens, outputTokens, cost, currency } = usage;
  if (inputTokens === undefined && outputTokens === undefined) return '';
  const price = cost === undefined ? '' : `, ${cost} ${currency}`;
  return `${inputTokens ?? '?'} tokens in, ${outputTokens ?? '?'} out${price}`;
}

/** Where a chat stands, in a few words. */
export function standing(chat: {
  readonly status: ChatStreamStatus;
  readonly stopReason: StopReason;
  readonly queuePosition?: number | undefined;
  readonly pendingToolUses?: readonly unknown[];
}): string {
  const name = statusName(chat.status);
  if (chat.stopReason !== StopReason.UNSPECIFIED) {
    return `${name}, ${stopReasonName(chat.stopReason)}`;
  }
  if (chat.queuePosition !== undefined) return `${name}, ${chat.queuePosition} before it`;
  const waits = chat.pendingToolUses?.length ?? 0;
  if (waits > 0) return `${name}, waits for ${waits} tool result${waits === 1 ? '' : 's'}`;
  return name;
}

/** As pairs of key and value; what is not there is left out. */
export function chatLines(chat: ChatStream): (readonly [string, string])[] {
  const lines: (readonly [string, string])[] = [
    ['stream id', chat.streamId],
    ['status', standing(chat)],
    ['model', chat.model],
    ['priority', chat.priority === undefined ? '' : String(chat.priority)],
    ['correlation id', chat.correlationId],
    ...Object.entries(chat.metadata).map(([key, value]) => [`metadata ${key}`, value] as const),
    ['created', timeText(chat.createdAt)],
    ['started', timeText(chat.startedAt)],
    ['ended', timeText(chat.endedAt)],
    ['expires', timeText(chat.expiresAt)],
    ['attempt', chat.attempt > 1 ? String(chat.attempt) : ''],
    ['events', String(chat.latestSequence)],
    ['usage', usageText(chat.usage)],
    ['failure', chat.failure === undefined ? '' : failureText(chat.failure)],
    ...chat.pendingToolUses.map(
      ({ id, name, input }) => ['wants', `${id}  ${name} ${input}`.trimEnd()] as const,
    ),
    ['sha256', chat.contentSha256],
  ];
  return lines.filter(([, value]) => value !== '');
}

/** The text of the answer alone, as content_sha256 counts it. */
export function answerText(output: readonly ContentBlock[]): string {
  return output.map(({ block }) => (block.case === 'text' ? block.value : '')).join('');
}
