// The bound of a document's text, held where the text is made so that no more of it is kept.
import { MAX_DOCUMENT_TEXT_BYTES } from '../chat/limits.ts';
import { textTooLong } from '../chat/request/read-documents.ts';
import { Unreadable } from './unreadable.ts';

/** In UTF-16 units, none of which takes less than a byte. */
export function boundLength(units: number): void {
  if (units > MAX_DOCUMENT_TEXT_BYTES) throw new Unreadable(textTooLong(units));
}
