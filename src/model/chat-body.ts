// From our request to the body of POST /chat/completions: every field that this client honours, and
// nothing that it was not given, since an absent value means "the model server's own".
import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { type Message, Role } from '../../gen/tailrace/v1/content_pb.ts';
import { type ModelCall, ModelFailure } from '../chat/model-port.ts';

/** What vLLM, llama.cpp, SGLang and others read at the top level beside OpenAI's own fields. */
interface OpenModelSampling {
  min_p?: number;
  top_k?: number;
  repetition_penalty?: number;
}

export type ChatBody = ChatCompletionCreateParamsStreaming & OpenModelSampling;

/** OpenAI itself has renamed the field, and its newer models refuse the old name. */
export type MaxTokensField = 'max_tokens' | 'max_completion_tokens';

export function maxTokensFieldOf(baseUrl: string): MaxTokensField {
  return new URL(baseUrl).hostname === 'api.openai.com' ? 'max_completion_tokens' : 'max_tokens';
}

/** request.priority is for our queue and request.stream for our events: neither is sent. */
export function chatBody(call: ModelCall, maxTokensField: MaxTokensField): ChatBody {
  const { request } = call;
  const body: ChatBody = {
    model: call.model,
    messages: messagesOf(call),
    // Also for request.stream = false: timeouts and cancel then see each token.
    stream: true,
    stream_options: { include_usage: true },
  };
  // A set 0 is a value; only undefined is absent.
  if (request.temperature !== undefined) body.temperature = request.temperature;
  if (request.topP !== undefined) body.top_p = request.topP;
  // The contract keeps seeds within ±(2^53−1), where a JSON number is exact.
  if (request.seed !== undefined) body.seed = Number(request.seed);
  if (request.presencePenalty !== undefined) body.presence_penalty = request.presencePenalty;
  if (request.frequencyPenalty !== undefined) body.frequency_penalty = request.frequencyPenalty;
  if (request.maxTokens !== undefined) body[maxTokensField] = request.maxTokens;
  if (request.stop.length > 0) body.stop = [...request.stop];
  if (request.minP !== undefined) body.min_p = request.minP;
  if (request.topK !== undefined) body.top_k = request.topK;
  if (request.repetitionPenalty !== undefined) body.repetition_penalty = request.repetitionPenalty;
  return body;
}

function messagesOf(call: ModelCall): ChatBody['messages'] {
  const messages: ChatBody['messages'] = [];
  const system = call.request.system?.text ?? '';
  if (system !== '') messages.push({ role: 'system', content: system });
  for (const message of call.messages) messages.push(messageOf(message));
  return messages;
}

/** Text goes as one string: not every server takes an array of parts in every role. */
function messageOf(message: Message): ChatBody['messages'][number] {
  const texts = message.content.map(({ block }) => {
    if (block.case === 'text') return block.value;
    throw unsent(`a content block of kind "${block.case ?? 'none'}"`);
  });
  switch (message.role) {
    case Role.USER:
      // Separate things that were said: apart by a line, as vLLM and llama.cpp join parts.
      return { role: 'user', content: texts.join('\n') };
    case Role.ASSISTANT:
      // Pieces of one answer: as they were.
      return { role: 'assistant', content: texts.join('') };
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
