// Requests as one writes them by hand: a string for a message or its content, roles by their names, tool schemas as
// objects. Everything that the contract's own messages can say may be said with those as well.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  ChatRequest,
  ChatRequestSchema,
  ToolSchema,
} from './gen/tailrace/v1/chat_request_pb.ts';
import type {
  ContentBlockSchema,
  MessageSchema,
  ToolResultBlockSchema,
} from './gen/tailrace/v1/content_pb.ts';
import { Role } from './gen/tailrace/v1/content_pb.ts';

type RequestInit = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

export type BlockInput = string | MessageInitShape<typeof ContentBlockSchema>;

export interface MessageInput {
  readonly role: 'user' | 'assistant' | Role;
  /** A string is one block of text. */
  readonly content: string | readonly BlockInput[];
}

/** ChatRequest of the contract, its messages in either form. */
export interface ChatInput extends Omit<RequestInit, 'messages'> {
  readonly messages: readonly (MessageInput | MessageInitShape<typeof MessageSchema>)[];
}

export interface ToolResultInput {
  readonly toolUseId: string;
  readonly content: string | readonly BlockInput[];
  readonly isError?: boolean | undefined;
}

export interface ClientToolInput {
  readonly name: string;
  readonly description?: string | undefined;
  /** JSON Schema. */
  readonly inputSchema?: object | undefined;
}

/** A tool that the caller runs, for ChatInput.tools. */
export function clientTool(tool: ClientToolInput): MessageInitShape<typeof ToolSchema> {
  const { name, description = '', inputSchema } = tool;
  const schema = inputSchema === undefined ? '' : JSON.stringify(inputSchema);
  return { kind: { case: 'client', value: { name, description, inputSchema: schema } } };
}

export function requestOf(input: string | ChatInput): MessageInitShape<typeof ChatRequestSchema> {
  if (typeof input === 'string') return requestOf({ messages: [{ role: 'user', content: input }] });
  return { ...input, messages: input.messages.map(messageOf) };
}

export function toolResultOf(
  result: ToolResultInput,
): MessageInitShape<typeof ToolResultBlockSchema> {
  return { ...result, content: contentOf(result.content) };
}

const ROLES = { user: Role.USER, assistant: Role.ASSISTANT } as const;

function messageOf(
  message: MessageInput | MessageInitShape<typeof MessageSchema>,
): MessageInitShape<typeof MessageSchema> {
  const { role = Role.UNSPECIFIED, content = [] } = message;
  return { role: typeof role === 'string' ? ROLES[role] : role, content: contentOf(content) };
}

function contentOf(
  content: string | readonly BlockInput[],
): MessageInitShape<typeof ContentBlockSchema>[] {
  return (typeof content === 'string' ? [content] : content).map((block) =>
    typeof block === 'string' ? { block: { case: 'text', value: block } } : block,
  );
}
