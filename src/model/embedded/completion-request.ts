// The body of POST /v1/chat/completions: what is honoured, and nothing else. A field that cannot be
// honoured is refused by its name, since a caller who is not told would trust it.
import * as z from 'zod';
import { EMBEDDED_MODEL_NAME } from './child-protocol.ts';
import { type GrammarSource, grammarSource, looseGrammarSource } from './json-schema.ts';
import { Refusal } from './refusal.ts';
import {
  CALL_BEGINS,
  earlierCalls,
  forcedCall,
  saidText,
  toolChoiceField,
  toolsField,
  toolsText,
} from './tool-fields.ts';

export interface PromptMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
}

export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  readonly seed: number | undefined;
}

export interface CompletionRequest {
  readonly messages: readonly PromptMessage[];
  readonly sampling: Sampling;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** End the answer as well, and nobody is told by what. */
  readonly ends: readonly string[];
  readonly grammar: GrammarSource | undefined;
  /** The grammar forces a call of a tool, which the answer is. */
  readonly calls: boolean;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/** Small models like to go on for ever; who wants more than this says so in max_tokens. */
const DEFAULT_MAX_TOKENS = 1_024;
const MAX_STOPS = 16;
const MAX_STOP_CHARACTERS = 256;

const text = z.preprocess(
  (value) => (typeof value === 'string' ? [{ type: 'text', text: value }] : value),
  z
    .array(
      z.strictObject({
        type: z.literal('text', { error: 'this model reads only parts of type "text"' }),
        text: z.string(),
      }),
      { error: 'expected a string or an array of parts of type "text"' },
    )
    .transform((parts) => parts.map((part) => part.text).join('')),
);

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

const message = z.discriminatedUnion(
  'role',
  [
    z
      .strictObject({ role: z.enum(['system', 'developer', 'user']), content: text })
      .transform(({ role, content }): PromptMessage => {
        return { role: role === 'developer' ? 'system' : role, text: content };
      }),
    z
      .strictObject({
        role: z.literal('assistant'),
        content: text.nullish(),
        tool_calls: earlierCalls.optional(),
      })
      .transform(({ role, content, tool_calls: calls = [] }): PromptMessage => {
        return { role, text: saidText(content ?? '', calls) };
      }),
    z
      .strictObject({ role: z.literal('tool'), tool_call_id: z.string(), content: text })
      .transform(({ role, content }): PromptMessage => ({ role, text: content })),
  ],
  { error: `expected one of ${ROLES.join(', ')}` },
);

const stop = z.preprocess(
  (value) => (typeof value === 'string' ? [value] : value),
  z.array(z.string().min(1).max(MAX_STOP_CHARACTERS)).max(MAX_STOPS),
);

const responseFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('text') }),
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string().optional(),
      description: z.string().optional(),
      strict: z.boolean().nullish(),
      schema: z.record(z.string(), z.unknown()),
    }),
  }),
]);

const request = z.strictObject({
  model: z.string(),
  messages: z.array(message).min(1),
  stream: z.boolean().default(false),
  stream_options: z
    .strictObject({
      include_usage: z.boolean().default(false),
      include_obfuscation: z.literal(false).optional(),
    })
    .optional(),
  // Defaults are those of the model's own card; llama.cpp's and OpenAI's make so small a model
  // talk nonsense.
  temperature: z.number().min(0).max(2).default(0.2),
  top_p: z.number().min(0).max(1).default(0.9),
  top_k: z.int().min(-1).default(0),
  min_p: z.number().min(0).max(1).default(0),
  seed: z.int().optional(),
  repetition_penalty: z.number().positive().max(10).default(1),
  presence_penalty: z.number().min(-2).max(2).default(0),
  frequency_penalty: z.number().min(-2).max(2).default(0),
  max_tokens: z.int().min(1).optional(),
  max_completion_tokens: z.int().min(1).optional(),
  stop: stop.default([]),
  response_format: responseFormat.default({ type: 'text' }),
  tools: toolsField.default([]),
  tool_choice: toolChoiceField.default('auto'),
  // There is never more than one call.
  parallel_tool_calls: z.boolean().optional(),
  // These change nothing about an answer, or ask for what happens anyway.
  n: z.literal(1, { error: 'only one answer at a time' }).optional(),
  user: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  store: z.literal(false, { error: 'nothing is stored here' }).optional(),
  logprobs: z.literal(false, { error: 'log probabilities are not offered' }).optional(),
});

