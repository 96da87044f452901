// What is looked for in documents, as SQLite's tokenizer is to see it. It takes words apart at white space
// and punctuation; scripts that write without spaces are given to it as pairs of characters.
import { MAX_SEARCH_WORDS } from '../../chat/limits.ts';

const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー]+/gu;
const WORD = /[\p{L}\p{N}\p{M}]+/gu;

/** A text with such runs as pairs; for documents and for queries alike. */
export function spaced(text: string): string {
  return text.replaceAll(UNSPACED, (run) => {
    const characters = Array.from(run);
    if (characters.length === 1) return ` ${run} `;
    const pairs = characters.slice(1).map((second, i) => `${characters[i] ?? ''}${second}`);
    return ` ${pairs.join(' ')} `;
  });
}

/** The different words of a query, the first ones where there are many. They hold letters and digits alone. */
export function wordsOf(query: string): readonly string[] {
  const words = new Set<string>();
  for (const [word] of spaced(query.toLowerCase()).matchAll(WORD)) {
    words.add(word);
    if (words.size === MAX_SEARCH_WORDS) break;
  }
  return [...words];
}
