// The embedded model, for real: what it answers, and what it refuses. Its calls of tools are in
// embedded-calls.test.ts, its places and processes in embedded-life.test.ts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import * as z from 'zod';
import { startEmbeddedModel } from '../../src/model/embedded/embedded-model.ts';

import { MODEL, asked, embeddedModel, skipped } from './embedded-suite.ts';

test('what is missing is said, with what to do about it', async () => {
  const start = startEmbeddedModel({ modelPath: 'no/such.gguf', onEvent: () => undefined });
  await assert.rejects(start, (error: Error) => {
    assert.match(
      error.message,
      /(no\/such\.gguf|node-llama-cpp).*`tailrace demo`.*OPENAI_BASE_URL/s,
    );
    return true;
  });
});

describe('embedded model', { skip: skipped() }, () => {
  const { model, post, answerTo, refusalOf } = embeddedModel();

  test('an answer streams through the openai SDK, with true usage', async () => {
    const client = new OpenAI({ baseURL: model().baseUrl, apiKey: 'none', maxRetries: 0 });
    const listed = await client.models.list();
    assert.deepEqual(
      listed.data.map(({ id }) => id),
      [MODEL],
    );
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'What is the capital of France?' }],
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    const pieces: string[] = [];
    let finish: string | null | undefined;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      const choice = chunk.choices[0];
      if (choice?.delta.content) pieces.push(choice.delta.content);
      finish = choice?.finish_reason ?? finish;
      usage = chunk.usage ?? usage;
    }
    assert.match(pieces.join(''), /Paris/);
    assert.ok(pieces.length > 3, 'it came in pieces');
    assert.equal(finish, 'stop');
    // <|im_start|> user \n … <|im_end|> \n <|im_start|> assistant \n: no system prompt in between.
    assert.equal(usage?.prompt_tokens, 16);
    assert.equal(usage.completion_tokens, pieces.length);
    assert.equal(usage.total_tokens, 16 + pieces.length);
  });

  test('a seed, and temperature 0, repeat an answer; another seed gives another', async () => {
    const story = {
      messages: asked('Invent a name for a boat.'),
      max_tokens: 24,
      temperature: 1.5,
    };
    const [first, again, other] = [
      await answerTo({ ...story, seed: 7 }),
      await answerTo({ ...story, seed: 7 }),
      await answerTo({ ...story, seed: -8 }),
    ];
    assert.equal(first.text, again.text);
    assert.notEqual(first.text, other.text);
    const cold = { ...story, temperature: 0 };
    assert.equal((await answerTo(cold)).text, (await answerTo(cold)).text);
  });

  test('a stop sequence ends the answer, is named and never shown', async () => {
    const counting = { messages: asked('Count from 1 to 9, with commas.'), temperature: 0 };
    const whole = await answerTo({ ...counting, max_tokens: 40 });
    // It begins and ends within tokens, so that it must be put together from several.
    const stop = whole.text.slice(5, 11);
    const cut = await answerTo({ ...counting, max_tokens: 40, stop: ['never said', stop] });
    assert.equal(cut.text, whole.text.slice(0, whole.text.indexOf(stop)));
    assert.equal(cut.finish_reason, 'stop');
    assert.equal(cut.stop_reason, stop);
  });

  test('max_tokens ends the answer with length, after exactly so many', async () => {
    const answer = await answerTo({ messages: asked('Tell a long story.'), max_tokens: 9 });
    assert.equal(answer.finish_reason, 'length');
    assert.equal(answer.usage.completion_tokens, 9);
  });

  test('characters that lie over several tokens come whole', async () => {
    const emoji = '👩‍🚀日本語';
    const begun = { role: 'assistant', content: `${emoji} ${emoji} ${emoji} ` };
    const response = await post({
      messages: [...asked(`Repeat for ever: ${emoji} ${emoji}`), begun],
      temperature: 0,
      max_tokens: 40,
      stream: true,
    });
    const body = await response.text();
    assert.match(body, /[👩🚀日本語]/u);
    assert.doesNotMatch(body, /\uFFFD|[\uD800-\uDBFF](?![\uDC00-\uDFFF])/);
    assert.match(body, /data: \[DONE\]\n\n$/);
  });

  test('a JSON schema holds, and nothing trails behind the JSON', async () => {
    const schema = {
      type: 'object',
      properties: {
        city: { type: 'string', maxLength: 20 },
        size: { enum: ['big', 'small'] },
        river: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
      },
      required: ['city', 'size', 'river'],
      additionalProperties: false,
    };
    const format = (schema: object, strict = true) => ({
      response_format: { type: 'json_schema', json_schema: { name: 'city', schema, strict } },
      messages: asked('Describe Rome.'),
      max_tokens: 150,
      temperature: 0,
    });
    const { text, finish_reason: finish } = await answerTo(format(schema));
    assert.equal(finish, 'stop');
    assert.equal(text, text.trim());
    const parsed: unknown = JSON.parse(text);
    z.strictObject({
      city: z.string().max(20),
      size: z.enum(['big', 'small']),
      river: z.int().nullable(),
    }).parse(parsed);

    const refusal = await refusalOf(format({ type: 'string', pattern: '^a' }));
    assert.equal(refusal.param, 'response_format.json_schema.schema.pattern');

    const loose = { ...schema, properties: { city: { type: 'string', pattern: '^R' } } };
    const rest = await answerTo(format({ ...loose, required: ['city'] }, false));
    assert.equal(rest.finish_reason, 'stop');
    z.strictObject({ city: z.string() }).parse(JSON.parse(rest.text));
  });

  test('penalties and min_p change what is said', async () => {
    const base = { messages: asked('Say "go go go go go go".'), temperature: 0, max_tokens: 24 };
    const plain = await answerTo(base);
    const penalized = await answerTo({ ...base, frequency_penalty: 2, presence_penalty: 2 });
    assert.notEqual(penalized.text, plain.text);
    assert.notEqual((await answerTo({ ...base, repetition_penalty: 1.9 })).text, plain.text);
    const hot = { ...base, temperature: 2, top_p: 1, seed: 1 };
    assert.equal((await answerTo({ ...hot, min_p: 1 })).text, plain.text);
    assert.equal((await answerTo({ ...hot, top_k: 1 })).text, plain.text);
  });

  test('the prompt of a longer chat is not computed again', async () => {
    const messages = asked('My cat is called Ophelia, and she is eleven years old.');
    await answerTo({ messages, max_tokens: 4 });
    const next = [
      ...messages,
      { role: 'assistant', content: 'Nice.' },
      ...asked('How old is she?'),
    ];
    const { usage } = await answerTo({ messages: next, max_tokens: 4 });
    assert.ok(usage.prompt_tokens_details.cached_tokens > 15, JSON.stringify(usage));
  });

  test('what cannot be honoured is refused by its name', async () => {
    assert.equal((await refusalOf({ audio: {} })).param, 'audio');
    assert.equal((await refusalOf({ temperature: 2.1 })).param, 'temperature');
    const image = [{ type: 'image_url', image_url: { url: 'data:' } }];
    const picture = await refusalOf({ messages: [{ role: 'user', content: image }] });
    assert.equal(picture.param, 'messages[0].content[0].type');
    const unknown = await refusalOf({ model: 'gpt-9' }, 404);
    assert.match(unknown.message, /gpt-9.*smollm2-135m-instruct/);
  });

  test('an over-long prompt is refused with both numbers', async () => {
    const refusal = await refusalOf({ messages: asked('many words '.repeat(1_000)) });
    assert.equal(refusal.code, 'context_length_exceeded');
    assert.match(refusal.message, /\b1024\b.*\b2\d\d\d\b/);
  });
});
