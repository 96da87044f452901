// Opens the secrets of a request (law 10). Here and nowhere else: what is opened lives as long as its run,
// and is never stored, logged or answered.
import type { InitiateChatStreamRequest } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ChatKey } from '../chat/chat-key.ts';
import type { Opener } from '../chat/ports/sealing.ts';
import { replaceSecrets } from '../chat/request/secrets.ts';

/** Throws an OpenError where one is not sealed, was sealed by a key that is not here, or was changed. */
export function openSecrets(
  request: InitiateChatStreamRequest,
  keys: Opener,
  chat: ChatKey,
): InitiateChatStreamRequest {
  return replaceSecrets(InitiateChatStreamRequestSchema, request, ({ text, path }) =>
    keys.open(text, { chat, path }),
  );
}
