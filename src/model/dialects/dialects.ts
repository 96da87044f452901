// What each kind of model server reads of a request, and under which name. The OpenAI-compatible
// servers agree on the form and differ in what they honour; what one does not read is not sent, and
// is told as a warning or refused (strict). Each line is from the server's own source or API
// reference: test/model/dialect-sources.ts says where it stands.
import type { ModelCapabilities, SamplingField } from '../../chat/ports/model.ts';
import type { ThinkingForm, ThoughtsForm } from './thinking-forms.ts';
import {
  effortAlone,
  llamaCppThinking,
  openRouterThinking,
  sglangThinking,
  vllmThinking,
} from './thinking-forms.ts';

export const DIALECTS = [
  'openai',
  'vllm',
  'sglang',
  'llamacpp',
  'ollama',
  'openrouter',
  'embedded',
] as const;
export type DialectName = (typeof DIALECTS)[number];

export interface Dialect {
  readonly name: DialectName;
  /** The body's field for each sampling field that the server reads; missing: it does not read it. */
  readonly sampling: Readonly<Partial<Record<SamplingField, string>>>;
  /** How "all tokens" is said in top_k. */
  readonly topKOff: 0 | -1;
  /** The most stop texts it takes; undefined: no bound, or one that its operator sets. */
  readonly maxStops: number | undefined;
  /** The body's field for the place in the server's own queue, lower is sooner, 0 its default. */
  readonly priority: string | undefined;
  /** Undefined: it has no field for reasoning. */
  readonly thinking: ThinkingForm | undefined;
  /** How it takes reasoning back in an assistant message; undefined: it does not. */
  readonly thoughts: ThoughtsForm | undefined;
  /** What makes it go on with an assistant message that is the last one; undefined: it cannot. */
  readonly continuing: Readonly<Record<string, boolean>> | undefined;
  /** It calls a tool where it must (ANY, NAMED), and never by its own choice. */
  readonly callsOnlyForced: boolean;
  /** Whether it fetches images by their address; all that see images take them as data: URLs. */
  readonly imageUrls: boolean;
  /** What all its models can or cannot do. */
  readonly can: Partial<ModelCapabilities>;
}

/** Read under its own name by all of them. */
const COMMON = {
  temperature: 'temperature',
  top_p: 'top_p',
  seed: 'seed',
  presence_penalty: 'presence_penalty',
  frequency_penalty: 'frequency_penalty',
  stop: 'stop',
} as const;

const OPEN = {
  ...COMMON,
  max_tokens: 'max_tokens',
  min_p: 'min_p',
  top_k: 'top_k',
  repetition_penalty: 'repetition_penalty',
} as const;

const PLAIN = {
  topKOff: 0,
  maxStops: undefined,
  priority: undefined,
  callsOnlyForced: false,
  imageUrls: true,
  can: {},
} as const;

/** Both would else begin a new message after it. */
const CONTINUE = { continue_final_message: true, add_generation_prompt: false } as const;

const TABLE: Readonly<Record<DialectName, Omit<Dialect, 'name'>>> = {
  openai: {
    ...PLAIN,
    // Its newer models refuse max_tokens.
    sampling: { ...COMMON, max_tokens: 'max_completion_tokens' },
    maxStops: 4,
    thinking: effortAlone,
    thoughts: undefined,
    continuing: undefined,
  },
  vllm: {
    ...PLAIN,
    sampling: OPEN,
    priority: 'priority',
    thinking: vllmThinking,
    thoughts: 'reasoning',
    continuing: CONTINUE,
  },
  sglang: {
    ...PLAIN,
    sampling: OPEN,
    topKOff: -1,
    // It has a priority, but whether the lower or the higher one is sooner is an option of its start.
    priority: undefined,
    thinking: sglangThinking,
    thoughts: 'reasoning_content',
    // Without it the message would be turned into one of the user.
    continuing: { continue_final_message: true },
  },
  llamacpp: {
    ...PLAIN,
    sampling: { ...OPEN, repetition_penalty: 'repeat_penalty' },
    thinking: llamaCppThinking,
    thoughts: 'reasoning_content',
    // It would go on without being told, but repeat the beginning in its answer.
    continuing: CONTINUE,
  },
  ollama: {
    ...PLAIN,
    sampling: { ...COMMON, max_tokens: 'max_tokens' },
    thinking: effortAlone,
    thoughts: 'reasoning',
    continuing: {},
    imageUrls: false,
  },
  openrouter: {
    ...PLAIN,
    sampling: OPEN,
    thinking: openRouterThinking,
    thoughts: 'reasoning_details',
    continuing: {},
  },
  embedded: {
    ...PLAIN,
    sampling: OPEN,
    maxStops: 16,
    thinking: undefined,
    thoughts: undefined,
    continuing: {},
    callsOnlyForced: true,
    imageUrls: false,
    can: { tools: true, parallelTools: false, jsonSchema: true, reasoning: false, images: false },
  },
};

export function dialectOf(name: DialectName): Dialect {
  return { name, ...TABLE[name] };
}

/** Without what the server says that it does not read for the one model; undefined: it says nothing. */
export function narrowed(dialect: Dialect, parameters: ReadonlySet<string> | undefined): Dialect {
  if (parameters === undefined) return dialect;
  const isRead = (sentAs: string): boolean =>
    parameters.has(sentAs) || (sentAs === 'max_tokens' && parameters.has('max_completion_tokens'));
  const sampling = Object.entries(dialect.sampling).filter(([, sentAs]) => isRead(sentAs));
  return { ...dialect, sampling: Object.fromEntries(sampling) };
}

/** By what the servers themselves write into their list of models. */
const BY_OWNER: ReadonlyMap<string, DialectName> = new Map([
  ['vllm', 'vllm'],
  ['sglang', 'sglang'],
  ['llamacpp', 'llamacpp'],
  ['library', 'ollama'],
  ['embedded', 'embedded'],
]);

const BY_HOST: ReadonlyMap<string, DialectName> = new Map([
  ['api.openai.com', 'openai'],
  ['openrouter.ai', 'openrouter'],
]);

export function isKnownHost(baseUrl: string): boolean {
  return BY_HOST.has(new URL(baseUrl).hostname);
}

/** By its address, else by what its list of models says of itself; else as vLLM, which reads the most. */
export function dialectFor(baseUrl: string, ownedBy: string | undefined): DialectName {
  return BY_HOST.get(new URL(baseUrl).hostname) ?? BY_OWNER.get(ownedBy ?? '') ?? 'vllm';
}
