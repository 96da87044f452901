// The name of a tool that a model has called, as model servers take it back: some refuse a conversation with any
// other, and a name that a model made up would end its chat. Every tool that there is has such a name.
import { MAX_MCP_TOOL_NAME_CHARS } from '../limits.ts';

export function sendableName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]+/g, '_').slice(0, MAX_MCP_TOOL_NAME_CHARS);
}
