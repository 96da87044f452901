// Another model answers where the one that was asked for is down before its first token: which one, when
// not, and what the chat is told. And what an answer costs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import type { ModelCall } from '../../src/chat/ports/model.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import type { DialectName } from '../../src/model/dialects/dialects.ts';
import { createRegistry, type RegistryPolicy } from '../../src/model/registry.ts';
import { bareModel, type ModelSpec } from '../../src/model/settings/registry-spec.ts';
import { type ModelServer, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { modelCall, NEVER, recordingSink, type RequestInit } from './model-call.ts';

const NAMES = ['a', 'b', 'c'];

interface Setting {
  readonly models?: Readonly<Record<string, Partial<ModelSpec>>>;
  readonly dialects?: Readonly<Record<string, DialectName>>;
  readonly policy?: RegistryPolicy;
}

/** Models a, b and c, which the server knows as up-a, up-b and up-c; b and then c stand in for a. */
async function startThree({ models = {}, dialects = {}, policy = {} }: Setting = {}) {
  const server = await startModelServer({ models: NAMES.map((name) => `up-${name}`) });
  const registry = createRegistry(
    {
      servers: NAMES.map((name) => ({
        name,
        baseUrl: server.url,
        apiKey: undefined,
        headers: {},
        dialect: dialects[name] ?? 'vllm',
        discover: false,
        parallelCalls: undefined,
      })),
      models: NAMES.map((name) => ({
        ...bareModel(name, name),
        upstreamModel: `up-${name}`,
        fallbacks: name === 'a' ? ['b', 'c'] : [],
        ...models[name],
      })),
      defaultModel: undefined,
    },
    { retryBaseMs: 1, tailMs: 100, tries: 2, ...policy },
  );
  return {
    server,
    registry,
    async [Symbol.asyncDispose]() {
      registry.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

function askA(script: ScriptInput, request: RequestInit = {}): ModelCall {
  return { ...modelCall({ tokens: 1, ...script }, request), model: 'a' };
}

function askedOf(server: ModelServer): string[] {
  return server.requests.map(({ body }) => (body as { readonly model: string }).model);
}

const DOWN: readonly (readonly [string, ScriptInput, RegExp])[] = [
  ['answers 503', { fault: 'status', status: 503 }, /HTTP 503/],
  ['closes each connection', { fault: 'refuse' }, /could not be reached/],
  ['is rate limited for long', { fault: 'status', status: 429, retry_after: 90 }, /asks for 90 s/],
  ['refuses the key', { fault: 'status', status: 401 }, /HTTP 401/],
  ['says nothing', { fault: 'hang' }, /said nothing within 200 ms/],
  ['is cut before its first token', { fault: 'cut', after: 0 }, /ended before/],
  ['is a web page', { raw: '<p>', content_type: 'text/html' }, /a web page/],
];

for (const [how, script, why] of DOWN) {
  test(`a model that ${how} is stood in for, and the chat is told by whom and why`, async () => {
    await using three = await startThree({ policy: { firstTokenTimeoutMs: 600 } });
    const sink = recordingSink();
    const call = askA({ ...script, fault_of: 'up-a' });
    const outcome = await three.registry.generate(call, sink, NEVER);
    assert.equal(outcome.answeredBy, 'b');
    assert.equal(sink.texts.length, 1);
    assert.deepEqual(
      sink.warnings.map(({ reason, field }) => [reason, field]),
      [[WarningReason.MODEL_FALLBACK, 'request.model']],
    );
    assert.match(sink.warnings[0]?.message ?? '', /^b answers in place of a\. /);
    assert.match(sink.warnings[0]?.message ?? '', why);
  });
}

test('what the request itself is to blame for, or what came after the first token, is no reason', async () => {
  await using three = await startThree({ policy: { idleTimeoutMs: 100 } });
  const faults: ScriptInput[] = [
    { fault: 'status', status: 400 },
    { fault: 'status', status: 404 },
    { fault: 'status', status: 400, error: { code: 'context_length_exceeded' } },
    { tokens: 0 },
    { fault: 'cut', tokens: 4, after: 2 },
    { fault: 'silence', tokens: 4, after: 2 },
    { fault: 'error_in_stream', tokens: 4, after: 1 },
  ];
  for (const script of faults) {
    const sink = recordingSink();
    await assert.rejects(three.registry.generate(askA(script), sink, NEVER), ModelFailure);
    assert.deepEqual(sink.warnings, []);
  }
  assert.deepEqual(new Set(askedOf(three.server)), new Set(['up-a']));
});

test('a fallback that cannot do what the request needs is passed over', async () => {
  await using three = await startThree({
    models: { b: { maxOutputTokens: 10 } },
    dialects: { c: 'openai' },
  });
  const down: ScriptInput = { fault: 'status', status: 503, fault_of: 'up-a' };
  const sink = recordingSink();
  const request = { maxTokens: 50, topK: 7 };
  const { answeredBy } = await three.registry.generate(askA(down, request), sink, NEVER);
  assert.equal(answeredBy, 'c');
  assert.equal(askedOf(three.server).includes('up-b'), false);
  // What c does not read is told of c alone, which answers.
  assert.deepEqual(
    sink.warnings.map(({ reason, field }) => [reason, field]),
    [
      [WarningReason.MODEL_FALLBACK, 'request.model'],
      [WarningReason.PARAMETER_NOT_SUPPORTED, 'request.top_k'],
    ],
  );
  // A strict request is not answered by who would not read all of it.
  const strict = three.registry.generate(
    askA(down, { ...request, strict: true }),
    recordingSink(),
    NEVER,
  );
  await assert.rejects(strict, { reason: FailureReason.UPSTREAM_UNAVAILABLE });
});

test('where nobody answers the failure is that of the model that was asked for, and names the others', async () => {
  await using three = await startThree();
  const call = askA({ fault: 'status', status: 503 });
  await assert.rejects(three.registry.generate(call, recordingSink(), NEVER), (error) => {
    assert.ok(error instanceof ModelFailure);
    assert.equal(error.reason, FailureReason.UPSTREAM_UNAVAILABLE);
    const { message } = error;
    assert.match(message, /HTTP 503.* in its place failed too: b, c\./);
    return true;
  });
  assert.deepEqual(askedOf(three.server), ['up-a', 'up-a', 'up-b', 'up-b', 'up-c', 'up-c']);
});

test('all models together have one time for the first token, each an equal part of what is left', async () => {
  await using three = await startThree({ policy: { firstTokenTimeoutMs: 450 } });
  const began = performance.now();
  const call = askA({ fault: 'hang' });
  await assert.rejects(three.registry.generate(call, recordingSink(), NEVER), (error) => {
    assert.ok(error instanceof ModelFailure);
    assert.equal(error.reason, FailureReason.FIRST_TOKEN_TIMEOUT);
    assert.ok(error.cause instanceof AggregateError);
    const parts = error.cause.errors.map((each) => /within (\d+) ms/.exec(String(each))?.[1]);
    assert.equal(parts.length, 3);
    for (const part of parts) assert.ok(Number(part) > 0 && Number(part) <= 150, part);
    return true;
  });
  assert.ok(performance.now() - began >= 449);
  assert.deepEqual(askedOf(three.server), ['up-a', 'up-b', 'up-c']);
});

test('a later turn stays with the model that answered, which is told once', async () => {
  await using three = await startThree();
  const sink = recordingSink();
  const call = { ...askA({}), turn: 2, answeredBy: 'b' };
  const outcome = await three.registry.generate(call, sink, NEVER);
  assert.equal(outcome.answeredBy, 'b');
  assert.equal(sink.warnings.length, 0);
  // And goes back where that one is down.
  const back = askA({ fault: 'status', status: 503, fault_of: 'up-b' });
  const again = await three.registry.generate({ ...back, turn: 3, answeredBy: 'b' }, sink, NEVER);
  assert.equal(again.answeredBy, undefined);
  assert.match(sink.warnings[0]?.message ?? '', /^a answers in place of b\. /);
});

test('usage has the cost by the prices of the model that answered, and none where there are none', async () => {
  const prices = { currency: 'EUR', input: 2, cachedInput: 0.5, output: 10 };
  await using three = await startThree({
    models: { a: { prices: { ...prices, input: 1_000 } }, b: { prices } },
  });
  const down: ScriptInput = { tokens: 3, fault: 'status', status: 503, fault_of: 'up-a' };
  const sink = recordingSink();
  await three.registry.generate(askA(down), sink, NEVER);
  const [usage] = sink.usages;
  const { inputTokens = 0, cachedInputTokens = 0, outputTokens = 0, cost } = usage ?? {};
  assert.ok(inputTokens > cachedInputTokens && cachedInputTokens > 0 && outputTokens === 3);
  const wanted = (inputTokens - cachedInputTokens) * 2 + cachedInputTokens * 0.5 + 3 * 10;
  assert.equal(cost?.currency, 'EUR');
  assert.ok(Math.abs(cost.amount - wanted / 1e6) < 1e-12, `${cost.amount}`);
  const free = recordingSink();
  await three.registry.generate({ ...askA({}), model: 'c' }, free, NEVER);
  assert.equal(free.usages[0]?.cost, undefined);
});

test('a call is cut where the budget of tokens ends, and says so', async () => {
  await using three = await startThree({ models: { a: { defaults: { max_tokens: 500 } } } });
  const call = askA({ tokens: 20, finish: 'length' }, { maxTokens: 100 });
  const limited = (outputTokens: number | undefined): ModelCall => ({
    ...call,
    limits: { ...call.limits, outputTokens },
  });
  const ask = async (outputTokens: number | undefined) => {
    const outcome = await three.registry.generate(limited(outputTokens), recordingSink(), NEVER);
    const { body } = await three.server.nextRequest();
    return [(body as { max_tokens?: number }).max_tokens, outcome.stopReason];
  };
  assert.deepEqual(await ask(7), [7, StopReason.BUDGET]);
  assert.deepEqual(await ask(200), [100, StopReason.MAX_TOKENS]);
  assert.deepEqual(await ask(undefined), [100, StopReason.MAX_TOKENS]);
  // 20 tokens came and the model ended: its own limit was the nearer one.
  assert.deepEqual(await ask(50), [50, StopReason.MAX_TOKENS]);
});

test('each call carries the chat’s trace to the model server, as a span of its own', async () => {
  await using three = await startThree();
  const call = askA({ fault: 'status', status: 503, times: 1, id: 'trace' });
  await three.registry.generate(call, recordingSink(), NEVER);
  const sent = three.server.requests.map(({ headers }) => String(headers['traceparent']));
  assert.equal(sent.length, 2);
  for (const header of sent) {
    assert.match(header, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    assert.notEqual(header, call.span.traceparent);
  }
  assert.notEqual(sent[0], sent[1]);
});
