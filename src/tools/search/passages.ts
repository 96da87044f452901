// Where a document is cut into passages: at the end of a paragraph, else of a line, a sentence, a word.
// Passages follow each other without overlap, so that each place of a document is in one of them at most;
// only white space lies between.
import { PASSAGE_CHARS, PASSAGE_LEAST_CHARS } from '../../chat/limits.ts';

/** In UTF-16 units from the document's start. */
export interface Passage {
  readonly start: number;
  readonly end: number;
}

const SPACE = /\s/;
const FULL_STOP = /[.!?…]["'”’)\]]*\s+|[。！？]/g;

/** In linear time. */
export function* passagesOf(text: string): Generator<Passage> {
  for (let at = nextWord(text, 0); at < text.length;) {
    const next = at + lengthAt(text, at);
    const end = endBefore(text, at, next);
    yield { start: at, end };
    at = nextWord(text, next);
  }
}

function nextWord(text: string, from: number): number {
  let at = from;
  while (at < text.length && SPACE.test(text.charAt(at))) at++;
  return at;
}

function endBefore(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && SPACE.test(text.charAt(at - 1))) at--;
  return at;
}

function lengthAt(text: string, start: number): number {
  if (text.length - start <= PASSAGE_CHARS) return text.length - start;
  const window = text.slice(start, start + PASSAGE_CHARS);
  for (const find of [emptyLine, line, sentence, word]) {
    const at = find(window);
    if (at >= PASSAGE_LEAST_CHARS) return at;
  }
  // A surrogate pair stays whole.
  return window.isWellFormed() ? PASSAGE_CHARS : PASSAGE_CHARS - 1;
}

function emptyLine(window: string): number {
  return Math.max(window.lastIndexOf('\n\n'), window.lastIndexOf('\n\r\n'));
}

function line(window: string): number {
  return window.lastIndexOf('\n');
}

function sentence(window: string): number {
  let last = -1;
  for (const found of window.matchAll(FULL_STOP)) last = found.index + found[0].length;
  return last;
}

function word(window: string): number {
  let at = window.length;
  while (at > 0 && !SPACE.test(window.charAt(at - 1))) at--;
  return at;
}
