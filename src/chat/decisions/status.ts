// Which states are the end.
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { StatusMark } from '../ports/event-log.ts';

const TERMINAL: ReadonlySet<ChatStreamStatus> = new Set([
  ChatStreamStatus.COMPLETED,
  ChatStreamStatus.FAILED,
  ChatStreamStatus.CANCELLED,
  ChatStreamStatus.ERROR,
]);

export function isTerminal(status: ChatStreamStatus): boolean {
  return TERMINAL.has(status);
}

/** Nothing more comes: the terminal event is there, or the chat is deleted. */
export function isOver(mark: StatusMark): boolean {
  return mark.kind === 'tombstone' || isTerminal(mark.status);
}
