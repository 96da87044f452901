// Whether a conversation fits its model's context, where the operator's file says how long that is and by
// which tokenizer it is counted. Bounds that are certain come first and cost next to nothing; only what
// lies between them is counted.
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { listed } from './choose-model.ts';
import { blocksOf } from '../rules/content-places.ts';
import { documentText } from '../prompt/document-text.ts';
import type { Violation } from '../errors.ts';
import { EXACT_COUNT_BYTES, MAX_COUNTED_BYTES } from '../limits.ts';
import type { ModelInfo, TokenizerName } from '../ports/model.ts';

export interface TokenCount {
  readonly tokens: number;
  /** There are at least so many: counting stopped beyond the limit, or is not exact. */
  readonly more: boolean;
}

export interface TokenCounter {
  /**
   * Tokens of the texts together, counted little further than tells whether they pass the limit.
   * Undefined: they could not be counted in time, or lie far below by a sample.
   */
  readonly count: (
    tokenizer: TokenizerName,
    texts: readonly string[],
    limit: number,
  ) => Promise<TokenCount | undefined>;
}

/** What is known without counting. */
export type Bounds =
  | { readonly known: 'fits' | 'nothing' }
  | { readonly known: 'overflows'; readonly atLeast: number };

/**
 * Certain for the byte-level BPE of both tokenizers. A token has at least a byte. And no token reaches
 * over a space into the next word, so that there are at least as many tokens as words.
 */
export function boundTokens(texts: readonly string[], limit: number): Bounds {
  let bytes = 0;
  for (const text of texts) bytes += Buffer.byteLength(text);
  if (bytes <= limit) return { known: 'fits' };
  let words = 0;
  for (const text of texts) words += wordsIn(text);
  return words > limit ? { known: 'overflows', atLeast: words } : { known: 'nothing' };
}

/** Runs of ASCII letters and digits that begin the text or follow a space or a line's end. */
function wordsIn(text: string): number {
  let words = 0;
  let afterSpace = true;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x20 || unit === 0x0a) afterSpace = true;
    else if (afterSpace) {
      afterSpace = false;
      const letter = unit | 0x20;
      if ((letter >= 0x61 && letter <= 0x7a) || (unit >= 0x30 && unit <= 0x39)) words++;
    }
  }
  return words;
}

/** Undefined: it fits, or nobody here can tell; then the model server judges. */
export async function contextViolation(
  counter: TokenCounter,
  request: ChatRequest,
  system: string,
  model: ModelInfo,
  models: readonly ModelInfo[],
): Promise<Violation | undefined> {
  const { contextTokens, tokenizer } = model;
  if (contextTokens === undefined || tokenizer === undefined) return undefined;
  const answer = request.maxTokens ?? 1;
  const limit = contextTokens - answer;
  const texts = textsOf(request, system);
  const bounds = boundTokens(texts, limit);
  if (bounds.known === 'fits') return undefined;
  const bytes = bytesOf(texts);
  const overflows = bounds.known === 'overflows';
  // What surely overflows is counted only for a better number, where that is cheap.
  const worthIt = bytes <= (overflows ? EXACT_COUNT_BYTES : MAX_COUNTED_BYTES);
  const counted = worthIt ? await counter.count(tokenizer, texts, limit) : undefined;
  const count = counted ?? (overflows ? { tokens: bounds.atLeast, more: true } : undefined);
  if (count === undefined || count.tokens <= limit) return undefined;
  const said = `${count.more ? 'at least ' : ''}${count.tokens}`;
  const asked = request.maxTokens === undefined ? '' : ` and max_tokens asks for ${answer} more`;
  const larger = models.filter((each) => (each.contextTokens ?? 0) > contextTokens);
  const others =
    larger.length === 0
      ? ''
      : `, or choose a larger one: ${listed(larger.map(({ name }) => name))}`;
  return {
    path: 'request.messages',
    description: `have ${said} tokens with the system text${asked}; the context of the model ${model.name} is ${contextTokens}. Shorten the conversation${others}`,
  };
}

/** All that surely reaches the model as text. What the server puts around it is not counted. */
function textsOf(request: ChatRequest, system: string): string[] {
  const texts = [system];
  let documents = 0;
  for (const { block } of blocksOf(request)) {
    if (block.case === 'text') texts.push(block.value);
    else if (block.case === 'document') {
      texts.push(documentText(block.value, ++documents) ?? '');
    }
  }
  return texts;
}

function bytesOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}
