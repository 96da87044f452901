// Tailrace's own tools, by the names that a request asks for them by, each bound to what the request lets
// it use. What does not belong here: how any of them works; each has a file of its own.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ServerTool, ToolRun } from '../chat/tool-port.ts';
import type { OwnTools } from './open-tools.ts';
import type { DatabaseEngine } from './databases/database-engine.ts';
import { databaseQueryTool } from './databases/database-query.ts';
import { documentSearchTool } from './document-search.ts';
import { tableQueryTool } from './table-query.ts';
import { type WebFetchParts, webFetchTool } from './web-fetch.ts';

const MAKERS = {
  document_search: documentSearchTool,
  table_query: (request, { chat }) => tableQueryTool(request, chat),
  web_fetch: (_, { chat }, outside) => webFetchTool(outside, chat),
  database_query: (request, run, { databases }) => databaseQueryTool(request, run, databases),
} as const satisfies Readonly<Record<string, Maker>>;

type Maker = (
  request: ChatRequest,
  run: ToolRun,
  outside: Outside,
) => ServerTool | Promise<ServerTool>;

/** The ways to what is not in a request. */
export interface Outside extends WebFetchParts {
  readonly databases: DatabaseEngine;
}

/** The names of the tools that requests may ask for. */
export const SERVED_TOOLS: ReadonlySet<string> = new Set(Object.keys(MAKERS));

function isServed(name: string): name is keyof typeof MAKERS {
  return SERVED_TOOLS.has(name);
}

/** Those that a request asks for. */
export function serverTools(outside: Outside): OwnTools {
  return (request, run) =>
    Promise.all(
      request.tools.flatMap(({ kind }) =>
        kind.case === 'server' && isServed(kind.value.name)
          ? [Promise.resolve(MAKERS[kind.value.name](request, run, outside))]
          : [],
      ),
    );
}
