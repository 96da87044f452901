// Which of the tools that MCP servers list a chat has: allowed ones, as many as there may be, with names and
// schemas that models and we can work with. What is left out is told, with the reason.
import type { Tool } from '@modelcontextprotocol/client';
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import {
  MAX_MCP_DESCRIPTION_CHARS,
  MAX_MCP_LISTED_TOOLS,
  MAX_MCP_TOOLS,
  MAX_SCHEMAS_VALUES,
} from '../../chat/limits.ts';
import type { ModelWarning } from '../../chat/ports/model.ts';
import { jsonText } from './mcp-json.ts';
import { mcpToolName } from './mcp-names.ts';
import { checkToolSchema } from './mcp-schema.ts';

export interface Listed {
  readonly server: McpServer;
  /** Of the server in the request. */
  readonly field: string;
  /** Of what the server says. */
  readonly withoutSecrets: (text: string) => string;
  /** The tools that the operator lets anyone have; empty: all. */
  readonly ownAllowed: readonly string[];
  tools: readonly Tool[];
}

export interface TakenTool<From extends Listed> {
  readonly from: From;
  readonly tool: Tool;
  readonly name: string;
  readonly description: string;
  readonly inputSchema: string;
}

/** What is left to take. */
interface Room {
  tools: number;
  values: number;
}

/** `names`: those that are taken. In the order of the servers and of their lists. */
export function takenTools<From extends Listed>(
  all: readonly From[],
  names: ReadonlySet<string>,
  warn: (warning: ModelWarning) => void,
): TakenTool<From>[] {
  const taken = new Set(names);
  const room: Room = { tools: MAX_MCP_TOOLS, values: MAX_SCHEMAS_VALUES };
  return all.flatMap((from) => {
    const { server, field, withoutSecrets, ownAllowed } = from;
    const tools =
      ownAllowed.length === 0
        ? from.tools
        : from.tools.filter(({ name }) => ownAllowed.includes(name));
    const leftOut: string[] = [];
    const found: TakenTool<From>[] = [];
    const allowed = new Set(server.allowedTools);
    const seen = new Set<string>();
    for (const tool of tools.slice(0, MAX_MCP_LISTED_TOOLS)) {
      if (server.allowedTools.length > 0 && !allowed.has(tool.name)) continue;
      if (seen.has(tool.name)) {
        leftOut.push(`${quoted(withoutSecrets(tool.name))}, which it lists twice`);
        continue;
      }
      seen.add(tool.name);
      const inputSchema = jsonText(tool.inputSchema);
      const why = faultOf(inputSchema, room);
      if (inputSchema === undefined || why !== undefined) {
        leftOut.push(`${quoted(withoutSecrets(tool.name))}, which ${why}`);
        continue;
      }
      const name = mcpToolName(server.name, tool.name, taken);
      const description = descriptionOf(tool, withoutSecrets);
      found.push({ from, tool, name, description, inputSchema });
    }
    if (tools.length > MAX_MCP_LISTED_TOOLS) {
      leftOut.push(`what it lists after ${MAX_MCP_LISTED_TOOLS} tools`);
    }
    for (const name of allowed) {
      if (!seen.has(name)) leftOut.push(`${quoted(name)}, which it does not have`);
    }
    if (leftOut.length > 0) {
      const message = withoutSecrets(leftOutText(server.name, leftOut));
      warn({ reason: WarningReason.MCP_TOOL_LEFT_OUT, message, field });
    }
    return found;
  });
}

/** Why a tool cannot be taken; else it is counted. */
function faultOf(inputSchema: string | undefined, room: Room): string | undefined {
  if (inputSchema === undefined) return 'has an input schema that is nested too deeply';
  if (room.tools === 0) {
    return `is one more than the ${MAX_MCP_TOOLS} that all MCP servers of a chat may have`;
  }
  const checked = checkToolSchema(inputSchema);
  if (!checked.ok) return `has an input schema that ${checked.why}`;
  if (checked.values > room.values) {
    return `has an input schema that is too large: all of a chat may have ${MAX_SCHEMAS_VALUES} JSON values together`;
  }
  room.tools--;
  room.values -= checked.values;
  return undefined;
}

/** Its secrets are taken out of it before it is cut: a piece of one would not be known. */
function descriptionOf(
  { description, title, name, annotations }: Tool,
  withoutSecrets: (text: string) => string,
): string {
  const text = withoutSecrets(description ?? title ?? annotations?.title ?? name);
  if (text.length <= MAX_MCP_DESCRIPTION_CHARS) return text;
  return `${text.slice(0, MAX_MCP_DESCRIPTION_CHARS).toWellFormed()}…`;
}

const SAID = 3;
const MAX_QUOTED_CHARS = 100;
const MAX_REASON_CHARS = 400;

function quoted(name: string): string {
  return JSON.stringify(cut(name, MAX_QUOTED_CHARS));
}

function cut(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars).toWellFormed()}…`;
}

function leftOutText(server: string, leftOut: readonly string[]): string {
  const said = leftOut.slice(0, SAID).map((each) => cut(each, MAX_REASON_CHARS));
  const more = leftOut.length > SAID ? `; and ${leftOut.length - SAID} more` : '';
  return `Of the MCP server "${server}" is left out: ${said.join('; ')}${more}.`;
}
