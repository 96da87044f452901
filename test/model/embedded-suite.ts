// An embedded model for the tests of a suite, and what they ask of it at its loopback endpoint.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import * as z from 'zod';
import {
  type EmbeddedModel,
  type EmbeddedModelEvent,
  startEmbeddedModel,
} from '../../src/model/embedded/embedded-model.ts';
import { needs, setUp } from '../support/needs.ts';

export const MODEL = 'smollm2-135m-instruct';
export const WAIT_MS = 30_000;

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
export const callSchema = z.object({
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

export function asked(text: string): { role: 'user'; content: string }[] {
  return [{ role: 'user', content: text }];
}

/** With TAILRACE_TEST_ALL=1 nothing is skipped: then it fails where the model is missing. */
export function skipped(): string | false {
  if (process.env['TAILRACE_TEST_ALL'] === '1') return false;
  try {
    import.meta.resolve('node-llama-cpp');
  } catch {
    return 'the package node-llama-cpp is not here: npm run setup';
  }
  return needs('embedded model');
}

/** To be called in the suite: it is started before its tests, and ended after them. */
export function embeddedModel() {
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

  return {
    model: () => model,
    events,
    onEvent,
    post,
    answerTo,
    callTo,
    refusalOf,
    untilHealth,
  };
}
