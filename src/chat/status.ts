// Which states are the end.
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';

const TERMINAL: ReadonlySet<ChatStreamStatus> = new Set([
  ChatStreamStatus.COMPLETED,
  ChatStreamStatus.FAILED,
  ChatStreamStatus.CANCELLED,
  ChatStreamStatus.ERROR,
]);

export function isTerminal(status: ChatStreamStatus): boolean {
  return TERMINAL.has(status);
}
