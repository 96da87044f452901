// Bytes of a text to characters: by the byte order mark, else by the charset that the media type says,
// else UTF-8. Never guessed: a wrong guess would be a wrong text, and nobody would know.
import { TextDecoder } from 'node:util';
import { Unreadable } from './unreadable.ts';

export function decodeText(bytes: Uint8Array, charset: string | undefined): string {
  const label = markOf(bytes) ?? charset ?? 'utf-8';
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(label, { fatal: true });
  } catch {
    throw new Unreadable(`has a charset that is not known, "${label.slice(0, 40)}"; ${REMEDY}`);
  }
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new Unreadable(`is not text in ${label}; ${REMEDY}`);
  }
  if (text.includes('\0')) {
    throw new Unreadable(`has NUL characters, so it is no text in ${label}; ${REMEDY}`);
  }
  if (text.trim() === '') throw new Unreadable('has no text');
  return text;
}

const REMEDY =
  'send it as UTF-8, or say its charset in media_type, as in "text/csv; charset=windows-1252"';

/** A byte order mark is stronger than what is said beside the text, as in browsers. */
function markOf(bytes: Uint8Array): string | undefined {
  const [a, b, c] = bytes;
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  return undefined;
}
