// The port to what turns the bytes of a document to text.
import type { DocumentKind } from './media-type.ts';

export interface DocumentToRead {
  readonly kind: DocumentKind;
  readonly data: Uint8Array;
  /** What the media type says of a text's encoding. */
  readonly charset: string | undefined;
}

export type DocumentReading =
  | { readonly text: string }
  /** Goes on: "request.….data: …". Names what is wrong or which bound was hit; nothing of the content. */
  | { readonly unreadable: string };

export interface DocumentReader {
  /**
   * Rejects with ChatError QUEUE_FULL where too many documents wait, and with the signal's reason where
   * its turn had not come at the abort.
   */
  readonly read: (document: DocumentToRead, signal: AbortSignal) => Promise<DocumentReading>;
}
