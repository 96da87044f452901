// From our request to the body of POST /chat/completions: every field that this client honours, and
// nothing that it was not given, since an absent value means "the model server's own".
import type {
  ChatCompletionCreateParamsStreaming,
  ChatCompletionFunctionTool,
  ChatCompletionMessageFunctionToolCall,
  ChatCompletionToolMessageParam,
} from 'openai/resources/chat/completions';
import { type ToolChoice, ToolChoiceMode } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { create } from '@bufbuild/protobuf';
import {
  type ContentBlock,
  ContentBlockSchema,
  type Message,
  Role,
  type ToolResultBlock,
} from '../../../gen/tailrace/v1/content_pb.ts';
import { shownImage, unseenImage } from '../../chat/prompt/image-note.ts';
import { samplingOf } from '../../chat/request/model-fit.ts';
import { DEFAULT_PRIORITY } from '../../chat/limits.ts';
import { type ModelCall, SAMPLING_FIELDS, type ToolDefinition } from '../../chat/ports/model.ts';
import { type DefaultPrompt, systemText } from '../../chat/prompt/system-text.ts';
import { contextText } from '../../chat/prompt/tool-context-text.ts';
import type { ThinkingWish } from '../../chat/rules/thinking-wish.ts';
import type { Dialect } from '../dialects/dialects.ts';
import type { SamplingDefaults } from '../settings/registry-spec.ts';
import { responseFormatOf } from './response-format.ts';
import { handedBack } from '../dialects/thinking-forms.ts';
import { mostTokens } from './token-budget.ts';
import { unsent } from './unsent.ts';
import { userContent } from './user-content.ts';

/** Beside OpenAI's own fields, what a dialect reads at the top level. */
export type ChatBody = ChatCompletionCreateParamsStreaming;

/** What of the body depends on the model rather than on the request. */
export interface BodyTarget {
  /** The server's own name for the model. */
  readonly upstreamModel: string;
  readonly dialect: Dialect;
  /** For what the request does not set. */
  readonly defaults: SamplingDefaults;
  /** What of the request's wish is sent; undefined: nothing. */
  readonly thinking: ThinkingWish | undefined;
  readonly defaultPrompt?: DefaultPrompt | undefined;
  /**
   * Whether images of tools' results are shown to it; else a note stands for them. Undefined: nobody has said that it
   * sees, so that only those of the client's own tools are, who knows which model it asked for.
   */
  readonly seesImages: boolean | undefined;
}

/** request.stream is for our events: it is not sent. */
export function chatBody(call: ModelCall, target: BodyTarget): ChatBody {
  const { request, messages } = call;
  const { dialect, upstreamModel } = target;
  const body: ChatBody = {
    model: upstreamModel,
    messages: messagesOf(call, target),
    // Also for request.stream = false: timeouts and cancel then see each token.
    stream: true,
    stream_options: { include_usage: true },
  };
  Object.assign(body, samplingBody(call, target));
  if (dialect.priority !== undefined && request.priority !== undefined) {
    // So that chats without a priority, and what others ask of the server, stand in the middle.
    Object.assign(body, { [dialect.priority]: request.priority - DEFAULT_PRIORITY });
  }
  if (target.thinking !== undefined) Object.assign(body, dialect.thinking?.body(target.thinking));
  Object.assign(body, responseFormatOf(request));
  if (call.tools.length > 0) Object.assign(body, toolsOf(call));
  if (messages.at(-1)?.role === Role.ASSISTANT) Object.assign(body, dialect.continuing);
  return body;
}

function samplingBody(
  call: ModelCall,
  { dialect, defaults }: BodyTarget,
): Readonly<Record<string, unknown>> {
  const body: Record<string, unknown> = {};
  const sampling = {
    ...defaults,
    ...Object.fromEntries(samplingOf(call.request)),
    max_tokens: mostTokens(call, defaults),
  };
  for (const field of SAMPLING_FIELDS) {
    const sentAs = dialect.sampling[field];
    const value = sampling[field];
    if (sentAs === undefined || value === undefined) continue;
    body[sentAs] = field === 'top_k' && value === 0 ? dialect.topKOff : value;
  }
  return body;
}

function toolsOf({
  tools,
  toolChoice: choice,
}: ModelCall): Pick<ChatBody, 'tools' | 'tool_choice' | 'parallel_tool_calls'> {
  return {
    tools: tools.map(toolOf),
    ...(choice === undefined ? {} : { tool_choice: choiceOf(choice) }),
    ...(choice?.parallel === undefined ? {} : { parallel_tool_calls: choice.parallel }),
  };
}

function toolOf({ name, description, inputSchema }: ToolDefinition): ChatCompletionFunctionTool {
  return {
    type: 'function',
    function: {
      name,
      ...(description === '' ? {} : { description }),
      // Without a schema: a tool without input. The door has parsed it.
      ...(inputSchema === '' ? {} : { parameters: JSON.parse(inputSchema) as JsonObject }),
    },
  };
}

type JsonObject = Record<string, unknown>;

