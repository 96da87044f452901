// A model server's refusal of a conversation that is too long: both numbers are taken, and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { errorInStream } from '../../src/model/answer/failure.ts';
import { overflowNumbers } from '../../src/model/answer/overflow-numbers.ts';

const SAID: readonly (readonly [string, object, string | undefined])[] = [
  [
    'OpenAI',
    {
      message:
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130011 tokens. Please reduce the length of the messages.",
    },
    '130011 tokens for a context of 128000',
  ],
  [
    'vLLM, before 0.9',
    {
      message:
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length.",
    },
    '5000 tokens for a context of 4096',
  ],
  [
    'vLLM, max_tokens',
    {
      message:
        "'max_tokens' or 'max_completion_tokens' is too large: 1000. This model's maximum context length is 4096 tokens and your request has 3500 input tokens (1000 > 4096 - 3500).",
    },
    '3500 tokens for a context of 4096',
  ],
  [
    'SGLang',
    { message: "The input (5000 tokens) is longer than the model's context length (4096 tokens)." },
    '5000 tokens for a context of 4096',
  ],
  [
    'llama.cpp',
    {
      message: 'the request exceeds the available context size',
      n_prompt_tokens: 5000,
      n_ctx: 4096,
    },
    '5000 tokens for a context of 4096',
  ],
  [
    'the embedded model',
    {
      message:
        "This model's context is 4096 tokens, the answer included; the messages alone are 5000 tokens.",
    },
    '5000 tokens for a context of 4096',
  ],
  [
    'the context alone',
    { message: 'Maximum context length of 8192 exceeded' },
    'the context is 8192 tokens',
  ],
  ['no numbers', { message: 'prompt is too long' }, undefined],
  ['no message', {}, undefined],
];

test('both numbers are taken out of what each server says', () => {
  for (const [name, error, expected] of SAID) assert.equal(overflowNumbers(error), expected, name);
});

test('the failure has the numbers and none of the words', () => {
  const failure = errorInStream({
    code: 'context_length_exceeded',
    message: "maximum context length is 4096 tokens; you requested 5000 tokens: 'my secret'",
  });
  assert.equal(failure.reason, FailureReason.CONTEXT_OVERFLOW);
  assert.match(failure.message, /\(context_length_exceeded; 5000 tokens for a context of 4096\)/);
  assert.doesNotMatch(failure.message, /secret/);
});
