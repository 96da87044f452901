// Which tokenizer a model has whose name is well known. gpt-oss's own, o200k_harmony, cuts ordinary text as
// o200k_base does.
import type { TokenizerName } from '../../chat/ports/model.ts';

const BY_NAME: readonly (readonly [RegExp, TokenizerName])[] = [
  [/^(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|chatgpt-4o|o1|o3|o4)(?:$|[-.:])/, 'o200k_base'],
  [/^(?:gpt-4|gpt-3\.5-turbo)(?:$|-)/, 'cl100k_base'],
];

/** By the model server's own name for it, with or without its maker's before it. */
export function tokenizerOf(upstreamModel: string): TokenizerName | undefined {
  const name = upstreamModel.toLowerCase().replace(/^openai\//, '');
  return BY_NAME.find(([pattern]) => pattern.test(name))?.[1];
}
