// What each kind of model server reads, row by row, with the place in its own source or API reference
// where that stands. dialects.test.ts holds the client to it, docs/DIALECTS.md shows it.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ThinkingEffort, ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { type Message, MessageSchema, Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { DialectName } from '../../src/model/dialects/dialects.ts';
import { scripted } from '../model-server/model-server.ts';
import type { RequestInit } from './model-call.ts';

export const SAID = scripted({ tokens: 1 });
const USER = { role: 'user', content: SAID };

type Block = NonNullable<MessageInitShape<typeof MessageSchema>['content']>[number];
const text = (value: string): Block => ({ block: { case: 'text', value } });
const thought = (signature: string): Block => {
  return { block: { case: 'thinking', value: { text: 'Hm.', signature } } };
};
const asked = create(MessageSchema, { role: Role.USER, content: [text(SAID)] });
const answered = (...content: Block[]): Message => {
  return create(MessageSchema, { role: Role.ASSISTANT, content });
};

interface Row {
  readonly request: RequestInit;
  /** Default: one message of the user. */
  readonly messages?: readonly Message[];
}

const SCHEMA = { type: 'object', properties: { n: { type: 'integer' } } };

const TOOL = {
  kind: {
    case: 'client' as const,
    value: { name: 'look', inputSchema: JSON.stringify(SCHEMA) },
  },
};
const choosing = (mode: ToolChoiceMode, name = ''): Row => {
  return { request: { tools: [TOOL], toolChoice: { mode, name } } };
};

const COMMON_ROWS = {
  seed: { request: { seed: 7n } },
  min_p: { request: { minP: 0.05 } },
  top_p: { request: { topP: 0.9 } },
  temperature: { request: { temperature: 0 } },
  top_k: { request: { topK: 40 } },
  'top_k 0': { request: { topK: 0 } },
  repetition_penalty: { request: { repetitionPenalty: 1.1 } },
  presence_penalty: { request: { presencePenalty: 0.5 } },
  frequency_penalty: { request: { frequencyPenalty: -0.5 } },
  max_tokens: { request: { maxTokens: 7 } },
  stop: { request: { stop: ['END', '\n\n'] } },
  'stop, 5 texts': { request: { stop: ['a', 'b', 'c', 'd', 'e'] } },
  'priority 2': { request: { priority: 2 } },
  'thinking on': { request: { thinking: { enabled: true } } },
  'thinking off': { request: { thinking: { enabled: false } } },
  'thinking.effort': {
    request: { thinking: { enabled: true, effort: ThinkingEffort.HIGH } },
  },
  'thinking.budget_tokens': { request: { thinking: { enabled: true, budgetTokens: 512 } } },
  'thinking handed back': {
    request: {},
    messages: [answered(thought('sig'), text('Yes.')), asked],
  },
  'assistant message last': { request: {}, messages: [asked, answered(text('It is'))] },
  'response_format.json_schema': {
    request: {
      responseFormat: {
        format: {
          case: 'jsonSchema',
          value: { name: 'answer', schema: JSON.stringify(SCHEMA), strict: true },
        },
      },
    },
  },
} as const satisfies Readonly<Record<string, Row>>;

/** OpenAI's own form, for all; here for the one that does not read all of it. */
const TOOL_ROWS = {
  'tool_choice AUTO': choosing(ToolChoiceMode.AUTO),
  'tool_choice ANY': choosing(ToolChoiceMode.ANY),
  'tool_choice NAMED': choosing(ToolChoiceMode.NAMED, 'look'),
  'tool_choice NONE': choosing(ToolChoiceMode.NONE),
} as const satisfies Readonly<Record<string, Row>>;

export const ROWS = { ...COMMON_ROWS, ...TOOL_ROWS } as const;
export type RowName = keyof typeof ROWS;
type DialectRows = Readonly<
  Record<keyof typeof COMMON_ROWS, Expected> & Partial<Record<keyof typeof TOOL_ROWS, Expected>>
>;

export interface Source {
  readonly repository: string;
  /** A commit or a release's tag. */
  readonly at: string;
  readonly path: string;
  /** The first line of what says it; undefined: our own, which is here to be read. */
  readonly line: number | undefined;
}

