// document_search: the passages of the documents of tool_context that say most of what the model looks for.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { type ContextDocument, contextDocuments } from '../../chat/prompt/context-documents.ts';
import type { Embedder } from '../../chat/ports/embedding.ts';
import {
  DEFAULT_PASSAGES,
  FUSED_PASSAGES,
  MAX_PASSAGES,
  MAX_SEARCH_QUERY_CHARS,
} from '../../chat/limits.ts';
import type { TextTool, ToolRunScope } from '../../chat/ports/tool.ts';
import type { Hit } from './document-index.ts';
import { createKeptIndexes, indexKey } from './kept-indexes.ts';
import { createKeptVectors } from './kept-vectors.ts';
import { listing, oneLine } from '../schemas/listing.ts';
import { createMeaningSearch, type MeaningSearch } from './meaning-search.ts';
import { fused } from './rank-fusion.ts';
import { untilAborted } from './until-aborted.ts';

interface SearchInput {
  readonly query: string;
  readonly document?: string;
  readonly limit?: number;
}

/** Of all chats of this process. */
const indexes = createKeptIndexes();
const vectors = createKeptVectors();

/** What it takes to search by meaning as well. */
export interface Meanings {
  readonly embedder: Embedder;
  readonly run: ToolRunScope;
}

/** For one run. `request`: with its documents as text. `meanings` undefined: by words alone. */
export function documentSearchTool(request: ChatRequest, meanings?: Meanings): TextTool {
  const documents = contextDocuments(request);
  const toIndex = documents.map(({ name, title, text }) => {
    return { title: name === title ? name : `${name} ${title}`, text };
  });
  // At the first call: most documents are long, and not every chat searches.
  let key: string | undefined;
  let meaning: MeaningSearch | undefined;
  return {
    name: 'document_search',
    description: description(documents, meanings !== undefined),
    inputSchema: schema(documents),
    idempotent: true,
    call: async (input, signal, traceparent) => {
      const { query, document, limit = DEFAULT_PASSAGES } = input as unknown as SearchInput;
      const only = document === undefined ? undefined : documents.findIndex(hasId(document));
      key ??= indexKey(toIndex);
      // An abort does not stop the index: the next call finds it made.
      const { byWords, passages, range } = await untilAborted(
        indexes.with(key, toIndex, (index) => ({
          byWords: index.search(query, only, meanings === undefined ? limit : FUSED_PASSAGES),
          passages: index.passages,
          range: index.rangeOf(only),
        })),
        signal,
      );
      if (meanings === undefined) return answer(byWords, documents);
      meaning ??= createMeaningSearch(
        meanings.embedder,
        {
          vectors,
          key,
          texts: passages.map(
            ({ document, start, end }) => documents[document]?.text.slice(start, end) ?? '',
          ),
        },
        meanings.run,
        fieldOf(request),
      );
      const call = { signal, traceparent };
      const places = await meaning.nearest(query, range, FUSED_PASSAGES, call);
      const byMeaning = places.flatMap((place) => passages[place] ?? []);
      const hits = fused([byWords, byMeaning], ({ place }) => place);
      return answer(hits.slice(0, limit), documents);
    },
  };
}

function hasId(id: string): (document: ContextDocument) => boolean {
  return (document) => document.id === id;
}

/** Where the request asks for this tool. */
function fieldOf({ tools }: ChatRequest): string {
  const asks = tools.findIndex(
    ({ kind }) => kind.case === 'server' && kind.value.name === 'document_search',
  );
  return `request.tools[${asks}]`;
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

function description(documents: readonly ContextDocument[], byMeaning: boolean): string {
  const lines = documents.map(({ id, name, title, description, text }) => {
    const titled = title === name ? '' : `, "${oneLine(title, 200)}"`;
    const said = description === '' ? '' : `: ${oneLine(description)}`;
    return `- ${id}: ${oneLine(name)}${titled}, ${text.length} characters${said}`;
  });
  const how = byMeaning
    ? 'It finds words and meanings: ask in a sentence that has the words that the text would use'
    : 'It finds words and not meanings: give the words that the text would use';
  return `Searches the documents below and gives the passages that fit best, each with its document's id, its position in characters from the document's start, and its words. Use it before you answer from these documents. ${how}, and search again with others where the passages do not answer. Documents:
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
