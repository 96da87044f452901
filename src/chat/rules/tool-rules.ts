// The rules of a request's tools, and of the tool calls and results in its conversation: each violation
// by its path.
import type { ChatRequest, Tool, ToolChoice } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ToolChoiceMode } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ContentBlock, Message } from '../../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Violation } from '../errors.ts';
import { MAX_SCHEMAS_VALUES } from '../limits.ts';
import { isOfMcpServer, mcpPrefix } from './mcp-tool-names.ts';

type Report = (path: string, description: string) => void;

/** Whether a text is the JSON Schema of a tool's input; src/tools has it. */
export type SchemaChecker = (
  text: string,
) => { readonly ok: true; readonly values: number } | { readonly ok: false; readonly why: string };

export function toolViolations(request: ChatRequest, checkSchema: SchemaChecker): Violation[] {
  const found: Violation[] = [];
  const report: Report = (path, description) => void found.push({ path, description });
  const names = new Set<string>();
  let values = 0;
  for (const [i, tool] of request.tools.entries()) {
    values += checkTool(tool, `request.tools[${i}]`, names, checkSchema, report);
    if (values > MAX_SCHEMAS_VALUES) {
      report(
        'request.tools',
        `the input schemas have more than ${MAX_SCHEMAS_VALUES} JSON values together; simplify them`,
      );
      break;
    }
  }
  if (request.toolChoice !== undefined) checkChoice(request.toolChoice, request, report);
  return found;
}

/** How many values its schema has. */
function checkTool(
  { kind }: Tool,
  path: string,
  names: Set<string>,
  checkSchema: SchemaChecker,
  report: Report,
): number {
  if (kind.case === undefined) return 0;
  const { name } = kind.value;
  if (names.has(name)) report(`${path}.${kind.case}.name`, `another tool is called "${name}"`);
  names.add(name);
  if (kind.case === 'server' || kind.value.inputSchema === '') return 0;
  const { inputSchema } = kind.value;
  const checked = checkSchema(inputSchema);
  if (checked.ok) return checked.values;
  report(`${path}.client.input_schema`, checked.why);
  return 0;
}

function checkChoice(choice: ToolChoice, { tools, mcpServers }: ChatRequest, report: Report): void {
  const none = tools.length === 0 && mcpServers.length === 0;
  if (none) report('request.tool_choice', 'needs tools to choose among');
  if (choice.name !== '' && choice.mode !== ToolChoiceMode.NAMED) {
    report('request.tool_choice.name', 'is only for TOOL_CHOICE_MODE_NAMED');
  }
  if (choice.mode !== ToolChoiceMode.NAMED || none) return;
  const names = tools.flatMap(({ kind }) => (kind.value === undefined ? [] : [kind.value.name]));
  // Whether an MCP server has it is known when a run begins: the chat fails then.
  const theirs = mcpServers.some((server) => isOfMcpServer(choice.name, server.name));
  if (names.includes(choice.name) || theirs) return;
  const what =
    choice.name === '' ? 'is required with' : 'is no tool of the request; it must be, with';
  const are = [...names, ...mcpServers.map(({ name }) => `${mcpPrefix(name)}<tool>`)];
  report(
    'request.tool_choice.name',
    `${what} TOOL_CHOICE_MODE_NAMED, one of request.tools or of the tools of request.mcp_servers; they are: ${are.join(', ')}`,
  );
}

/**
 * Calls are the model's, results the user's; each call is answered once, before anything else is said.
 * A call at the end has nobody to answer it.
 */
export function pairingViolations(messages: readonly Message[]): Violation[] {
  const found: Violation[] = [];
  const report: Report = (path, description) => void found.push({ path, description });
  const seen = new Set<string>();
  /** Calls without a result yet, by id, with their paths. */
  const open = new Map<string, string>();
  const close = (): void => {
    for (const path of open.values()) {
      report(
        `${path}.id`,
        'has no tool_result behind it; each call is answered before the next message',
      );
    }
    open.clear();
  };
  for (const [i, { role, content }] of messages.entries()) {
    if (role === Role.ASSISTANT) close();
    for (const [j, part] of content.entries()) {
      const path = `request.messages[${i}].content[${j}]`;
      const { block } = part;
      if (block.case === 'toolUse') {
        checkToolUse(part, role, `${path}.tool_use`, seen, open, report);
      } else if (block.case === 'toolResult') {
        const { toolUseId } = block.value;
        checkResult(toolUseId, role, `${path}.tool_result`, seen, open, report);
      } else if (role === Role.USER) close();
    }
  }
  close();
  return found;
}

function checkToolUse(
  { block }: ContentBlock,
  role: Role,
  path: string,
  seen: Set<string>,
  open: Map<string, string>,
  report: Report,
): void {
  if (block.case !== 'toolUse') return;
  const { id, input, name, server, incomplete } = block.value;
  if (server !== '' && !isOfMcpServer(name, server)) {
    report(
      `${path}.name`,
      `must begin with "${mcpPrefix(server)}", as tools of the MCP server in "server" are called`,
    );
  }
  if (incomplete) {
    const description =
      'is only in answers; a call that was cut off is not given back: leave it out of the message';
    report(`${path}.incomplete`, description);
  } else if (!isJsonObject(input))
    report(`${path}.input`, 'must be the JSON text of an object, such as {}');
  if (role !== Role.ASSISTANT) {
    report(path, 'is what the model says: it belongs into a message of ROLE_ASSISTANT');
  } else if (seen.has(id)) report(`${path}.id`, `another call has the id "${id}"`);
  else open.set(id, path);
  seen.add(id);
}

function checkResult(
  id: string,
  role: Role,
  path: string,
  seen: ReadonlySet<string>,
  open: Map<string, string>,
  report: Report,
): void {
  if (role !== Role.USER) {
    report(path, 'is what the user’s side says: it belongs into a message of ROLE_USER');
  } else if (!open.delete(id)) {
    const why = seen.has(id)
      ? `the call "${id}" has its result already, or something else was said after it`
      : `there is no tool_use "${id}" before it`;
    report(`${path}.tool_use_id`, why);
  }
}

export function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/** What stands in a tool's result: text, and images as bytes, so far. */
export function resultFieldsNotHonoured(
  content: readonly ContentBlock[],
  path: string,
  refuse: (path: string) => void,
): void {
  for (const [i, part] of content.entries()) {
    const kind = part.block.case;
    const at = `${path}.content[${i}]`;
    if (part.block.case === 'image') {
      if (part.block.value.source.case === 'url') refuse(`${at}.image.url`);
    } else if (kind !== 'text' && kind !== undefined) refuse(`${at}.${snake(kind)}`);
    if (part.citations.length > 0) refuse(`${path}.content[${i}].citations`);
  }
}

export function snake(camel: string): string {
  return camel.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