function choiceOf({ mode, name }: ToolChoice): NonNullable<ChatBody['tool_choice']> {
  switch (mode) {
    case ToolChoiceMode.UNSPECIFIED:
    case ToolChoiceMode.AUTO:
      return 'auto';
    case ToolChoiceMode.NONE:
      return 'none';
    case ToolChoiceMode.ANY:
      return 'required';
    case ToolChoiceMode.NAMED:
      return { type: 'function', function: { name } };
    default:
      throw unsent(`the tool choice ${mode}`);
  }
}

function messagesOf(call: ModelCall, target: BodyTarget): ChatBody['messages'] {
  const { defaultPrompt } = target;
  const messages: ChatBody['messages'] = [];
  const { request } = call;
  const system = systemText(request.system, defaultPrompt, call, contextText(request));
  if (system !== '') messages.push({ role: 'system', content: system });
  let documents = 0;
  const next = (): number => ++documents;
  const theirs = mcpCalls(call.messages);
  const isShown = ({ toolUseId }: ToolResultBlock): boolean =>
    target.seesImages ?? !theirs.has(toolUseId);
  for (const message of call.messages) {
    messages.push(...messagesFor(message, target.dialect, isShown, next));
  }
  return messages;
}

/** One of ours may be several of theirs: results are messages of their own there, before the text. */
function messagesFor(
  { role, content }: Message,
  dialect: Dialect,
  isShown: (result: ToolResultBlock) => boolean,
  nextDocument: () => number,
): ChatBody['messages'] {
  switch (role) {
    case Role.USER: {
      const given = content.flatMap(({ block }) =>
        block.case === 'toolResult' ? [block.value] : [],
      );
      const results = given.map((result) => resultOf(result, isShown(result)));
      const said = content.filter(({ block }) => block.case !== 'toolResult');
      said.unshift(...imagesOfResults(given, isShown));
      if (said.length === 0) return results;
      return [...results, { role: 'user', content: userContent(said, nextDocument) }];
    }
    case Role.ASSISTANT: {
      const calls = content.flatMap(callsIn);
      const said = content.filter(({ block }) => !NOT_SAID.has(block.case));
      // Pieces of one answer: as they were.
      const text = textsOf(said).join('');
      const thoughts = handedBack(content, dialect.thoughts);
      if (calls.length === 0) return [{ role: 'assistant', content: text, ...thoughts }];
      const spoken = text === '' ? null : text;
      return [{ role: 'assistant', content: spoken, ...thoughts, tool_calls: calls }];
    }
    default:
      throw unsent(`a message of role ${role}`);
  }
}

/** What goes beside the text, in fields of its own. */
const NOT_SAID: ReadonlySet<string | undefined> = new Set(['toolUse', 'thinking']);

function callsIn({ block }: ContentBlock): ChatCompletionMessageFunctionToolCall[] {
  if (block.case !== 'toolUse') return [];
  const { id, name, input } = block.value;
  return [{ id, type: 'function', function: { name, arguments: input } }];
}

/** There is no place for "it failed" but the text itself. */
function resultOf(result: ToolResultBlock, seesImages: boolean): ChatCompletionToolMessageParam {
  const noted = result.content.map((part) => withNote(part, seesImages));
  const text = textsOf(noted).join('\n');
  const content = result.isError === true ? `Error: ${text}` : text;
  return { role: 'tool', tool_call_id: result.toolUseId, content };
}

/** The ids of the calls of tools of MCP servers. */
function mcpCalls(messages: readonly Message[]): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const { content } of messages) {
    for (const { block } of content) {
      if (block.case === 'toolUse' && block.value.server !== '') ids.add(block.value.id);
    }
  }
  return ids;
}

function withNote(part: ContentBlock, seesImages: boolean): ContentBlock {
  const { block } = part;
  if (block.case !== 'image' || block.value.source.case !== 'data') return part;
  const image = { mediaType: block.value.mediaType, bytes: block.value.source.value.length };
  const value = seesImages ? shownImage(image) : unseenImage(image);
  return { ...part, block: { case: 'text', value } };
}

/** What a tool message has no place for: by OpenAI's own contract it takes text alone. */
function imagesOfResults(
  results: readonly ToolResultBlock[],
  isShown: (result: ToolResultBlock) => boolean,
): ContentBlock[] {
  return results.flatMap((result, i) => {
    const images = isShown(result)
      ? result.content.filter(({ block }) => block.case === 'image')
      : [];
    if (images.length === 0) return [];
    const which = results.length === 1 ? 'the tool’s result' : `result ${i + 1}`;
    const value = `[Images of ${which}:]`;
    return [create(ContentBlockSchema, { block: { case: 'text', value } }), ...images];
  });
}

/** Text goes as one string: not every server takes an array of parts in every role. */
function textsOf(content: readonly ContentBlock[]): string[] {
  return content.map(({ block }) => {
    if (block.case === 'text') return block.value;
    throw unsent(`a content block of kind "${block.case ?? 'none'}"`);
  });
}
