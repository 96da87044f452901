// ListChatStreams: a page of the list, once the list holds what the leader has (law 6).
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type {
  ListChatStreamsRequest,
  ListChatStreamsResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ChatList, ListFilter, ListPlace } from '../../chat/ports/chat-list.ts';
import { invalidRequest } from '../../chat/errors.ts';
import { DEFAULT_PAGE_SIZE } from '../../chat/limits.ts';

export async function listChatStreams(
  list: ChatList,
  tenant: string,
  request: ListChatStreamsRequest,
): Promise<MessageInitShape<typeof ListChatStreamsResponseSchema>> {
  const filter: ListFilter = {
    tenant,
    statuses: request.statuses,
    correlationId: request.correlationId,
    metadata: request.metadata,
    createdAfterMs: request.createdAfter && timestampMs(request.createdAfter),
    createdBeforeMs: request.createdBefore && timestampMs(request.createdBefore),
  };
  const after = request.pageToken === '' ? undefined : readToken(request.pageToken, filter);
  const size = request.pageSize === 0 ? DEFAULT_PAGE_SIZE : request.pageSize;
  await list.caughtUp();
  // One more than asked for tells whether there is a next page.
  const found = list.page(filter, after, size + 1);
  const chatStreams = found.slice(0, size);
  const last = chatStreams.at(-1);
  if (found.length <= size || last?.createdAt === undefined) {
    return { chatStreams, nextPageToken: '' };
  }
  const place = { createdAtMs: timestampMs(last.createdAt), streamId: last.streamId };
  return { chatStreams, nextPageToken: makeToken(place, filter) };
}

const Token = z.object({ c: z.int(), s: z.string(), f: z.string() });

function makeToken(place: ListPlace, filter: ListFilter): string {
  const token: z.infer<typeof Token> = {
    c: place.createdAtMs,
    s: place.streamId,
    f: digestOf(filter),
  };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function readToken(text: string, filter: ListFilter): ListPlace {
  const parsed = Token.safeParse(fromJson(Buffer.from(text, 'base64url').toString()));
  if (!parsed.success) {
    throw badToken('it is not a next_page_token of this server');
  }
  if (parsed.data.f !== digestOf(filter)) {
    throw badToken('it belongs to a list with other filters; begin again without it');
  }
  return { createdAtMs: parsed.data.c, streamId: parsed.data.s };
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A place is only worth something in the list that it was made for. */
function digestOf(filter: ListFilter): string {
  const metadata = Object.entries(filter.metadata).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const said = JSON.stringify({ ...filter, metadata });
  return createHash('sha256').update(said).digest('base64url').slice(0, 12);
}

function badToken(description: string): Error {
  return invalidRequest('INVALID_REQUEST', [{ path: 'page_token', description }]);
}
