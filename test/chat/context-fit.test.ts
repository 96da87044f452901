// Tokens are bounded for certain, counted where the bounds do not tell, and never said to be more than
// there are.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import * as cl100k from 'gpt-tokenizer/encoding/cl100k_base';
import * as o200k from 'gpt-tokenizer/encoding/o200k_base';
import { type ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import {
  boundTokens,
  contextViolation,
  type TokenCount,
  type TokenCounter,
} from '../../src/chat/request/context-fit.ts';
import { countWithin } from '../../src/model/tokens/count-within.ts';
import { createTokenCounter } from '../../src/model/tokens/token-counter.ts';
import { tokenizerOf } from '../../src/model/tokens/tokenizer-names.ts';
import { SILENT } from '../support/processes/nats.ts';
import { modelInfo } from '../support/chats/test-model.ts';
import { HANGS_MS, until } from '../support/until.ts';

const AS_TEXT = { disallowedSpecial: new Set<string>() };
const TOKENIZERS = {
  o200k_base: (text: string) => o200k.countTokens(text, AS_TEXT),
  cl100k_base: (text: string) => cl100k.countTokens(text, AS_TEXT),
};
const never = (): boolean => false;

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 400 }),
  fc.string({ unit: 'binary', maxLength: 400 }),
  fc
    .array(fc.constantFrom('the', ' river', ' ', '\n', '12345', '。', '我们', "'s", '<|im_end|>'), {
      maxLength: 200,
    })
    .map((parts) => parts.join('')),
);

test('there are at least as many tokens as words and at most as many as bytes', () => {
  for (const tokensIn of Object.values(TOKENIZERS)) {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 3 }), fc.nat(300), (texts, limit) => {
        const tokens = texts.reduce((sum, text) => sum + tokensIn(text), 0);
        const bounds = boundTokens(texts, limit);
        if (bounds.known === 'fits') assert.ok(tokens <= limit);
        if (bounds.known === 'overflows') {
          assert.ok(bounds.atLeast > limit && tokens >= bounds.atLeast);
        }
      }),
    );
  }
});

test('no count is higher than what there is, however the text is cut', () => {
  const long = fc
    .tuple(anyText, fc.integer({ min: 1, max: 60 }))
    .map(([text, times]) => text.repeat(times));
  for (const tokensIn of Object.values(TOKENIZERS)) {
    fc.assert(
      fc.property(long, (text) => {
        const all = tokensIn(text);
        const found = countWithin([text], Number.MAX_SAFE_INTEGER, tokensIn, never);
        if (found === undefined) return;
        assert.ok(found.tokens <= all, `${found.tokens} of ${all}`);
        assert.ok(found.more || found.tokens === all, 'exact where it says so');
      }),
      { numRuns: 60 },
    );
  }
});

const PROSE = 'The river runs past the old mill, and nobody counts its 1,233 km. '.repeat(3_000);

test('prose is counted to the token, and little further than the limit', () => {
  const tokensIn = TOKENIZERS.o200k_base;
  const all = tokensIn(PROSE);
  assert.deepEqual(countWithin([PROSE], all, tokensIn, never), { tokens: all, more: false });
  let counted = 0;
  const watched = (text: string): number => {
    counted += text.length;
    return tokensIn(text);
  };
  const cut = countWithin([PROSE], 1_000, watched, never);
  assert.ok(cut?.more === true && cut.tokens > 1_000 && cut.tokens < 2_000);
  assert.ok(counted < 40_000, `${counted} of ${PROSE.length} characters`);
});

test('far below the limit a sample is enough; when the time is up nothing is said', () => {
  let counted = 0;
  const tokensIn = (text: string): number => {
    counted += text.length;
    return TOKENIZERS.o200k_base(text);
  };
  assert.equal(countWithin([PROSE, PROSE], 1_000_000, tokensIn, never), undefined);
  assert.ok(counted <= 17 * 1_024, `${counted} characters`);
  assert.equal(
    countWithin([PROSE], 40_000, tokensIn, () => true),
    undefined,
  );
});

