// Documents given as bytes become text before the chat is created: what cannot be read is refused by its
// path, the worker has nothing to do again for each attempt, and only the text is stored.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ContentBlock, DocumentBlock } from '../../gen/tailrace/v1/content_pb.ts';
import { digestOf } from './content-digest.ts';
import { documentsOf } from './content-places.ts';
import type { DocumentReader, DocumentReading } from './document-port.ts';
import type { Violation } from './errors.ts';
import { invalidRequest } from './errors.ts';
import { DOCUMENTS_READ_MS, MAX_DOCUMENT_TEXT_BYTES } from './limits.ts';
import { documentKindOf, parseMediaType } from './media-type.ts';

/**
 * The same request with text in the place of bytes. `begin` is called where there is something to read, and
 * gives the signal that ends it: the caller's, and DOCUMENTS_READ_MS by AbortSignal.timeout. Rejects with INVALID_REQUEST, naming every document
 * that cannot be read, and as DocumentReader does.
 */
export async function readDocuments(
  request: ChatRequest,
  reader: DocumentReader,
  begin: () => AbortSignal,
): Promise<ChatRequest> {
  const places = [...documentsOf(request)].filter(
    ({ document }) => document.source.case === 'data',
  );
  if (places.length === 0) return request;
  const signal = begin();
  const read = new Map<DocumentBlock, DocumentBlock>();
  const found: Violation[] = [];
  const settled = await Promise.allSettled(
    places.map(async ({ path, document }) => {
      const reading = await readOne(document, reader, signal);
      if ('text' in reading) read.set(document, withText(document, reading.text));
      else found.push({ path: `${path}.data`, description: reading.unreadable });
    }),
  );
  const failed = settled.find((each) => each.status === 'rejected');
  if (failed !== undefined && isTimeout(failed.reason)) {
    const description = `to read all documents of one request may take ${DOCUMENTS_READ_MS / 1_000} s, and that was not enough; send fewer or smaller ones`;
    throw invalidRequest('INVALID_REQUEST', [{ path: 'request.messages', description }]);
  }
  if (failed !== undefined) throw failed.reason;
  if (found.length > 0) {
    const order = places.map(({ path }) => `${path}.data`);
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
  { source, mediaType }: DocumentBlock,
  reader: DocumentReader,
  signal: AbortSignal,
): Promise<DocumentReading> {
  const type = parseMediaType(mediaType);
  const kind = documentKindOf(type?.name ?? '');
  if (source.case !== 'data' || kind === undefined) {
    throw new Error('A document without a known media type came past content-rules.ts.');
  }
  const reading = await reader.read({ kind, data: source.value, charset: type?.charset }, signal);
  if ('unreadable' in reading) return reading;
  const bytes = Buffer.byteLength(reading.text);
  if (bytes > MAX_DOCUMENT_TEXT_BYTES) return { unreadable: textTooLong(bytes) };
  return reading;
}

/** Said by whoever finds it first. */
export function textTooLong(bytes: number): string {
  return `has ${bytes} bytes as text or more; a document may have ${MAX_DOCUMENT_TEXT_BYTES}`;
}

function withText(document: DocumentBlock, text: string): DocumentBlock {
  const { source } = document;
  const data = source.case === 'data' ? source.value : new Uint8Array();
  return { ...document, source: { case: 'text', value: text }, original: digestOf(data) };
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
