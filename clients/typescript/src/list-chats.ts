// Lists of chats, newest first, fetched page by page while somebody reads on.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatStream } from './gen/tailrace/v1/chat_stream_pb.ts';
import type {
  ListChatStreamsRequest,
  ListChatStreamsRequestSchema,
  ListChatStreamsResponse,
} from './gen/tailrace/v1/chat_stream_service_pb.ts';

/** ListChatStreamsRequest of the contract: page size, where to begin, and filters. */
export type ListFilter = Exclude<
  MessageInitShape<typeof ListChatStreamsRequestSchema>,
  ListChatStreamsRequest
>;

/** Iterates over the chats of all pages. */
export interface ChatList extends AsyncIterable<ChatStream> {
  /** Page by page, each with the token of the next one. */
  readonly pages: () => AsyncGenerator<ListChatStreamsResponse, void, undefined>;
}

export function chatList(
  filter: ListFilter,
  fetch: (request: ListFilter) => Promise<ListChatStreamsResponse>,
): ChatList {
  async function* pages() {
    let pageToken = filter.pageToken ?? '';
    do {
      const page = await fetch({ ...filter, pageToken });
      yield page;
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
  }
  return {
    pages,
    async *[Symbol.asyncIterator]() {
      for await (const { chatStreams } of pages()) yield* chatStreams;
    },
  };
}
