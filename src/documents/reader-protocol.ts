// What the api process and the process that reads documents say to each other.
import type { DocumentReading } from '../chat/ports/document.ts';
import type { DocumentKind } from '../chat/media-type.ts';

export interface ReadJob {
  readonly kind: DocumentKind;
  readonly data: Uint8Array;
  readonly charset: string | undefined;
}

export interface ReadReply {
  readonly reading: DocumentReading;
  /** The process has grown, or is in doubt: the next document goes to another. */
  readonly last: boolean;
}
