// The names of MCP tools as models know them: `<server>__<tool>`. Model servers take A–Z, a–z, 0–9, _ and -, 64
// characters at most; what does not fit is made to, and ends in a hash of the whole, so that it stays one name.
import { createHash } from 'node:crypto';
import { MAX_MCP_TOOL_NAME_CHARS } from '../../chat/limits.ts';
import {
  MCP_NAME_HASH_CHARS,
  MCP_READABLE_CHARS,
  mcpPrefix,
} from '../../chat/rules/mcp-tool-names.ts';

const USABLE = new RegExp(`^[A-Za-z0-9_-]{1,${MAX_MCP_TOOL_NAME_CHARS}}$`);

/** `taken`: names that the chat has already; the new one is added. The same names, the same result. */
export function mcpToolName(server: string, tool: string, taken: Set<string>): string {
  const plain = `${mcpPrefix(server)}${tool}`;
  let name = USABLE.test(plain) ? plain : hashed(plain, server, tool, 0);
  // Also a server may call a tool as another's name was made to be.
  for (let tried = 0; taken.has(name); tried++) name = hashed(plain, server, tool, tried);
  taken.add(name);
  return name;
}

function hashed(plain: string, server: string, tool: string, tried: number): string {
  const digest = createHash('sha256')
    .update(JSON.stringify(tried === 0 ? [server, tool] : [server, tool, tried]))
    .digest('hex');
  const readable = plain.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, MCP_READABLE_CHARS);
  return `${readable}_${digest.slice(0, MCP_NAME_HASH_CHARS)}`;
}
