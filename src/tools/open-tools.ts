// The tools that are run here, opened for one run of a chat: Tailrace's own, and those of MCP servers.
import type { ChatRequest } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ServerTool, ToolOpener, ToolRun } from '../chat/tool-port.ts';
import type { AddressGuard } from './address-guard.ts';

/** Those of Tailrace's own that a request asks for. */
export type OwnTools = (request: ChatRequest, run: ToolRun) => Promise<readonly ServerTool[]>;

export function toolOpener(ownTools: OwnTools, guard: AddressGuard): ToolOpener {
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
    const mcp = await openMcpTools(request.mcpServers, new Set(names), guard, run);
    return { ...mcp, current: async () => [...own, ...(await mcp.current())] };
  };
}
