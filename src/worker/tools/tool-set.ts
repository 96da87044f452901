// The tools of one chat: those that its client runs, and those that are run here; and what the model is
// told of both.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ToolDefinition } from '../../chat/ports/model.ts';
import type { ServerTool } from '../../chat/ports/tool.ts';

export interface ToolSet {
  /** For the model, in the request's order. */
  readonly definitions: readonly ToolDefinition[];
  readonly clientNames: ReadonlySet<string>;
  /** Run here, by name; those of MCP servers too. */
  readonly ours: ReadonlyMap<string, OwnTool>;
}

export interface OwnTool {
  readonly tool: ServerTool;
  /** The most calls in one chat; undefined: no bound of its own. */
  readonly maxUses: number | undefined;
}

/** `ours`: the tools of Tailrace's own that this chat may use, and those of its MCP servers. */
export function toolSet(request: ChatRequest, ours: readonly ServerTool[]): ToolSet {
  const definitions: ToolDefinition[] = [];
  const clientNames = new Set<string>();
  const own = new Map<string, OwnTool>();
  for (const { kind } of request.tools) {
    if (kind.case === 'client') {
      const { name, description, inputSchema } = kind.value;
      clientNames.add(name);
      definitions.push({ name, description, inputSchema });
    } else if (kind.case === 'server') {
      const { name, maxUses } = kind.value;
      const tool = ours.find((each) => each.name === name);
      // The door refuses a tool that there is not.
      if (tool === undefined) throw new Error(`There is no tool "${name}".`);
      own.set(name, { tool, maxUses });
      definitions.push({ name, description: tool.description, inputSchema: tool.inputSchema });
    }
  }
  for (const tool of ours) {
    if (tool.server === undefined) continue;
    const { name, description, inputSchema } = tool;
    own.set(name, { tool, maxUses: undefined });
    definitions.push({ name, description, inputSchema });
  }
  return { definitions, clientNames, ours: own };
}