// With time for the slowest machine; what is not counted in time is let through.
const counter = createTokenCounter(SILENT, HANGS_MS);
after(() => counter[Symbol.asyncDispose]());

test('the thread counts as the library does, special tokens as text', async () => {
  const texts = ['Köln <|endoftext|> 河流', 'a'];
  for (const name of ['o200k_base', 'cl100k_base'] as const) {
    const tokens = TOKENIZERS[name](texts[0] ?? '') + 1;
    assert.deepEqual(await counter.count(name, texts, 1_000), { tokens, more: false });
  }
});

test('a text that is one word without end holds up nobody', async () => {
  await using impatient = createTokenCounter(SILENT);
  const counts = (): Promise<TokenCount | undefined> => impatient.count('o200k_base', ['a'], 1);
  await until('its tables to be there', counts);
  const hostile = 'a'.repeat(2 * 1024 * 1024);
  const found = await impatient.count('o200k_base', [hostile], 10_000);
  assert.ok(found === undefined || found.tokens > 10_000);
  assert.deepEqual(await until('the next count', counts), { tokens: 1, more: false });
});

function asking(text: string, maxTokens?: number): ChatRequest {
  return create(ChatRequestSchema, {
    messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: text } }] }],
    ...(maxTokens === undefined ? {} : { maxTokens }),
  });
}

const SMALL = modelInfo('small', { contextTokens: 1_000, tokenizer: 'o200k_base' });
const LARGE = modelInfo('large', { contextTokens: 100_000 });

function violation(
  request: ChatRequest,
  model = SMALL,
  by: TokenCounter = counter,
): Promise<string | undefined> {
  return contextViolation(by, request, 'Be brief.', model, [SMALL, LARGE]).then(
    (found) => found && `${found.path}: ${found.description}`,
  );
}

test('what does not fit is refused with both numbers, max_tokens counted in, and who has room', async () => {
  const text = PROSE.slice(0, 3_000);
  const tokens = TOKENIZERS.o200k_base(text) + TOKENIZERS.o200k_base('Be brief.');
  assert.equal(await violation(asking(text)), undefined);
  assert.equal(await violation(asking(text, 1_000 - tokens)), undefined);
  assert.equal(
    await violation(asking(text, 1_001 - tokens)),
    `request.messages: have ${tokens} tokens with the system text and max_tokens asks for ${1_001 - tokens} more; the context of the model small is 1000. Shorten the conversation, or choose a larger one: large`,
  );
  assert.match(
    (await violation(asking(PROSE))) ?? '',
    /have at least \d+ tokens with .* is 1000\./,
  );
});

test('what is certain is not counted, and what nobody here can know is left to the model server', async () => {
  const none: TokenCounter = { count: () => assert.fail('counted') };
  assert.equal(await violation(asking('x'.repeat(900)), SMALL, none), undefined);
  assert.match(
    (await violation(asking('a '.repeat(40_000)), SMALL, none)) ?? '',
    /at least 40002 /,
  );
  assert.equal(await violation(asking(PROSE), LARGE, none), undefined);
  const unsaid = modelInfo('unsaid', { tokenizer: 'o200k_base' });
  assert.equal(await violation(asking(PROSE), unsaid, none), undefined);
});

test('tokenizers are known by well-known names of models', () => {
  for (const [name, tokenizer] of [
    ['gpt-4o-mini', 'o200k_base'],
    ['gpt-5', 'o200k_base'],
    ['openai/gpt-5-mini', 'o200k_base'],
    ['o3-mini', 'o200k_base'],
    ['gpt-oss:20b', 'o200k_base'],
    ['openai/gpt-oss-120b', 'o200k_base'],
    ['gpt-4.1', 'o200k_base'],
    ['gpt-4-turbo', 'cl100k_base'],
    ['gpt-4', 'cl100k_base'],
    ['gpt-3.5-turbo-0125', 'cl100k_base'],
    ['gpt-40', undefined],
    ['o3d', undefined],
    ['Qwen/Qwen3-8B', undefined],
  ] as const) {
    assert.equal(tokenizerOf(name), tokenizer, name);
  }
});
