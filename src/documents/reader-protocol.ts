// What the api process, the process that reads documents and its thread say to each other.
import type { DocumentReading } from '../chat/ports/document.ts';
import type { DocumentKind } from '../chat/media-type.ts';

export interface ReadJob {
  readonly kind: DocumentKind;
  readonly data: Uint8Array;
  readonly charset: string | undefined;
}

export interface ReadReply {
  readonly reading: DocumentReading;
  /** The process has grown and ends now: the next document goes to another. */
  readonly last: boolean;
}

/** Given to the process at its start. */
export interface ReaderBounds {
  /** For one document. */
  readonly readMs: number;
  /** Of the thread's JavaScript heap. */
  readonly heapMib: number;
  /** Of the process as a whole. */
  readonly memoryBytes: number;
}
