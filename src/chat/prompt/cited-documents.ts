// What a chat may cite, and whether the words that a model quotes are in the document.
import type { DocumentBlock } from '../../../gen/tailrace/v1/content_pb.ts';

export interface CitedDocuments {
  readonly ids: ReadonlySet<string>;
  /** The quote, where the document has these words in this order; else empty. White space is all alike. */
  readonly quoteOf: (id: string, quote: string) => string;
}

/** `documents`: as text, by their ids. */
export function citedDocuments(documents: ReadonlyMap<string, DocumentBlock>): CitedDocuments {
  const texts = new Map<string, string>();
  const textOf = (id: string): string => {
    const known = texts.get(id);
    if (known !== undefined) return known;
    const source = documents.get(id)?.source;
    const text = source?.case === 'text' ? evened(source.value) : '';
    texts.set(id, text);
    return text;
  };
  return {
    ids: new Set(documents.keys()),
    quoteOf: (id, quote) => (quote !== '' && has(textOf(id), evened(quote)) ? quote : ''),
  };
}

function evened(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

/** Longer ones are looked for in linear time. */
const SHORT_CHARS = 64;

/**
 * As `includes`, which for words that nearly repeat in a text that does looks at the whole quote at each place:
 * 0.8 s in a document of 4 MiB, for one marker of a model that says what its caller wants.
 */
function has(text: string, words: string): boolean {
  if (words.length <= SHORT_CHARS) return text.includes(words);
  const fallBack = fallBacks(words);
  let matched = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    while (matched > 0 && unit !== words.charCodeAt(matched)) matched = fallBack[matched - 1] ?? 0;
    if (unit === words.charCodeAt(matched) && ++matched === words.length) return true;
  }
  return false;
}

/** Knuth, Morris and Pratt: for each beginning the longest shorter one that it ends with. */
function fallBacks(words: string): Int32Array {
  const lengths = new Int32Array(words.length);
  let matched = 0;
  for (let at = 1; at < words.length; at++) {
    const unit = words.charCodeAt(at);
    while (matched > 0 && unit !== words.charCodeAt(matched)) matched = lengths[matched - 1] ?? 0;
    if (unit === words.charCodeAt(matched)) matched++;
    lengths[at] = matched;
  }
  return lengths;
}
