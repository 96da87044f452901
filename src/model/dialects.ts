// What each kind of model server reads of a request, and under which name. The OpenAI-compatible
// servers agree on the form and differ in what they honour; what one does not read is not sent, and
// is told as a warning or refused (strict). The sources stand beside the fixtures in
// test/model/dialect-sources.ts.
import type { SamplingField } from '../chat/model-port.ts';

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
  /** The body's field for the place in the server's own queue, lower is sooner; undefined: none. */
  readonly priority: string | undefined;
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

const TABLE: Readonly<Record<DialectName, Omit<Dialect, 'name'>>> = {
  // Its newer models refuse max_tokens.
  openai: { sampling: { ...COMMON, max_tokens: 'max_completion_tokens' }, priority: undefined },
  vllm: { sampling: OPEN, priority: 'priority' },
  sglang: { sampling: OPEN, priority: undefined },
  llamacpp: { sampling: { ...OPEN, repetition_penalty: 'repeat_penalty' }, priority: undefined },
  ollama: { sampling: { ...COMMON, max_tokens: 'max_tokens' }, priority: undefined },
  openrouter: { sampling: OPEN, priority: undefined },
  embedded: { sampling: OPEN, priority: undefined },
};

export function dialectOf(name: DialectName): Dialect {
  return { name, ...TABLE[name] };
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
