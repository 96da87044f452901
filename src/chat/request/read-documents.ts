// Documents given as bytes or by url become text before the chat is created: what cannot be read is refused by
// its path, the worker has nothing to do again for each attempt, and only the text is stored.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type {
  ContentBlock,
  ContentDigest,
  DocumentBlock,
} from '../../../gen/tailrace/v1/content_pb.ts';
import type { ChatKey } from '../chat-key.ts';
import { digestOf } from './content-digest.ts';
import { type DocumentPlace, documentsOf } from '../rules/content-places.ts';
import type { DocumentFetcher, DocumentReader } from '../ports/document.ts';
import { ChatError, invalidRequest, type Violation } from '../errors.ts';
import { fetchDocument, type Found } from './fetched-document.ts';
import {
  DOCUMENTS_FETCHED_AT_ONCE,
  DOCUMENTS_READ_MS,
  MAX_DOCUMENT_TEXT_BYTES,
  MAX_REQUEST_BYTES,
} from '../limits.ts';
import { documentKindOf, parseMediaType } from '../media-type.ts';

export interface DocumentSources {
  readonly reader: DocumentReader;
  readonly fetcher: DocumentFetcher;
}

/** In the place of one that was bytes or an address. */
interface Read {
  readonly text: string;
  readonly mediaType: string;
  readonly original: ContentDigest;
}

/**
 * The same request with text in the place of bytes and addresses. `begin` is called where there is something
 * to read, and gives the signal that ends it: the caller's, and DOCUMENTS_READ_MS by AbortSignal.timeout.
 * Rejects with INVALID_REQUEST, naming every document that cannot be read, with REQUEST_TOO_LARGE where the
 * texts are more than any request may have, and as DocumentReader does.
 */
export async function readDocuments(
  request: ChatRequest,
  sources: DocumentSources,
  chat: ChatKey,
  begin: () => AbortSignal,
): Promise<ChatRequest> {
  const places = [...documentsOf(request)]
    .filter(({ document: { source } }) => source.case === 'data' || source.case === 'url')
    .map(({ path, document }) => ({ path: `${path}.${document.source.case}`, document }));
  if (places.length === 0) return request;
  const failed = new AbortController();
  const signal = AbortSignal.any([begin(), failed.signal]);
  const read = new Map<DocumentBlock, DocumentBlock>();
  const found: Violation[] = [];
  let textBytes = 0;
  const one = async ({ path, document }: DocumentPlace): Promise<void> => {
    const reading = await readOne(document, sources, chat, signal);
    if ('unreadable' in reading) {
      found.push({ path, description: reading.unreadable });
      return;
    }
    textBytes += Buffer.byteLength(reading.text);
    if (textBytes > MAX_REQUEST_BYTES) throw textsTooLong(textBytes);
    const { text, mediaType, original } = reading;
    const source = { case: 'text', value: text } as const;
    read.set(document, { ...document, source, mediaType, original });
  };
  const addresses = places.filter(({ document }) => document.source.case === 'url').values();
  const tasks = [
    ...places.filter(({ document }) => document.source.case === 'data').map(one),
    // Each takes the next; whole documents are held for so many at once.
    ...Array.from({ length: DOCUMENTS_FETCHED_AT_ONCE }, async () => {
      for (const place of addresses) await one(place);
    }),
  ];
  try {
    await Promise.all(tasks);
  } catch (error) {
    // What the others would come to is not asked for any more.
    failed.abort(error);
    await Promise.allSettled(tasks);
    if (!isTimeout(error)) throw error;
    const description = `to fetch and read all documents of one request may take ${DOCUMENTS_READ_MS / 1_000} s, and that was not enough; send fewer or smaller ones`;
    throw invalidRequest('INVALID_REQUEST', [{ path: 'request.messages', description }]);
  }
  if (found.length > 0) {
    const order = places.map(({ path }) => path);
    const sorted = found.toSorted((a, b) => order.indexOf(a.path) - order.indexOf(b.path));
    throw invalidRequest('INVALID_REQUEST', sorted);
  }
  return replaced(request, read);
}

/** As AbortSignal.timeout says it. */
function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

async function readOne(
  document: DocumentBlock,
  { reader, fetcher }: DocumentSources,
  chat: ChatKey,
  signal: AbortSignal,
): Promise<Read | { readonly unreadable: string }> {
  const { source } = document;
  const found =
    source.case === 'url'
      ? await fetchDocument(source.value, document, fetcher, chat, signal)
      : givenBytes(document);
  if ('unreadable' in found) return found;
  const { toRead, mediaType } = found;
  const reading = await reader.read(toRead, chat, signal);
  if ('unreadable' in reading) return reading;
  const bytes = Buffer.byteLength(reading.text);
  if (bytes > MAX_DOCUMENT_TEXT_BYTES) return { unreadable: textTooLong(bytes) };
  return { text: reading.text, mediaType, original: digestOf(toRead.data) };
}

function givenBytes({ source, mediaType }: DocumentBlock): Found {
  const type = parseMediaType(mediaType);
  const kind = documentKindOf(type?.name ?? '');
  if (source.case !== 'data' || kind === undefined) {
    throw new Error('A document without a known media type came past content-rules.ts.');
  }
  return { toRead: { kind, data: source.value, charset: type?.charset }, mediaType };
}

function textsTooLong(bytes: number): ChatError {
  return new ChatError(
    'REQUEST_TOO_LARGE',
    `The request’s documents have ${bytes} bytes as text or more; this server takes at most ${MAX_REQUEST_BYTES} in one request.`,
    { metadata: { max_bytes: String(MAX_REQUEST_BYTES) } },
  );
}

/** Said by whoever finds it first. */
export function textTooLong(bytes: number): string {
  return `has ${bytes} bytes as text or more; a document may have ${MAX_DOCUMENT_TEXT_BYTES}`;
}

function replaced(
  request: ChatRequest,
  read: ReadonlyMap<DocumentBlock, DocumentBlock>,
): ChatRequest {
  const ofBlock = (content: ContentBlock): ContentBlock => {
    const { block } = content;
    if (block.case === 'document') {
      return { ...content, block: { ...block, value: read.get(block.value) ?? block.value } };
    }
    if (block.case === 'toolResult') {
      const value = { ...block.value, content: block.value.content.map(ofBlock) };
      return { ...content, block: { ...block, value } };
    }
    return content;
  };
  return {
    ...request,
    messages: request.messages.map((message) => {
      return { ...message, content: message.content.map(ofBlock) };
    }),
    toolContext: request.toolContext.map((entry) => {
      const { item } = entry;
      if (item.case !== 'document') return entry;
      return { ...entry, item: { ...item, value: read.get(item.value) ?? item.value } };
    }),
  };
}
