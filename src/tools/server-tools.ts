// Tailrace's own tools, by the names that a request asks for them by, each bound to what the request lets
// it use. What does not belong here: how any of them works; each has a file of its own.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { Embedder } from '../chat/ports/embedding.ts';
import type { ServerTool, ToolRunScope } from '../chat/ports/tool.ts';
import type { DatabaseEngine } from './databases/database-engine.ts';
import { databaseQueryTool } from './databases/database-query.ts';
import { documentSearchTool } from './search/document-search.ts';
import type { OwnTools } from './open-tools.ts';
import { tableQueryTool } from './tables/table-query.ts';
import { type WebFetchParts, webFetchTool } from './fetch/web-fetch.ts';

/** What of the process the tools stand on. */
export interface ToolParts extends WebFetchParts {
  /** As it is now; undefined: documents are searched by words alone. */
  readonly embedder?: () => Embedder | undefined;
  readonly databases: DatabaseEngine;
}

const MAKERS = {
  document_search: (request, run, { embedder }) => {
    const found = embedder?.();
    return documentSearchTool(request, found === undefined ? undefined : { embedder: found, run });
  },
  table_query: (request, { command }) => tableQueryTool(request, command.chat),
  web_fetch: (_, { command }, parts) => webFetchTool(parts, command.chat),
  database_query: (request, run, { databases }) => databaseQueryTool(request, run, databases),
} as const satisfies Readonly<Record<string, Maker>>;

type Maker = (
  request: ChatRequest,
  run: ToolRunScope,
  parts: ToolParts,
) => ServerTool | Promise<ServerTool>;

/** The names of the tools that requests may ask for. */
export const SERVED_TOOLS: ReadonlySet<string> = new Set(Object.keys(MAKERS));

function isServed(name: string): name is keyof typeof MAKERS {
  return SERVED_TOOLS.has(name);
}

/** Those that a request asks for, for one run. */
export function serverTools(parts: ToolParts): OwnTools {
  return (request, run) =>
    Promise.all(
      request.tools.flatMap(({ kind }) =>
        kind.case === 'server' && isServed(kind.value.name)
          ? [Promise.resolve(MAKERS[kind.value.name](request, run, parts))]
          : [],
      ),
    );
}
