// The rules of a request that reach across its fields, and the fields that are in the contract but
// not honoured yet. Ranges and sizes of single fields stand in the .proto.
import type { ChatRequest, Thinking } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { InitiateChatStreamRequest } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { Violation } from './errors.ts';
import { MAX_METADATA_BYTES } from './limits.ts';

const LATER = 'is not honoured by this version; leave it out';

/** Every set field that this version does not honour, by its path. */
export function fieldsNotHonoured(initiate: InitiateChatStreamRequest): Violation[] {
  const found: Violation[] = [];
  const refuse = (path: string): void => {
    found.push({ path, description: LATER });
  };
  if (initiate.awaitToolResults) refuse('await_tool_results');
  const request = initiate.request;
  if (request === undefined) return found;
  if (request.tools.length > 0) refuse('request.tools');
  if (request.toolChoice !== undefined) refuse('request.tool_choice');
  if (request.toolContext.length > 0) refuse('request.tool_context');
  if (request.mcpServers.length > 0) refuse('request.mcp_servers');
  const format = request.responseFormat?.format;
  if (format?.case === 'jsonSchema') refuse('request.response_format.json_schema');
  if (format?.case === 'tool') refuse('request.response_format.tool');
  if (request.system?.useDefaultPrompt === true) refuse('request.system.use_default_prompt');
  if (request.system?.citations?.enabled === true) refuse('request.system.citations.enabled');
  if ((request.system?.guidelines ?? '') !== '') refuse('request.system.guidelines');
  if (request.thinking !== undefined) refuseThinking(request.thinking, refuse);
  if (request.limits !== undefined) refuse('request.limits');
  for (const [i, message] of request.messages.entries()) {
    for (const [j, part] of message.content.entries()) {
      const path = `request.messages[${i}].content[${j}]`;
      const kind = part.block.case;
      if (kind !== 'text' && kind !== undefined) refuse(`${path}.${snake(kind)}`);
      if (part.citations.length > 0) refuse(`${path}.citations`);
    }
  }
  return found;
}

/** Also when all of it is unset: that says "do not reason", which is no model's own default. */
function refuseThinking(thinking: Thinking, refuse: (path: string) => void): void {
  const { enabled, effort, budgetTokens, bestEffort } = thinking;
  if (enabled) refuse('request.thinking.enabled');
  if (effort !== 0) refuse('request.thinking.effort');
  if (budgetTokens !== undefined) refuse('request.thinking.budget_tokens');
  if (bestEffort) refuse('request.thinking.best_effort');
  if (!enabled && effort === 0 && budgetTokens === undefined && !bestEffort) {
    refuse('request.thinking');
  }
}

/** Rules across the messages, and across the pairs of the metadata. */
export function conversationViolations(request: ChatRequest): Violation[] {
  const found: Violation[] = [];
  const last = request.messages.length - 1;
  if (request.messages[last]?.role === Role.ASSISTANT) {
    found.push({
      path: `request.messages[${last}].role`,
      description:
        'the last message must be of ROLE_USER; continuing an assistant message is not honoured by this version',
    });
  }
  const said = request.messages.some((message) =>
    message.content.some((part) => part.block.case !== 'text' || part.block.value.length > 0),
  );
  if (!said && request.messages.length > 0) {
    found.push({
      path: 'request.messages',
      description: 'all messages are empty; at least one must have text',
    });
  }
  const metadataBytes = Buffer.byteLength(JSON.stringify(request.metadata));
  if (metadataBytes > MAX_METADATA_BYTES) {
    found.push({
      path: 'request.metadata',
      description: `takes ${metadataBytes} bytes as JSON; at most ${MAX_METADATA_BYTES} are taken`,
    });
  }
  return found;
}

function snake(camel: string): string {
  return camel.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
