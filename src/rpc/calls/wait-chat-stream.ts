// WaitChatStream: the long poll for clients that cannot stream. It waits on the live edge and answers
// from the leader.
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { WaitChatStreamRequest } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { DEFAULT_WAIT_MS, MAX_WAIT_MS } from '../../chat/limits.ts';
import type { GetDeps } from './get-chat-stream.ts';
import { getChatStream } from './get-chat-stream.ts';
import type { ObserveHub } from '../observe/observe-hub.ts';

export interface WaitDeps extends GetDeps {
  readonly hub: Pick<ObserveHub, 'untilOverOrWaiting'>;
}

export async function waitChatStream(
  deps: WaitDeps,
  tenant: string,
  request: WaitChatStreamRequest,
  signal: AbortSignal,
): Promise<ChatStream> {
  const chat = { tenant, streamId: request.streamId };
  const { timeout } = request;
  const askedMs =
    timeout === undefined
      ? DEFAULT_WAIT_MS
      : Number(timeout.seconds) * 1_000 + timeout.nanos / 1_000_000;
  await deps.hub.untilOverOrWaiting(chat, Math.min(askedMs, MAX_WAIT_MS), signal);
  return getChatStream(deps, chat, request.view);
}
