// The ports to what turns the bytes of a document to text, and to what fetches them.
import type { ChatKey } from '../chat-key.ts';
import type { DocumentKind } from '../media-type.ts';

export interface DocumentToRead {
  readonly kind: DocumentKind;
  readonly data: Uint8Array;
  /** What the media type says of a text's encoding. */
  readonly charset: string | undefined;
}

export type DocumentReading =
  | {
      readonly text: string;
      /** What an HTML page says it is called. */
      readonly title?: string;
    }
  /** Goes on: "request.….data: …". Names what is wrong or which bound was hit; nothing of the content. */
  | { readonly unreadable: string };

export interface DocumentReader {
  /**
   * `whose`: chats and tenants take turns. Rejects with ChatError QUEUE_FULL where too many documents wait,
   * and with the signal's reason.
   */
  readonly read: (
    document: DocumentToRead,
    whose: ChatKey,
    signal: AbortSignal,
  ) => Promise<DocumentReading>;
}

export interface FetchedDocument {
  readonly data: Uint8Array;
  /** As the server said; empty: it did not. */
  readonly contentType: string;
}

export interface DocumentFetcher {
  /**
   * `refusal`: why a Content-Type is not wanted, which ends it before the body. `whose`: as above. Resolves with
   * `unfetched`, which goes on as `unreadable` does; rejects with ChatError QUEUE_FULL where too many wait, and with
   * the signal's reason.
   */
  readonly fetch: (
    url: string,
    refusal: (contentType: string) => string | undefined,
    whose: ChatKey,
    signal: AbortSignal,
  ) => Promise<FetchedDocument | { readonly unfetched: string }>;
}
