// The tools that are run here, opened for one run of a chat: Tailrace's own, and those of MCP servers.
import type { ToolOpener } from '../chat/tool-port.ts';
import type { AddressGuard } from './address-guard.ts';
import { serverTools } from './server-tools.ts';

export function toolOpener(guard: AddressGuard): ToolOpener {
  return async (request, run) => {
    const own = serverTools(request);
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
