// A request on its way into the store (law 10): its secrets sealed, and an identity that does not give
// them away.
import type { InitiateChatStreamRequest } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ChatKey } from '../chat-key.ts';
import type { Sealer } from '../ports/sealing.ts';
import { hasSecrets, replaceSecrets } from './secrets.ts';

/** The same request if it carries no secret. */
export function sealSecrets(
  request: InitiateChatStreamRequest,
  sealer: Sealer,
  chat: ChatKey,
): InitiateChatStreamRequest {
  return replaceSecrets(InitiateChatStreamRequestSchema, request, ({ text, path }) =>
    sealer.seal(text, { chat, path }),
  );
}

/**
 * The hashes under which the same request may lie in the store, first the one to store. The hash of the
 * canonical request says nothing of a request without secrets that the store does not say itself; with a
 * weak secret in it, it would let anyone try them out, so it is keyed. By every key, because the request
 * may have come when another one was first.
 */
export function identitiesOf(
  request: InitiateChatStreamRequest,
  canonicalHash: string,
  sealer: Sealer,
  chat: ChatKey,
): readonly [string, ...string[]] {
  const secret = hasSecrets(InitiateChatStreamRequestSchema, request);
  return secret ? sealer.keyed(canonicalHash, chat) : [canonicalHash];
}
