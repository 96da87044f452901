// document_search: the passages of the documents of tool_context that say most of what the model looks for.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { type ContextDocument, contextDocuments } from '../chat/context-documents.ts';
import { DEFAULT_PASSAGES, MAX_PASSAGES, MAX_SEARCH_QUERY_CHARS } from '../chat/limits.ts';
import type { TextTool } from '../chat/tool-port.ts';
import type { Hit } from './document-index.ts';
import { createKeptIndexes, indexKey } from './kept-indexes.ts';
import { listing, oneLine } from './listing.ts';

interface SearchInput {
  readonly query: string;
  readonly document?: string;
  readonly limit?: number;
}

/** Of all chats of this process. */
const indexes = createKeptIndexes();

/** `request`: with its documents as text. */
export function documentSearchTool(request: ChatRequest): TextTool {
  const documents = contextDocuments(request);
  const toIndex = documents.map(({ name, title, text }) => {
    return { title: name === title ? name : `${name} ${title}`, text };
  });
  // At the first call: most documents are long, and not every chat searches.
  let key: string | undefined;
  return {
    name: 'document_search',
    description: description(documents),
    inputSchema: schema(documents),
    idempotent: true,
    call: async (input, signal) => {
      const { query, document, limit = DEFAULT_PASSAGES } = input as unknown as SearchInput;
      const only = document === undefined ? undefined : documents.findIndex(hasId(document));
      key ??= indexKey(toIndex);
      // An abort does not stop the index: the next call finds it made.
      const hits = await untilAborted(
        indexes.with(key, toIndex, (index) => index.search(query, only, limit)),
        signal,
      );
      return answer(hits, documents);
    },
  };
}

function hasId(id: string): (document: ContextDocument) => boolean {
  return (document) => document.id === id;
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function answer(hits: readonly Hit[], documents: readonly ContextDocument[]): string {
  const passages = hits.flatMap(({ document, start, end }) => {
    const found = documents[document];
    if (found === undefined) return [];
    const { id, title, text } = found;
    return [{ document: id, title, position: start, quote: text.slice(start, end) }];
  });
  const note = 'no passage has any of these words; try other words, or other forms of them';
  return JSON.stringify(passages.length > 0 ? { passages } : { passages, note });
}

function description(documents: readonly ContextDocument[]): string {
  const lines = documents.map(({ id, name, title, description, text }) => {
    const titled = title === name ? '' : `, "${oneLine(title, 200)}"`;
    const said = description === '' ? '' : `: ${oneLine(description)}`;
    return `- ${id}: ${oneLine(name)}${titled}, ${text.length} characters${said}`;
  });
  return `Searches the documents below for words and gives the passages that fit best, each with its document's id, its position in characters from the document's start, and its words. Use it before you answer from these documents. It finds words and not meanings: give the words that the text would use, and search again with others where the passages do not answer. Documents:
${listing(lines, 'documents, whose ids count on')}`;
}

function schema(documents: readonly ContextDocument[]): string {
  return JSON.stringify({
    type: 'object',
    properties: {
      query: {
        type: 'string',
        minLength: 1,
        maxLength: MAX_SEARCH_QUERY_CHARS,
        description: 'The words to look for, in the language of the documents.',
      },
      document: {
        type: 'string',
        enum: documents.map(({ id }) => id),
        description: 'The id of the document to search. Default: all of them.',
      },
      limit: {
        type: 'integer',
        minimum: 1,
        maximum: MAX_PASSAGES,
        description: `The most passages. Default: ${DEFAULT_PASSAGES}.`,
      },
    },
    required: ['query'],
    additionalProperties: false,
  });
}
