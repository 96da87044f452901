// The embedded model, for real: the child process, the weights, the loopback endpoint.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import OpenAI from 'openai';
import * as z from 'zod';
import {
  type EmbeddedModel,
  type EmbeddedModelEvent,
  startEmbeddedModel,
} from '../../src/model/embedded/embedded-model.ts';
import { needs, setUp } from '../support/needs.ts';
import { onceWithin } from '../support/quick.ts';

const MODEL = 'smollm2-135m-instruct';
const WAIT_MS = 60_000;

const answerSchema = z.object({
  choices: z.tuple([
    z.object({
      message: z.object({ content: z.string() }),
      finish_reason: z.string(),
      stop_reason: z.string().nullable(),
    }),
  ]),
  usage: z.object({
    prompt_tokens: z.int(),
    completion_tokens: z.int(),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({ cached_tokens: z.int() }),
  }),
});
const callSchema = z.object({
  choices: z.tuple([
    z.object({
      message: z.object({
        content: z.null(),
        tool_calls: z.array(
          z.object({ function: z.object({ name: z.string(), arguments: z.string() }) }),
        ),
      }),
      finish_reason: z.string(),
    }),
  ]),
});
const refusalSchema = z.object({
  error: z.object({ message: z.string(), param: z.string().nullable(), code: z.string() }),
});
const healthSchema = z.object({ busy: z.int(), queued: z.int() });

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
  let model: EmbeddedModel;
  const events: EmbeddedModelEvent[] = [];
  const onEvent = new EventTarget();

  before(async () => {
    model = await startEmbeddedModel({
      modelPath: setUp().model ?? '',
      contextTokens: 1_024,
      onEvent: (event) => {
        events.push(event);
        onEvent.dispatchEvent(new Event(event.kind));
      },
    });
  });
  after(async () => await model[Symbol.asyncDispose]());

  async function post(fields: object, signal?: AbortSignal): Promise<Response> {
    return await fetch(`${model.baseUrl}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, messages: asked('Say hello.'), ...fields }),
      signal: signal ?? AbortSignal.timeout(WAIT_MS),
    });
  }
  async function answerTo(fields: object) {
    const response = await post(fields);
    const body: unknown = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    const { choices, usage } = answerSchema.parse(body);
    return { ...choices[0], text: choices[0].message.content, usage };
  }
  async function callTo(fields: object) {
    const response = await post(fields);
    const body: unknown = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    const [{ message, finish_reason: finish }] = callSchema.parse(body).choices;
    const [call, ...others] = message.tool_calls;
    assert.deepEqual([finish, message.content, others], ['tool_calls', null, []]);
    assert.ok(call);
    return call.function;
  }
  async function refusalOf(fields: object, status = 400) {
    const response = await post(fields);
    assert.equal(response.status, status);
    return refusalSchema.parse(await response.json()).error;
  }
  /** Each look is an event of its own; nothing is slept through. */
  async function untilHealth(wanted: { busy: number; queued?: number }): Promise<number> {
    const begun = performance.now();
    for (;;) {
      const response = await fetch(new URL('/health', model.baseUrl));
      const health = healthSchema.parse(await response.json());
      if (health.busy === wanted.busy && health.queued === (wanted.queued ?? 0)) {
        return performance.now() - begun;
      }
      if (performance.now() - begun > WAIT_MS) assert.fail(`health is ${JSON.stringify(health)}`);
      await setImmediate();
    }
  }

  test('an answer streams through the openai SDK, with true usage', async () => {
    const client = new OpenAI({ baseURL: model.baseUrl, apiKey: 'none', maxRetries: 0 });
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
    const client = new OpenAI({ baseURL: model.baseUrl, apiKey: 'none', maxRetries: 0 });
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

  test('who hangs up gives the place back at once, while decoding as well as in a long prompt', async () => {
    const long = (word: string) => ({ messages: asked(`${word} words `.repeat(400)) });
    const begunMs = performance.now();
    await answerTo({ ...long('many'), max_tokens: 1 });
    // Half of what this machine takes for a long prompt; for a whole answer it takes far longer.
    const quickMs = Math.max(1_500, (performance.now() - begunMs) / 2);

    await onceWithin(quickMs, async () => {
      const decoding = new AbortController();
      const story = { messages: asked('Tell a very long story.'), stream: true, max_tokens: 800 };
      const response = await post(story, decoding.signal);
      await response.body?.getReader().read();
      decoding.abort();
      return untilHealth({ busy: 0 });
    });
    // A prompt of other words each time, so that nothing of it is known yet.
    const words = ['some', 'more', 'new', 'old', 'long'];
    await onceWithin(quickMs, async (nth) => {
      const reading = new AbortController();
      const prompt = { ...long(words[nth] ?? ''), stream: true };
      const left = assert.rejects(post(prompt, reading.signal));
      await untilHealth({ busy: 1 });
      reading.abort();
      await left;
      return untilHealth({ busy: 0 });
    });
  });

  test('five at once all get their answer, the fifth after a wait', async () => {
    const five = Promise.all(
      [1, 2, 3, 4, 5].map(async (n) => {
        return await answerTo({ messages: asked(`Write about the number ${n}.`), max_tokens: 48 });
      }),
    );
    await untilHealth({ busy: 4, queued: 1 });
    for (const answer of await five) assert.ok(answer.text.length > 10);
    await untilHealth({ busy: 0 });
  });

  test('beyond the queue comes 429 with Retry-After, and who waits may leave', async () => {
    const leave = new AbortController();
    const waiting = Array.from({ length: 68 }, async () => {
      return await post({ max_tokens: 800, messages: asked('Tell a long story.') }, leave.signal);
    });
    const left = Promise.allSettled(waiting);
    await untilHealth({ busy: 4, queued: 64 });
    const refused = await post({});
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('retry-after'), '1');
    await refused.body?.cancel();
    leave.abort();
    await left;
    await untilHealth({ busy: 0 });
  });

  test('a killed child comes back at the same address', async () => {
    const signal = AbortSignal.timeout(WAIT_MS);
    const exited = once(onEvent, 'exited', { signal });
    const ready = once(onEvent, 'ready', { signal });
    const pid = model.pid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await exited;
    const exit = events.findLast((event) => event.kind === 'exited');
    assert.deepEqual(exit?.exit, { code: null, signal: 'SIGKILL' });
    await ready;
    assert.notEqual(model.pid(), pid);
    assert.ok((await answerTo({ max_tokens: 4 })).text.length > 0);
  });

  test('a file that is no model is named, and no process stays behind', async () => {
    const start = startEmbeddedModel({ modelPath: import.meta.filename, onEvent: () => undefined });
    await assert.rejects(start, /embedded-model\.test\.ts cannot be used/);
  });

  test('a parent that is killed takes the child along', async () => {
    const script = `
      const { startEmbeddedModel } = await import(process.argv[1]);
      const model = await startEmbeddedModel({ modelPath: process.argv[2], onEvent() {} });
      console.log(model.baseUrl);`;
    const module = new URL('../../src/model/embedded/embedded-model.ts', import.meta.url).href;
    const parent = spawn(
      process.execPath,
      ['--input-type=module', '-e', script, module, setUp().model ?? ''],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = await once(createInterface({ input: parent.stdout }), 'line');
    const health = new URL('/health', z.string().parse(line));
    assert.equal((await fetch(health)).status, 200);
    parent.kill('SIGKILL');
    // Asked at its port: nobody may be there to collect an orphan's process id.
    const begun = performance.now();
    while (
      await fetch(health).then(
        () => true,
        () => false,
      )
    ) {
      assert.ok(performance.now() - begun < WAIT_MS, 'it still serves');
      await setImmediate();
    }
  });

  test('closing the handle ends the child, and so does the parent’s signal', async () => {
    const pid = model.pid();
    assert.ok(pid !== undefined);
    await model[Symbol.asyncDispose]();
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });

    const stop = new AbortController();
    const late = startEmbeddedModel({
      modelPath: setUp().model ?? '',
      onEvent: () => undefined,
      signal: stop.signal,
    });
    stop.abort(new Error('enough'));
    await assert.rejects(late, /enough/);
  });
});

function asked(text: string): { role: 'user'; content: string }[] {
  return [{ role: 'user', content: text }];
}

/** With TAILRACE_TEST_ALL=1 nothing is skipped: then it fails where the model is missing. */
function skipped(): string | false {
  if (process.env['TAILRACE_TEST_ALL'] === '1') return false;
  try {
    import.meta.resolve('node-llama-cpp');
  } catch {
    return 'the package node-llama-cpp is not here: npm run setup';
  }
  return needs('embedded model');
}

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
