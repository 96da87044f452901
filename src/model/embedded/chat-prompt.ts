// Messages → tokens, by the model's own template (ChatML) but without the system prompt that the
// template would slip in: with it the answers of so small a model get worse.
import { setImmediate } from 'node:timers/promises';
import type { LlamaModel, Token } from 'node-llama-cpp';
import type { PromptMessage } from './completion-request.ts';

export type PromptEncoder = (messages: readonly PromptMessage[]) => Promise<Token[]>;

/** Tokenizing holds up every answer that is being generated: about 20 ms for so much. */
const STRIDE_CHARACTERS = 32_768;

export function createPromptEncoder(model: LlamaModel): PromptEncoder {
  const start = control(model, '<|im_start|>');
  const end = control(model, '<|im_end|>');

  async function append(prompt: Token[], text: string): Promise<void> {
    for (let from = 0; from < text.length;) {
      let to = Math.min(from + STRIDE_CHARACTERS, text.length);
      // Not between the two halves of a surrogate pair.
      if (to < text.length && (text.codePointAt(to - 1) ?? 0) > 0xffff) to -= 1;
      // Not as special tokens: a text that spells <|im_end|> must not end its own message.
      for (const token of model.tokenize(text.slice(from, to), false)) prompt.push(token);
      from = to;
      if (from < text.length) await setImmediate();
    }
  }

  return async (messages) => {
    const prompt: Token[] = [];
    for (const [index, { role, text }] of messages.entries()) {
      prompt.push(start);
      await append(prompt, `${role}\n${text}`);
      // A last message of the assistant is the beginning of the answer: it stays open.
      if (role === 'assistant' && index === messages.length - 1) return prompt;
      prompt.push(end);
      await append(prompt, '\n');
    }
    prompt.push(start);
    await append(prompt, 'assistant\n');
    return prompt;
  };
}

function control(model: LlamaModel, text: string): Token {
  const [token, ...others] = model.tokenize(text, true);
  if (token === undefined || others.length > 0) {
    throw new Error(`the model's vocabulary has no ${text}`);
  }
  return token;
}
