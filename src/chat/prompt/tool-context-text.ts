// What the system text says of tool_context: free data as a whole, and that there are documents, tables
// and databases, which the descriptions of their tools list.
// Documented in docs/TOOLS.md: callers write prompts around it.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { contextDocuments } from './context-documents.ts';
import { attribute } from './document-text.ts';

/** What is said of the context: what there is, and how it is cited. Empty where there is nothing to say. */
export function contextText(request: ChatRequest): string {
  const parts = [toolContextText(request)];
  if (request.system?.citations?.enabled === true) parts.push(CITING);
  return parts.filter((part) => part !== '').join('\n\n');
}

/** The markers are those of src/worker/answer/citation-filter.ts. */
const CITING =
  'Cite the documents that your answer rests on. Directly behind the words that a document supports, write ' +
  '[[dN: "a few words copied exactly from the document"]], where N is the document’s index or dN its id. ' +
  'Cite only documents that you were given, do not explain the markers, and write them nowhere else.';

function toolContextText(request: ChatRequest): string {
  const parts: string[] = [];
  const documents = contextDocuments(request);
  const [first] = documents;
  if (first !== undefined) {
    const last = documents.at(-1) ?? first;
    const ids = first === last ? first.id : `${first.id} to ${last.id}`;
    const counted = documents.length === 1 ? 'There is a document' : 'There are documents';
    parts.push(`${counted} (${ids}) to be searched with the tool document_search.`);
  }
  if (request.toolContext.some(({ item }) => item.case === 'table')) {
    parts.push('There are tables to be queried with the tool table_query.');
  }
  if (request.toolContext.some(({ item }) => item.case === 'database')) {
    parts.push('There are databases to be queried with the tool database_query.');
  }
  for (const { name, description, item } of request.toolContext) {
    if (item.case !== 'data') continue;
    const said = description === '' ? '' : ` description="${attribute(description)}"`;
    // Data must not be able to say that it is over; to JSON this is the same.
    const json = item.value.trim().replaceAll('</', String.raw`<\/`);
    parts.push(`<data name="${attribute(name)}"${said}>\n${json}\n</data>`);
  }
  return parts.join('\n');
}
