// From our request to the body of POST /chat/completions: every field that this client honours, and
// nothing that it was not given, since an absent value means "the model server's own".
import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { type Message, Role } from '../../gen/tailrace/v1/content_pb.ts';
import { samplingOf } from '../chat/model-fit.ts';
import { DEFAULT_PRIORITY } from '../chat/limits.ts';
import { type ModelCall, ModelFailure, SAMPLING_FIELDS } from '../chat/model-port.ts';
import type { ThinkingWish } from '../chat/thinking-wish.ts';
import type { Dialect } from './dialects.ts';
import type { SamplingDefaults } from './registry-spec.ts';
import { responseFormatOf } from './response-format.ts';
import { handedBack } from './thinking-forms.ts';

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
}

/** request.stream is for our events: it is not sent. */
export function chatBody(call: ModelCall, target: BodyTarget): ChatBody {
  const { request, messages } = call;
  const { dialect, upstreamModel } = target;
  const body: ChatBody = {
    model: upstreamModel,
    messages: messagesOf(call, dialect),
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
  if (messages.at(-1)?.role === Role.ASSISTANT) Object.assign(body, dialect.continuing);
  return body;
}

function samplingBody(
  { request }: ModelCall,
  { dialect, defaults }: BodyTarget,
): Readonly<Record<string, unknown>> {
  const body: Record<string, unknown> = {};
  const sampling = { ...defaults, ...Object.fromEntries(samplingOf(request)) };
  for (const field of SAMPLING_FIELDS) {
    const sentAs = dialect.sampling[field];
    const value = sampling[field];
    if (sentAs === undefined || value === undefined) continue;
    body[sentAs] = field === 'top_k' && value === 0 ? dialect.topKOff : value;
  }
  return body;
}

function messagesOf(call: ModelCall, dialect: Dialect): ChatBody['messages'] {
  const messages: ChatBody['messages'] = [];
  const system = call.request.system?.text ?? '';
  if (system !== '') messages.push({ role: 'system', content: system });
  for (const message of call.messages) messages.push(messageOf(message, dialect));
  return messages;
}

/** Text goes as one string: not every server takes an array of parts in every role. */
function messageOf(message: Message, dialect: Dialect): ChatBody['messages'][number] {
  const texts = message.content.flatMap(({ block }) => {
    if (block.case === 'text') return [block.value];
    if (block.case === 'thinking') return [];
    throw unsent(`a content block of kind "${block.case ?? 'none'}"`);
  });
  switch (message.role) {
    case Role.USER:
      // Separate things that were said: apart by a line, as vLLM and llama.cpp join parts.
      return { role: 'user', content: texts.join('\n') };
    case Role.ASSISTANT:
      // Pieces of one answer: as they were.
      return {
        role: 'assistant',
        content: texts.join(''),
        ...handedBack(message.content, dialect.thoughts),
      };
    default:
      throw unsent(`a message of role ${message.role}`);
  }
}

/** The door refuses these; to leave one out here would be to ignore it in silence. */
function unsent(what: string): ModelFailure {
  return new ModelFailure(
    FailureReason.INTERNAL,
    `The conversation has ${what}, which this version cannot send to a model server. That is a ` +
      'defect: it should have been refused when the chat was started.',
    { retryable: false },
  );
}
