// The rules of a request that reach across its fields, and the fields that are in the contract but
// not honoured yet. Ranges and sizes of single fields stand in the .proto.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { InitiateChatStreamRequest } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { type Message, Role } from '../../../gen/tailrace/v1/content_pb.ts';
import { documentsOf } from './content-places.ts';
import type { Violation } from '../errors.ts';
import { MAX_METADATA_BYTES } from '../limits.ts';
import { thinkingWish } from './thinking-wish.ts';
import { pairingViolations, resultFieldsNotHonoured, snake } from './tool-rules.ts';

/** Undefined: the contract's own rule refuses it. */
const HONOURED: ReadonlySet<string | undefined> = new Set([
  'text',
  'image',
  'document',
  'thinking',
  'toolUse',
  'toolResult',
  undefined,
]);

const LATER = 'is not honoured by this version; leave it out';

/** Every set field that this version does not honour, by its path. `serverTools`: the names of those that it has. */
export function fieldsNotHonoured(
  initiate: InitiateChatStreamRequest,
  serverTools: ReadonlySet<string>,
): Violation[] {
  const found: Violation[] = [];
  const refuse = (path: string): void => {
    found.push({ path, description: LATER });
  };
  const request = initiate.request;
  if (request === undefined) return found;
  for (const [i, tool] of request.tools.entries()) {
    const { kind } = tool;
    if (kind.case === 'server' && !serverTools.has(kind.value.name)) {
      refuse(`request.tools[${i}].server`);
    }
  }
  for (const [i, message] of request.messages.entries()) {
    for (const [j, part] of message.content.entries()) {
      const path = `request.messages[${i}].content[${j}]`;
      const { block } = part;
      if (!HONOURED.has(block.case)) refuse(`${path}.${snake(block.case ?? '')}`);
      if (block.case === 'toolResult') {
        resultFieldsNotHonoured(block.value.content, `${path}.tool_result`, refuse);
      }
      if (part.citations.length > 0) refuse(`${path}.citations`);
    }
  }
  return found;
}

/** Rules across the messages, and across the pairs of the metadata. */
export function conversationViolations(request: ChatRequest): Violation[] {
  const found: Violation[] = [];
  found.push(...thinkingViolations(request));
  found.push(...citationViolations(request));
  const last = request.messages.length - 1;
  const begun = request.messages[last];
  if (begun?.role === Role.ASSISTANT && !canGoOn(begun)) {
    found.push({
      path: `request.messages[${last}].content`,
      description:
        'the last message, if it is of ROLE_ASSISTANT, is what the answer goes on with: it must end with text that is not empty',
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
  found.push(...pairingViolations(request.messages));
  const metadataBytes = Buffer.byteLength(JSON.stringify(request.metadata));
  if (metadataBytes > MAX_METADATA_BYTES) {
    found.push({
      path: 'request.metadata',
      description: `takes ${metadataBytes} bytes as JSON; at most ${MAX_METADATA_BYTES} are taken`,
    });
  }
  return found;
}

function canGoOn({ content }: Message): boolean {
  const block = content.at(-1)?.block;
  return block?.case === 'text' && block.value !== '';
}

function thinkingViolations(request: ChatRequest): Violation[] {
  const found: Violation[] = [];
  const wish = thinkingWish(request);
  if (wish?.effort !== undefined && wish.budgetTokens !== undefined) {
    const description = 'does not go together with effort; give one of them';
    found.push({ path: 'request.thinking.budget_tokens', description });
  }
  for (const [i, { role, content }] of request.messages.entries()) {
    if (role === Role.ASSISTANT) continue;
    for (const [j, { block }] of content.entries()) {
      if (block.case !== 'thinking') continue;
      found.push({
        path: `request.messages[${i}].content[${j}].thinking`,
        description: 'reasoning is the model’s: it belongs into a message of ROLE_ASSISTANT',
      });
    }
  }
  return found;
}

function citationViolations(request: ChatRequest): Violation[] {
  if (request.system?.citations?.enabled !== true) return [];
  const path = 'request.system.citations.enabled';
  if (documentsOf(request).next().done === true) {
    return [{ path, description: 'needs a document in messages or tool_context to be cited' }];
  }
  if (request.responseFormat?.format.case === 'jsonSchema') {
    const description =
      'does not go together with response_format.json_schema: JSON has no place for citations';
    return [{ path, description }];
  }
  return [];
}