export interface Expected {
  /** Beside model, messages of the user and streaming. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The paths of the warning events. */
  readonly warnings: readonly string[];
  /** The path of the refusal before anything is created; then there is no body. */
  readonly refused?: string;
  readonly source: Source;
  /** False: the source leaves it open, or it is the model's or another's own affair. */
  readonly verified: boolean;
}

function sends(body: Readonly<Record<string, unknown>>, source: Source): Expected {
  return { body, warnings: [], source, verified: true };
}
function unread(path: string, source: Source, body = {}): Expected {
  return { body, warnings: [`request.${path}`], source, verified: true };
}
function refuses(path: string, source: Source): Expected {
  return { body: {}, warnings: [], refused: `request.${path}`, source, verified: true };
}
/** Nothing is sent since there is nothing that it would read; no loss, so no warning. */
function unsent(source: Source): Expected {
  return sends({}, source);
}
function unverified(expected: Expected): Expected {
  return { ...expected, verified: false };
}

function sourceIn(repository: string, at: string, file: string) {
  return (line: number, path = file): Source => ({ repository, at, path, line });
}

/** The same for all: how a schema is asked for. */
const JSON_SCHEMA = {
  response_format: {
    type: 'json_schema',
    json_schema: { name: 'answer', schema: SCHEMA, strict: true },
  },
};
const CONTINUED = { messages: [USER, { role: 'assistant', content: 'It is' }] };
const handedBack = (thoughts: Readonly<Record<string, unknown>>) => {
  return { messages: [{ role: 'assistant', content: 'Yes.', ...thoughts }, USER] };
};
const THOUGHT_PATH = 'messages[0].content[0].thinking';
const template = (on: boolean) => ({
  chat_template_kwargs: { enable_thinking: on, thinking: on },
});

const STOPS = ['END', '\n\n'];
const FIVE_STOPS = ['a', 'b', 'c', 'd', 'e'];

const openai = sourceIn(
  'openai/openai-openapi',
  'f85dbe223d40e1a31cba812ab2d755c7e98a92a3',
  'openapi.json',
);
// The reference lists every field of the request; what it does not list OpenAI refuses.
const OPENAI_FIELDS = openai(24113);

const vllm = sourceIn(
  'vllm-project/vllm',
  'v0.33.0 (4ba787ec9)',
  'vllm/entrypoints/openai/chat_completion/protocol.py',
);

const sglang = sourceIn(
  'sgl-project/sglang',
  'v0.5.23',
  'python/sglang/srt/entrypoints/openai/protocol.py',
);

const llamacpp = sourceIn('ggml-org/llama.cpp', 'v0.4.0', 'tools/server/server-schema.cpp');
const LLAMACPP_CHAT = 'tools/server/server-common.cpp';

const ollama = sourceIn(
  'ollama/ollama',
  'fb30760996871fa9460115c753afd2c60d4ab0f7',
  'openai/openai.go',
);
// The struct has no such field.
const OLLAMA_FIELDS = ollama(105);

const OPENROUTER_AT = 'c26125a5fa92cb52ac67f0c75b717229567db716';
const openrouter = sourceIn('OpenRouterTeam/docs', OPENROUTER_AT, 'openapi/openapi.yaml');
const OPENROUTER_REASONING = 'guides/best-practices/reasoning-tokens.mdx';

const embedded: Source = {
  repository: 'this repository',
  at: '',
  path: 'src/model/embedded/completion-request.ts',
  line: undefined,
};
const EMBEDDED_TOOLS: Source = { ...embedded, path: 'src/model/embedded/tool-fields.ts' };
const chosen = (choice: unknown) => ({
  tools: [{ type: 'function', function: { name: 'look', parameters: SCHEMA } }],
  tool_choice: choice,
});
const EMBEDDED_PROMPT: Source = { ...embedded, path: 'src/model/embedded/chat-prompt.ts' };

