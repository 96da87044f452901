// A request's identity: the same bytes for the same request, whoever sends it. Map keys are sorted;
// everything else protobuf writes in the order of its fields. Defaults are not filled in.
import { toBinary } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import type { InitiateChatStreamRequest } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';

export interface CanonicalRequest {
  /** The encoded request without its stream_id, as given: with its secrets it goes nowhere (law 10). */
  readonly bytes: Uint8Array;
  /** Lowercase hex SHA-256 of the bytes. */
  readonly hash: string;
}

export function canonicalRequest(request: InitiateChatStreamRequest): CanonicalRequest {
  const copy: InitiateChatStreamRequest = { ...request };
  delete copy.streamId;
  if (request.request !== undefined) {
    copy.request = { ...request.request, metadata: sorted(request.request.metadata) };
    for (const field of SIGNED) if (copy.request[field] === 0) copy.request[field] = 0;
    if (request.request.mcpServers.length > 0) {
      copy.request.mcpServers = request.request.mcpServers.map((server) => ({
        ...server,
        headers: sorted(server.headers),
      }));
    }
  }
  const bytes = toBinary(InitiateChatStreamRequestSchema, copy);
  return { bytes, hash: createHash('sha256').update(bytes).digest('hex') };
}

/** Numbers that may be −0, which JSON says as 0: they are the same request. */
const SIGNED = ['minP', 'topP', 'temperature', 'presencePenalty', 'frequencyPenalty'] as const;

function sorted(map: Readonly<Record<string, string>>): Record<string, string> {
  const keys = Object.keys(map);
  if (keys.length < 2) return { ...map };
  return Object.fromEntries(keys.toSorted().map((key) => [key, map[key] ?? '']));
}
