// Tailrace's own tools, by the names that a request asks for them by, each bound to what the request lets
// it use. What does not belong here: how any of them works; each has a file of its own.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ServerTool, ToolRun } from '../chat/tool-port.ts';
import type { OwnTools } from './open-tools.ts';
import { documentSearchTool } from './document-search.ts';
import { tableQueryTool } from './table-query.ts';
import { type WebFetchParts, webFetchTool } from './web-fetch.ts';

const MAKERS = {
  document_search: documentSearchTool,
  table_query: (request, { chat }) => tableQueryTool(request, chat),
  web_fetch: (_, { chat }, outside) => webFetchTool(outside, chat),
} as const satisfies Readonly<
  Record<string, (request: ChatRequest, run: ToolRun, outside: WebFetchParts) => ServerTool>
>;

/** The names of the tools that requests may ask for. */
export const SERVED_TOOLS: ReadonlySet<string> = new Set(Object.keys(MAKERS));

function isServed(name: string): name is keyof typeof MAKERS {
  return SERVED_TOOLS.has(name);
}

/** Those that a request asks for; `outside`: the way to the web. */
export function serverTools(outside: WebFetchParts): OwnTools {
  return (request, run) =>
    request.tools.flatMap(({ kind }) =>
      kind.case === 'server' && isServed(kind.value.name)
        ? [MAKERS[kind.value.name](request, run, outside)]
        : [],
    );
}
