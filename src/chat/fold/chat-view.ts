// The resource ChatStream, folded from the start command and the log; nothing else is asked.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ChatRequestSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamSchema, ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ContentBlock, ToolUseBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { ContentBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { EventBatchSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from './answer.ts';
import type { Command } from '../ports/commands.ts';
import type { LogTail } from '../ports/event-log.ts';
import { MAX_FULL_VIEW_BYTES } from '../limits.ts';
import { redactSecrets } from '../request/secrets.ts';
import { isTerminal } from '../decisions/status.ts';
import { outputWithoutLargeBytes, withoutLargeBytes } from './view-bytes.ts';

/** GetChatStream BASIC. `pending`: the calls that the chat waits for; see readView. */
export function basicView(
  start: Command,
  tail: LogTail | undefined,
  pending: readonly ToolUseBlock[] = [],
): ChatStream {
  const { request } = fromBinary(InitiateChatStreamRequestSchema, start.data);
  const view = create(ChatStreamSchema, {
    streamId: start.chat.streamId,
    status: ChatStreamStatus.PENDING,
    model: start.meta.model,
    priority: start.priority,
    correlationId: start.meta.correlationId,
    metadata: request?.metadata ?? {},
    createdAt: timestampFromMs(start.meta.createdAtMs),
    expiresAt: timestampFromMs(start.meta.expiresAtMs),
  });
  if (tail === undefined) return view;
  const mark = tail.status.mark;
  view.status = mark.status;
  view.attempt = mark.attempt;
  view.latestSequence = tail.lastSequence;
  view.pendingToolUses = [...pending];
  if (mark.startedAtMs > 0) view.startedAt = timestampFromMs(mark.startedAtMs);
  if (isTerminal(mark.status)) {
    applyFold(view, AnswerFold.ofEnd(fromBinary(EventBatchSchema, tail.status.data).events));
  }
  return view;
}

/** A chat that no worker has taken yet says how many are before it. */
export function withPosition(
  view: ChatStream,
  start: Pick<Command, 'priority' | 'sequence'>,
  position: (priority: number, startSequence: number) => number,
): ChatStream {
  if (view.status === ChatStreamStatus.PENDING) {
    view.queuePosition = position(start.priority, start.sequence);
  }
  return view;
}

/** What FULL adds. The fold must have read the whole log up to the tail of the basic view. */
export function fullView(basic: ChatStream, start: Command, fold: AnswerFold): ChatStream {
  applyFold(basic, fold);
  basic.latestSequence = Math.max(basic.latestSequence, fold.lastSequence);
  const { request } = fromBinary(InitiateChatStreamRequestSchema, start.data);
  if (request !== undefined) {
    basic.request = redactSecrets(ChatRequestSchema, withoutLargeBytes(request));
  }
  if (isTerminal(basic.status)) basic.contentSha256 = fold.contentSha256();
  basic.outputJson = fold.ending?.outputJson ?? '';
  // A request of megabytes would leave no room for its answer: its sender has it. No request is without
  // messages, so that their absence is seen.
  if (basic.request !== undefined && isTooLarge(basic)) basic.request.messages = [];
  if (isTooLarge(basic)) delete basic.request;
  const left = MAX_FULL_VIEW_BYTES - toBinary(ChatStreamSchema, basic).length;
  const { blocks, cut } = cutTo(outputWithoutLargeBytes(fold.output()), left);
  basic.output = blocks;
  basic.outputTruncated = cut;
  return basic;
}

function isTooLarge(bare: ChatStream): boolean {
  return toBinary(ChatStreamSchema, bare).length > MAX_FULL_VIEW_BYTES / 2;
}

/** What the end says of a chat. */
export function applyFold(view: ChatStream, fold: AnswerFold): void {
  if (fold.usage !== undefined) view.usage = fold.usage;
  const ending = fold.ending;
  if (ending === undefined) return;
  view.status = ending.status;
  view.stopReason = ending.stopReason;
  view.endedAt = timestampFromMs(ending.endedAtMs);
  if (ending.failure !== undefined) view.failure = ending.failure;
}

/** Room that a block's tags and lengths take beside its content. */
const BLOCK_OVERHEAD_BYTES = 32;

function cutTo(
  output: readonly ContentBlock[],
  bytes: number,
): { blocks: ContentBlock[]; cut: boolean } {
  const blocks: ContentBlock[] = [];
  let left = bytes;
  for (const block of output) {
    const size = toBinary(ContentBlockSchema, block).length + BLOCK_OVERHEAD_BYTES;
    if (size > left) {
      if (block.block.case === 'text' && left > BLOCK_OVERHEAD_BYTES) {
        const value = cutText(block.block.value, left - BLOCK_OVERHEAD_BYTES);
        blocks.push(create(ContentBlockSchema, { block: { case: 'text', value } }));
      }
      return { blocks, cut: true };
    }
    blocks.push(block);
    left -= size;
  }
  return { blocks, cut: false };
}

/** The longest start of the text that fits, never ending inside a character. */
export function cutText(text: string, bytes: number): string {
  const encoded = Buffer.from(text);
  if (encoded.length <= bytes) return text;
  let end = bytes;
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end--;
  return encoded.toString('utf8', 0, end);
}
