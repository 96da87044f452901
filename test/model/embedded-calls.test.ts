// The embedded model where it calls tools: its input fits the schema, whatever it would say.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import * as z from 'zod';

import { MODEL, asked, callSchema, embeddedModel, skipped } from './embedded-suite.ts';

describe('embedded model, calls', { skip: skipped() }, () => {
  const { model, post, answerTo, callTo, refusalOf } = embeddedModel();

  const LOOK = tool('look', {
    place: { type: 'string', enum: ['attic', 'cellar'] },
    floors: { type: 'integer', minimum: 1, maximum: 3 },
  });
  const WAIT = tool('wait', { why: { type: 'string', minLength: 1 } });
  const lookInput = z.strictObject({
    place: z.enum(['attic', 'cellar']),
    floors: z.int().min(1).max(3).optional(),
  });

  test('a tool that must be called is called, and its input fits the schema', async () => {
    const messages = asked('Where is the cat?');
    const tools = [LOOK, WAIT];
    const body = { messages, tools, max_tokens: 400 };
    const named = { type: 'function', function: { name: 'look' } };
    // Hot: whatever the model would say, the grammar holds it.
    for (const seed of [1, 2, 3]) {
      const hot = { ...body, temperature: 2, top_p: 1, seed };
      const made = await callTo({ ...hot, tool_choice: named });
      assert.equal(made.name, 'look');
      lookInput.parse(JSON.parse(made.arguments));
      const any = await callTo({ ...hot, tool_choice: 'required' });
      assert.ok(['look', 'wait'].includes(any.name));
      const input = any.name === 'look' ? lookInput : z.strictObject({ why: z.string().min(1) });
      input.parse(JSON.parse(any.arguments));
    }
  });

  test('a call streams through the openai SDK, and its result is read in the next turn', async () => {
    const client = new OpenAI({ baseURL: model().baseUrl, apiKey: 'none', maxRetries: 0 });
    const function_ = { name: 'look' };
    const runner = client.chat.completions.stream({
      model: MODEL,
      messages: [{ role: 'user', content: 'Where is the cat?' }],
      tools: [LOOK],
      tool_choice: { type: 'function', function: function_ },
      temperature: 0,
    });
    const { choices } = await runner.finalChatCompletion();
    assert.equal(choices[0]?.finish_reason, 'tool_calls');
    const call = choices[0].message.tool_calls?.[0];
    assert.ok(call);
    const result = { role: 'tool', tool_call_id: call.id, content: 'The cat is called Ophelia.' };
    const said = { role: 'assistant', content: null, tool_calls: [plain(call)] };
    const messages = [...asked('What is the cat called?'), said, result];
    const { text } = await answerTo({ messages, tools: [LOOK], temperature: 0, max_tokens: 30 });
    assert.match(text, /Ophelia/);
  });

  test('an answer in text ends before what would look like a call', async () => {
    const call = { name: 'look', arguments: '{"place":"attic"}' };
    const said = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'a', type: 'function', function: call }],
    };
    const nothing = { role: 'tool', tool_call_id: 'a', content: 'Nothing.' };
    const round = [...asked('Look!'), said, nothing];
    // What has always followed is what this model would write again.
    const messages = [...round, ...round, ...round, ...asked('Look!')];
    const body = { messages, temperature: 0, max_tokens: 30 };
    assert.match((await answerTo(body)).text, /tool_call/);
    const end = await answerTo({ ...body, tools: [LOOK] });
    assert.doesNotMatch(end.text, /tool_call/);
    assert.deepEqual([end.finish_reason, end.stop_reason], ['stop', null]);
  });

  test('a call that max_tokens cuts says so; a tool that is not there cannot be chosen', async () => {
    const cut = { messages: asked('Why?'), tools: [WAIT], tool_choice: 'required', max_tokens: 4 };
    const body: unknown = await (await post(cut)).json();
    assert.equal(callSchema.parse(body).choices[0].finish_reason, 'length');
    const missing = { type: 'function', function: { name: 'fly' } };
    const refusal = await refusalOf({ tools: [LOOK], tool_choice: missing });
    assert.equal(refusal.param, 'tool_choice');
    assert.equal((await refusalOf({ tool_choice: 'required' })).param, 'tool_choice');
  });
});

/** Its first property is required. */
function tool(name: string, properties: Readonly<Record<string, object>>) {
  const required = Object.keys(properties).slice(0, 1);
  const parameters = { type: 'object', properties, required, additionalProperties: false };
  return { type: 'function' as const, function: { name, description: '', parameters } };
}

/** As a request has it, without what the SDK's parser adds. */
function plain(call: OpenAI.ChatCompletionMessageToolCall): object {
  assert.ok(call.type === 'function');
  const { name, arguments: given } = call.function;
  return { id: call.id, type: call.type, function: { name, arguments: given } };
}
