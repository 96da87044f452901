// The tools that are run here, opened for one run of a chat: Tailrace's own, and those of MCP servers.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ServerTool, ToolOpener, ToolRunScope } from '../chat/ports/tool.ts';
import type { McpParts } from './mcp/mcp-tools.ts';

/** Those of Tailrace's own that a request asks for. */
export type OwnTools = (request: ChatRequest, run: ToolRunScope) => Promise<readonly ServerTool[]>;

/** `mcp`: as things are when a run begins. */
export function toolOpener(ownTools: OwnTools, mcp: () => McpParts): ToolOpener {
  return async (request, run) => {
    const own = await ownTools(request, run);
    if (request.mcpServers.length === 0) {
      return {
        missing: undefined,
        current: () => Promise.resolve(own),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    }
    // The library is large, and most chats have no use for it.
    const { openMcpTools } = await import('./mcp/mcp-tools.ts');
    const names = request.tools.flatMap(({ kind }) =>
      kind.case === undefined ? [] : [kind.value.name],
    );
    const theirs = await openMcpTools(request.mcpServers, new Set(names), mcp(), run);
    return { ...theirs, current: async () => [...own, ...(await theirs.current())] };
  };
}