/** Throws a Refusal that names the first field that is wrong. */
export function parseCompletionRequest(body: unknown): CompletionRequest {
  const parsed = request.safeParse(withoutNulls(body));
  if (!parsed.success) throw refusalOf(parsed.error);
  const fields = parsed.data;
  if (fields.model !== EMBEDDED_MODEL_NAME) {
    throw new Refusal(
      404,
      'model_not_found',
      `There is no model '${fields.model}' here, only '${EMBEDDED_MODEL_NAME}'.`,
      { param: 'model' },
    );
  }
  const call = forcedCall(fields.tools, fields.tool_choice);
  return {
    messages: promptOf(fields.messages, toolsText(fields.tools), call !== undefined),
    sampling: {
      temperature: fields.temperature,
      topP: fields.top_p,
      topK: Math.max(0, fields.top_k),
      minP: fields.min_p,
      repetitionPenalty: fields.repetition_penalty,
      presencePenalty: fields.presence_penalty,
      frequencyPenalty: fields.frequency_penalty,
      seed: fields.seed,
    },
    maxTokens: fields.max_completion_tokens ?? fields.max_tokens ?? DEFAULT_MAX_TOKENS,
    stop: fields.stop,
    // An answer in text that turns into a call, as earlier ones have shown it, is over there.
    ends: fields.tools.length > 0 && call === undefined ? [CALL_BEGINS.trim()] : [],
    grammar: call ?? grammarOf(fields.response_format),
    calls: call !== undefined,
    stream: fields.stream,
    includeUsage: fields.stream_options?.include_usage ?? false,
  };
}

/** `tools`: for the system text. A call that must be made is begun for the model. */
function promptOf(
  messages: readonly PromptMessage[],
  tools: string,
  calls: boolean,
): readonly PromptMessage[] {
  const prompt = [...messages];
  if (tools !== '') {
    const system = prompt[0]?.role === 'system' ? prompt.shift() : undefined;
    const parts = [tools, ...(system === undefined ? [] : [system.text])];
    prompt.unshift({ role: 'system', text: parts.join('\n\n') });
  }
  if (!calls) return prompt;
  const begun = prompt.at(-1)?.role === 'assistant' ? prompt.pop() : undefined;
  const before = begun === undefined ? '' : `${begun.text}\n`;
  return [...prompt, { role: 'assistant', text: `${before}${CALL_BEGINS}` }];
}

function grammarOf(format: z.infer<typeof responseFormat>): GrammarSource | undefined {
  switch (format.type) {
    case 'text':
      return undefined;
    case 'json_object':
      return { kind: 'any-json' };
    case 'json_schema':
      return format.json_schema.strict === true
        ? grammarSource(format.json_schema.schema, 'response_format.json_schema.schema')
        : looseGrammarSource(format.json_schema.schema);
  }
}

/** SDKs send null for "not set". */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

function refusalOf(error: z.ZodError): Refusal {
  const issue = error.issues[0];
  if (issue === undefined) return new Refusal(400, 'invalid_request', error.message);
  if (issue.code === 'unrecognized_keys') {
    const param = pathOf([...issue.path, issue.keys[0] ?? '']);
    return new Refusal(400, 'unsupported_parameter', `The embedded model has no '${param}'.`, {
      param,
    });
  }
  const param = pathOf(issue.path);
  const where = param === '' ? 'The body' : `'${param}'`;
  return new Refusal(400, 'invalid_value', `${where} is invalid: ${issue.message}.`, { param });
}

function pathOf(path: readonly PropertyKey[]): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '');
}
