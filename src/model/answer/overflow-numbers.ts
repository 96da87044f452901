// How far a conversation was from fitting, out of a model server's refusal. Only numbers are taken: the
// rest of its text may hold the prompt.

/** As fields (llama.cpp), else out of the sentences of OpenAI, vLLM, SGLang and the embedded model. */
export function overflowNumbers(error: unknown): string | undefined {
  const message = fieldOf(error, 'message');
  const text = typeof message === 'string' ? message : '';
  const context = numberOf(fieldOf(error, 'n_ctx')) ?? numberIn(text, CONTEXT);
  const tokens = numberOf(fieldOf(error, 'n_prompt_tokens')) ?? numberIn(text, TOKENS);
  if (context === undefined) return undefined;
  return tokens === undefined
    ? `the context is ${context} tokens`
    : `${tokens} tokens for a context of ${context}`;
}

const CONTEXT = /context (?:length|window|size)?(?:\s*(?:is|of)\b)?\D{0,20}?(\d{2,9})/i;
const TOKENS =
  /(?:resulted in|you requested(?: a total of)?|your request has|contains at least|alone are|the input \()\s*(\d{2,9})/i;

function numberIn(text: string, pattern: RegExp): number | undefined {
  return numberOf(Number(pattern.exec(text)?.[1]));
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Reflect.get(value, name);
}