export const EXPECTED: Readonly<Record<DialectName, DialectRows>> = {
  openai: {
    seed: sends({ seed: 7 }, openai(24315)),
    min_p: unread('min_p', OPENAI_FIELDS),
    top_p: sends({ top_p: 0.9 }, openai(36215)),
    temperature: sends({ temperature: 0 }, openai(36200)),
    top_k: unread('top_k', OPENAI_FIELDS),
    'top_k 0': unread('top_k', OPENAI_FIELDS),
    repetition_penalty: unread('repetition_penalty', OPENAI_FIELDS),
    presence_penalty: sends({ presence_penalty: 0.5 }, openai(24158)),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, openai(24150)),
    max_tokens: sends({ max_completion_tokens: 7 }, openai(24145)),
    stop: sends({ stop: STOPS }, openai(24272)),
    'stop, 5 texts': refuses('stop', openai(54260)),
    'priority 2': unsent(OPENAI_FIELDS),
    'thinking on': sends({ reasoning_effort: 'medium' }, openai(47620)),
    'thinking off': sends({ reasoning_effort: 'none' }, openai(47620)),
    'thinking.effort': sends({ reasoning_effort: 'high' }, openai(47620)),
    'thinking.budget_tokens': unread('thinking.budget_tokens', OPENAI_FIELDS, {
      reasoning_effort: 'medium',
    }),
    'thinking handed back': unread(THOUGHT_PATH, OPENAI_FIELDS, handedBack({})),
    // The reference has no field for it; whether a model goes on by itself it does not say.
    'assistant message last': unverified(refuses('messages[1].role', OPENAI_FIELDS)),
    'response_format.json_schema': sends(JSON_SCHEMA, openai(48801)),
  },
  vllm: {
    seed: sends({ seed: 7 }, vllm(253)),
    min_p: sends({ min_p: 0.05 }, vllm(288)),
    top_p: sends({ top_p: 0.9 }, vllm(258)),
    temperature: sends({ temperature: 0 }, vllm(257)),
    top_k: sends({ top_k: 40 }, vllm(287)),
    'top_k 0': sends({ top_k: 0 }, vllm(681, 'vllm/sampling_params.py')),
    repetition_penalty: sends({ repetition_penalty: 1.1 }, vllm(289)),
    presence_penalty: sends({ presence_penalty: 0.5 }, vllm(251)),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, vllm(240)),
    max_tokens: sends({ max_tokens: 7 }, vllm(244)),
    stop: sends({ stop: STOPS }, vllm(254)),
    // Its operator says how many (VLLM_MAX_STOP_STRINGS, 4 where nothing is said).
    'stop, 5 texts': unverified(sends({ stop: FIVE_STOPS }, vllm(1157, 'vllm/envs.py'))),
    'priority 2': sends({ priority: -3 }, vllm(401)),
    'thinking on': sends(template(true), vllm(379)),
    'thinking off': sends(template(false), vllm(379)),
    'thinking.effort': sends({ ...template(true), reasoning_effort: 'high' }, vllm(267)),
    'thinking.budget_tokens': sends({ ...template(true), thinking_token_budget: 512 }, vllm(278)),
    'thinking handed back': sends(handedBack({ reasoning: 'Hm.' }), vllm(598)),
    'assistant message last': sends(
      { ...CONTINUED, continue_final_message: true, add_generation_prompt: false },
      vllm(340),
    ),
    'response_format.json_schema': sends(JSON_SCHEMA, vllm(252)),
  },
  sglang: {
    // Honoured with --enable-deterministic-inference alone.
    seed: unverified(sends({ seed: 7 }, sglang(941))),
    min_p: sends({ min_p: 0.05 }, sglang(1004)),
    top_p: sends({ top_p: 0.9 }, sglang(946)),
    temperature: sends({ temperature: 0 }, sglang(945)),
    top_k: sends({ top_k: 40 }, sglang(1003)),
    'top_k 0': sends({ top_k: -1 }, sglang(263, 'python/sglang/srt/sampling/sampling_params.py')),
    repetition_penalty: sends({ repetition_penalty: 1.1 }, sglang(1008)),
    presence_penalty: sends({ presence_penalty: 0.5 }, sglang(939)),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, sglang(924)),
    max_tokens: sends({ max_tokens: 7 }, sglang(928)),
    stop: sends({ stop: STOPS }, sglang(942)),
    'stop, 5 texts': sends({ stop: FIVE_STOPS }, sglang(942)),
    // It reads one, but which end of it is sooner is an option of its start.
    'priority 2': unsent(sglang(118, 'python/sglang/srt/arg_groups/fields/schedule.py')),
    'thinking on': sends(template(true), sglang(1020)),
    'thinking off': sends(template(false), sglang(1020)),
    'thinking.effort': sends({ ...template(true), reasoning_effort: 'high' }, sglang(974)),
    'thinking.budget_tokens': unread('thinking.budget_tokens', sglang(909), template(true)),
    'thinking handed back': sends(handedBack({ reasoning_content: 'Hm.' }), sglang(762)),
    'assistant message last': sends({ ...CONTINUED, continue_final_message: true }, sglang(1013)),
    'response_format.json_schema': sends(JSON_SCHEMA, sglang(940)),
  },
  llamacpp: {
    seed: sends({ seed: 7 }, llamacpp(176)),
    min_p: sends({ min_p: 0.05 }, llamacpp(97)),
    top_p: sends({ top_p: 0.9 }, llamacpp(93)),
    temperature: sends({ temperature: 0 }, llamacpp(116)),
    top_k: sends({ top_k: 40 }, llamacpp(89)),
    'top_k 0': sends({ top_k: 0 }, llamacpp(89)),
    repetition_penalty: sends({ repeat_penalty: 1.1 }, llamacpp(130)),
    presence_penalty: sends({ presence_penalty: 0.5 }, llamacpp(136)),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, llamacpp(133)),
    max_tokens: sends({ max_tokens: 7 }, llamacpp(47)),
    stop: sends({ stop: STOPS }, llamacpp(483)),
    'stop, 5 texts': sends({ stop: FIVE_STOPS }, llamacpp(483)),
    'priority 2': unsent(llamacpp(11)),
    'thinking on': sends(template(true), llamacpp(1308, LLAMACPP_CHAT)),
    'thinking off': sends(template(false), llamacpp(1308, LLAMACPP_CHAT)),
    'thinking.effort': sends(
      { ...template(true), reasoning_effort: 'high' },
      llamacpp(1325, LLAMACPP_CHAT),
    ),
    'thinking.budget_tokens': sends(
      { ...template(true), thinking_budget_tokens: 512 },
      llamacpp(1367, LLAMACPP_CHAT),
    ),
    'thinking handed back': sends(
      handedBack({ reasoning_content: 'Hm.' }),
      llamacpp(452, 'common/chat.cpp'),
    ),
    'assistant message last': sends(
      { ...CONTINUED, continue_final_message: true, add_generation_prompt: false },
      llamacpp(1275, LLAMACPP_CHAT),
    ),
    'response_format.json_schema': sends(JSON_SCHEMA, llamacpp(1177, LLAMACPP_CHAT)),
  },
  ollama: {
    seed: sends({ seed: 7 }, ollama(667)),
    min_p: unread('min_p', OLLAMA_FIELDS),
    top_p: sends({ top_p: 0.9 }, ollama(679)),
    temperature: sends({ temperature: 0 }, ollama(661)),
    top_k: unread('top_k', OLLAMA_FIELDS),
    'top_k 0': unread('top_k', OLLAMA_FIELDS),
    repetition_penalty: unread('repetition_penalty', OLLAMA_FIELDS),
    presence_penalty: sends({ presence_penalty: 0.5 }, ollama(675)),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, ollama(671)),
    max_tokens: sends({ max_tokens: 7 }, ollama(657)),
    stop: sends({ stop: STOPS }, ollama(653)),
    'stop, 5 texts': sends({ stop: FIVE_STOPS }, ollama(653)),
    'priority 2': unsent(OLLAMA_FIELDS),
    'thinking on': sends({ reasoning_effort: 'medium' }, ollama(531)),
    'thinking off': sends({ reasoning_effort: 'none' }, ollama(531)),
    'thinking.effort': sends({ reasoning_effort: 'high' }, ollama(531)),
    'thinking.budget_tokens': unread('thinking.budget_tokens', OLLAMA_FIELDS, {
      reasoning_effort: 'medium',
    }),
    'thinking handed back': sends(handedBack({ reasoning: 'Hm.' }), ollama(46)),
    // It depends on the model's template; its own renderers leave the last message open.
    'assistant message last': unverified(
      sends(CONTINUED, ollama(290, 'model/renderers/qwen35.go')),
    ),
    'response_format.json_schema': sends(JSON_SCHEMA, ollama(86)),
  },
  openrouter: {
    // It passes on what the provider reads and drops the rest without a word.
    seed: sends({ seed: 7 }, openrouter(5430)),
    min_p: unverified(sends({ min_p: 0.05 }, openrouter(5290))),
    top_p: sends({ top_p: 0.9 }, openrouter(5512)),
    temperature: sends({ temperature: 0 }, openrouter(5474)),
    top_k: unverified(sends({ top_k: 40 }, openrouter(5500))),
    'top_k 0': unverified(sends({ top_k: 0 }, openrouter(5500))),
    repetition_penalty: unverified(sends({ repetition_penalty: 1.1 }, openrouter(5403))),
    presence_penalty: sends({ presence_penalty: 0.5 }, openrouter(5349)),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, openrouter(5236)),
    max_tokens: sends({ max_tokens: 7 }, openrouter(5267)),
    stop: sends({ stop: STOPS }, openrouter(5454)),
    'stop, 5 texts': unverified(sends({ stop: FIVE_STOPS }, openrouter(5454))),
    'priority 2': unsent(openrouter(5220)),
    'thinking on': sends({ reasoning: { enabled: true } }, openrouter(138, OPENROUTER_REASONING)),
    'thinking off': sends({ reasoning: { effort: 'none' } }, openrouter(122, OPENROUTER_REASONING)),
    'thinking.effort': sends({ reasoning: { effort: 'high' } }, openrouter(5364)),
    'thinking.budget_tokens': sends(
      { reasoning: { max_tokens: 512 } },
      openrouter(45, OPENROUTER_REASONING),
    ),
    'thinking handed back': sends(
      handedBack({
        reasoning_details: [{ type: 'reasoning.text', text: 'Hm.', signature: 'sig', index: 0 }],
      }),
      openrouter(21721),
    ),
    'assistant message last': sends(CONTINUED, openrouter(266, 'api_reference/overview.mdx')),
    'response_format.json_schema': sends(JSON_SCHEMA, openrouter(4971)),
  },
  embedded: {
    seed: sends({ seed: 7 }, embedded),
    min_p: sends({ min_p: 0.05 }, embedded),
    top_p: sends({ top_p: 0.9 }, embedded),
    temperature: sends({ temperature: 0 }, embedded),
    top_k: sends({ top_k: 40 }, embedded),
    'top_k 0': sends({ top_k: 0 }, embedded),
    repetition_penalty: sends({ repetition_penalty: 1.1 }, embedded),
    presence_penalty: sends({ presence_penalty: 0.5 }, embedded),
    frequency_penalty: sends({ frequency_penalty: -0.5 }, embedded),
    max_tokens: sends({ max_tokens: 7 }, embedded),
    stop: sends({ stop: STOPS }, embedded),
    'stop, 5 texts': sends({ stop: FIVE_STOPS }, embedded),
    'priority 2': unsent(embedded),
    'thinking on': refuses('thinking', embedded),
    'thinking off': unsent(embedded),
    'thinking.effort': refuses('thinking', embedded),
    'thinking.budget_tokens': refuses('thinking', embedded),
    'thinking handed back': unread(THOUGHT_PATH, embedded, handedBack({})),
    'assistant message last': sends(CONTINUED, EMBEDDED_PROMPT),
    'response_format.json_schema': sends(JSON_SCHEMA, embedded),
    'tool_choice AUTO': refuses('tool_choice', EMBEDDED_TOOLS),
    'tool_choice ANY': sends(chosen('required'), EMBEDDED_TOOLS),
    'tool_choice NAMED': sends(
      chosen({ type: 'function', function: { name: 'look' } }),
      EMBEDDED_TOOLS,
    ),
    'tool_choice NONE': sends(chosen('none'), EMBEDDED_TOOLS),
  },
};
