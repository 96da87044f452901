// How the name of an MCP server's tool begins, as models know it. The rest is made in src/tools/mcp.
import { MAX_MCP_TOOL_NAME_CHARS } from '../limits.ts';

/** A name that is made to fit ends in so many hexadecimal digits of a hash, behind a _. */
export const MCP_NAME_HASH_CHARS = 8;
/** What is left of such a name. */
export const MCP_READABLE_CHARS = MAX_MCP_TOOL_NAME_CHARS - MCP_NAME_HASH_CHARS - 1;

export function mcpPrefix(server: string): string {
  return `${server}__`;
}

/** Whether a tool of the server may be called so. */
export function isOfMcpServer(name: string, server: string): boolean {
  const prefix = mcpPrefix(server);
  return name.length > prefix.length
    ? name.startsWith(prefix.slice(0, MCP_READABLE_CHARS))
    : prefix.length > MCP_READABLE_CHARS && name.startsWith(prefix.slice(0, MCP_READABLE_CHARS));
}
