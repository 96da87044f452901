// What a chat may cite, and whether the words that a model quotes are in the document.
import type { DocumentBlock } from '../../gen/tailrace/v1/content_pb.ts';

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
    quoteOf: (id, quote) => (quote !== '' && textOf(id).includes(evened(quote)) ? quote : ''),
  };
}

function evened(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}
