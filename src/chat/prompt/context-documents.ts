// The documents of a request by short ids, which the model reads, names and cites: d1, d2, … in the order
// of content-places.ts, so that the number is the one that the prompt gives to a document of the messages.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { DocumentBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { documentsOf } from '../rules/content-places.ts';

/** The ids of all documents, in order. */
export function documentIds(request: ChatRequest): ReadonlyMap<DocumentBlock, string> {
  const ids = new Map<DocumentBlock, string>();
  for (const { document } of documentsOf(request)) ids.set(document, `d${ids.size + 1}`);
  return ids;
}

/** All documents by their ids. */
export function documentsById(request: ChatRequest): ReadonlyMap<string, DocumentBlock> {
  return new Map(Array.from(documentIds(request), ([document, id]) => [id, document]));
}

export interface ContextDocument {
  readonly id: string;
  /** As tool_context has it. */
  readonly name: string;
  readonly description: string;
  /** Its own title; where it has none, the name. */
  readonly title: string;
  readonly text: string;
}

/** The documents of tool_context, once they are text. */
export function contextDocuments(request: ChatRequest): readonly ContextDocument[] {
  const ids = documentIds(request);
  return request.toolContext.flatMap(({ name, description, item }) => {
    if (item.case !== 'document' || item.value.source.case !== 'text') return [];
    const id = ids.get(item.value) ?? '';
    const title = item.value.title === '' ? name : item.value.title;
    return [{ id, name, description, title, text: item.value.source.value }];
  });
}
