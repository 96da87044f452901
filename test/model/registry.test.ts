// Several servers and models behind one port: who is asked, by which name, and what is not sent.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { MessageSchema, Role } from '../../gen/tailrace/v1/content_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import type { DialectName } from '../../src/model/dialects/dialects.ts';
import { createRegistry } from '../../src/model/registry.ts';
import {
  bareModel,
  type ModelSpec,
  oneServer,
  type ServerSpec,
} from '../../src/model/settings/registry-spec.ts';
import { THINK_TAGS } from '../../src/model/dialects/think-tags.ts';
import { type ModelServer, startModelServer } from '../model-server/model-server.ts';
import { modelCall, NEVER, recordingSink, type RequestInit } from './model-call.ts';

const SAID = '{"tokens":1}';

function serverAt(name: string, baseUrl: string, more: Partial<ServerSpec> = {}): ServerSpec {
  return {
    name,
    baseUrl,
    apiKey: undefined,
    headers: {},
    dialect: undefined,
    discover: false,
    parallelCalls: undefined,
    ...more,
  };
}

async function bodyAt(server: ModelServer): Promise<Record<string, unknown>> {
  const { body } = await server.nextRequest();
  assert.ok(typeof body === 'object' && body !== null);
  return { ...body };
}

test('each model is asked at its own server, by the server’s name for it', async () => {
  await using one = await startModelServer({ models: ['up-a'] });
  await using two = await startModelServer({ models: ['up-b'] });
  const registry = createRegistry({
    servers: [serverAt('one', one.url), serverAt('two', two.url)],
    models: [
      { ...bareModel('a', 'one'), upstreamModel: 'up-a', aliases: ['first'] },
      { ...bareModel('b', 'two'), upstreamModel: 'up-b' },
    ],
    defaultModel: 'b',
  });
  const models = await registry.listModels(NEVER);
  assert.deepEqual(
    models.map(({ name }) => name),
    ['b', 'a'],
  );
  assert.deepEqual(models[1]?.aliases, ['first']);
  await registry.generate({ ...modelCall(SAID), model: 'b' }, recordingSink(), NEVER);
  assert.equal((await bodyAt(two))['model'], 'up-b');
  await registry.generate({ ...modelCall(SAID), model: 'a' }, recordingSink(), NEVER);
  assert.equal((await bodyAt(one))['model'], 'up-a');
  registry.close();
});

test('what the dialect does not read is not sent, and is a warning in the first turn alone', async () => {
  await using server = await startModelServer();
  const registry = createRegistry({
    servers: [serverAt('s', server.url, { dialect: 'openai' })],
    models: [bareModel('test-model', 's')],
    defaultModel: undefined,
  });
  const call = modelCall(SAID, { topK: 0, minP: 0.1, temperature: 0, maxTokens: 5 });
  const sink = recordingSink();
  await registry.generate(call, sink, NEVER);
  const body = await bodyAt(server);
  assert.equal('top_k' in body || 'min_p' in body, false);
  assert.equal(body['temperature'], 0);
  assert.equal(body['max_completion_tokens'], 5);
  assert.deepEqual(
    sink.warnings.map(({ reason, field }) => [reason, field]),
    [
      [WarningReason.PARAMETER_NOT_SUPPORTED, 'request.min_p'],
      [WarningReason.PARAMETER_NOT_SUPPORTED, 'request.top_k'],
    ],
  );
  const later = recordingSink();
  await registry.generate({ ...call, turn: 2 }, later, NEVER);
  assert.deepEqual(later.warnings, []);
  registry.close();
});

test('the operator’s defaults fill what the request does not set, and nothing that it sets to 0', async () => {
  await using server = await startModelServer();
  const registry = createRegistry({
    servers: [serverAt('s', server.url, { dialect: 'vllm' })],
    models: [
      { ...bareModel('test-model', 's'), defaults: { temperature: 0.7, top_k: 20, stop: ['END'] } },
    ],
    defaultModel: undefined,
  });
  await registry.generate(modelCall(SAID, { topK: 0 }), recordingSink(), NEVER);
  const body = await bodyAt(server);
  assert.deepEqual([body['temperature'], body['top_k'], body['stop']], [0.7, 0, ['END']]);
  registry.close();
});

/** What comes of a text, as [reasoning, text]. */
async function split(
  text: readonly string[],
  dialect: DialectName,
  thinkTags: ModelSpec['thinkTags'],
  request: RequestInit = {},
): Promise<readonly [string, string]> {
  await using server = await startModelServer();
  const registry = createRegistry({
    servers: [serverAt('s', server.url, { dialect })],
    models: [{ ...bareModel('test-model', 's'), thinkTags }],
    defaultModel: undefined,
  });
  const sink = recordingSink();
  const call = modelCall({ text: [...text] }, request);
  await registry.generate(call, sink, NEVER);
  registry.close();
  return [sink.thoughts.join(''), sink.texts.join('')];
}

test('tags are read where the server may leave them in the text, or where the operator says so', async () => {
  const text = ['<think>hm</think>', 'Hello'];
  for (const dialect of ['vllm', 'sglang'] as const) {
    assert.deepEqual(await split(text, dialect, undefined), ['hm', 'Hello'], dialect);
    assert.deepEqual(await split(text, dialect, false), ['', text.join('')], dialect);
  }
  for (const dialect of ['openai', 'llamacpp', 'ollama', 'openrouter', 'embedded'] as const) {
    assert.deepEqual(await split(text, dialect, undefined), ['', text.join('')], dialect);
    assert.deepEqual(await split(text, dialect, THINK_TAGS), ['hm', 'Hello'], dialect);
  }
});

test('where the template opens the reasoning it begins with the turn, unless that was told not to reason', async () => {
  const opened = { ...THINK_TAGS, opened: true };
  assert.deepEqual(await split(['hm</think>Hello'], 'vllm', opened), ['hm', 'Hello']);
  const off = { thinking: { enabled: false } };
  assert.deepEqual(await split(['Hello'], 'vllm', opened, off), ['', 'Hello']);
  // This server cannot be told so.
  assert.deepEqual(await split(['hm</think>Hello'], 'embedded', opened, off), ['hm', 'Hello']);
});

test('an answer that goes on with a message of the assistant has no beginning for tags', async () => {
  await using server = await startModelServer();
  const registry = createRegistry({
    servers: [serverAt('s', server.url, { dialect: 'vllm' })],
    models: [bareModel('test-model', 's')],
    defaultModel: undefined,
  });
  const call = modelCall({ text: ['<think>', ' is a tag'] });
  const begun = create(MessageSchema, {
    role: Role.ASSISTANT,
    content: [{ block: { case: 'text', value: 'The word ' } }],
  });
  const sink = recordingSink();
  await registry.generate({ ...call, messages: [...call.messages, begun] }, sink, NEVER);
  assert.deepEqual([sink.thoughts, sink.texts], [[], ['<think>', ' is a tag']]);
  registry.close();
});

test('what OpenRouter said beside its reasoning is handed back to it as it came', async () => {
  await using server = await startModelServer();
  const registry = createRegistry({
    servers: [serverAt('s', server.url, { dialect: 'openrouter' })],
    models: [bareModel('test-model', 's')],
    defaultModel: undefined,
  });
  const details = [
    {
      type: 'reasoning.text',
      text: 'hm',
      signature: 'sig',
      format: 'anthropic-claude-v1',
      index: 0,
    },
    { type: 'reasoning.encrypted', data: 'xyz', id: 'e', index: 1 },
  ];
  const event = (delta: object) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
  const raw = `${event({ reasoning_details: details })}${event({ content: 'Hello' })}data: [DONE]\n\n`;
  const sink = recordingSink();
  await registry.generate(modelCall({ raw }), sink, NEVER);
  await server.nextRequest();
  const thinking = { text: sink.thoughts.join(''), signature: sink.signatures[0] ?? '' };
  const answer = create(MessageSchema, {
    role: Role.ASSISTANT,
    content: [
      { block: { case: 'thinking', value: thinking } },
      { block: { case: 'text', value: 'Hello' } },
    ],
  });
  const next = modelCall(SAID);
  await registry.generate(
    { ...next, messages: [...next.messages, answer, ...next.messages] },
    recordingSink(),
    NEVER,
  );
  const { messages } = await bodyAt(server);
  assert.deepEqual((messages as object[])[1], {
    role: 'assistant',
    content: 'Hello',
    reasoning_details: details,
  });
  registry.close();
});

test('the embedded model says of a schema what it cannot be strict about', async () => {
  await using server = await startModelServer();
  const registry = createRegistry({
    servers: [
      serverAt('e', server.url, { dialect: 'embedded' }),
      serverAt('v', server.url, { dialect: 'vllm' }),
    ],
    models: [bareModel('small', 'e'), bareModel('large', 'v')],
    defaultModel: undefined,
  });
  const [small, large] = await registry.listModels(NEVER);
  assert.equal(large?.schemaFault, undefined);
  assert.equal(small?.schemaFault?.({ type: 'object', properties: {} }), undefined);
  assert.match(
    small?.schemaFault?.({ type: 'string', pattern: '^a' }) ?? '',
    /'schema\.pattern' cannot be kept by the grammar here$/,
  );
  registry.close();
});

test('a server that is away hides no other server’s models', async () => {
  await using server = await startModelServer({ models: ['here'] });
  const registry = createRegistry({
    servers: [
      serverAt('away', 'http://127.0.0.1:1/v1', { discover: true }),
      serverAt('s', server.url, { discover: true }),
    ],
    models: [],
    defaultModel: undefined,
  });
  const models = await registry.listModels(NEVER);
  assert.deepEqual(
    models.map(({ name }) => name),
    ['here'],
  );
  registry.close();
});

test('what a server’s list says of it decides also where nobody has asked for the list', async () => {
  await using server = await startModelServer({ listed: { owned_by: 'llamacpp' } });
  const spec = {
    servers: [serverAt('s', server.url)],
    models: [bareModel('test-model', 's')],
    defaultModel: undefined,
  };
  // A process with the role worker alone: it never lists.
  const worker = createRegistry(spec);
  await worker.generate(modelCall(SAID, { repetitionPenalty: 1.1 }), recordingSink(), NEVER);
  assert.equal((await bodyAt(server))['repeat_penalty'], 1.1);
  worker.close();
});

test('what OpenRouter’s list says of a model narrows what is sent to it, and tells what it can', async () => {
  await using server = await startModelServer({
    listed: {
      context_length: 8_192,
      supported_parameters: ['temperature', 'max_completion_tokens', 'tools'],
      architecture: { input_modalities: ['text', 'image'] },
      top_provider: { max_completion_tokens: 512 },
    },
  });
  const spec = {
    servers: [serverAt('s', server.url, { dialect: 'openrouter', discover: true })],
    models: [],
    defaultModel: undefined,
  };
  const registry = createRegistry(spec);
  const call = modelCall(SAID, { topK: 5, temperature: 0, maxTokens: 7 });
  const sink = recordingSink();
  await registry.generate(call, sink, NEVER);
  const body = await bodyAt(server);
  assert.equal('top_k' in body, false);
  assert.equal(body['temperature'], 0);
  assert.equal(body['max_tokens'], 7);
  assert.deepEqual(
    sink.warnings.map(({ field }) => field),
    ['request.top_k'],
  );
  const [model] = await registry.listModels(NEVER);
  assert.deepEqual(
    { ...model?.can },
    {
      tools: true,
      parallelTools: undefined,
      jsonSchema: false,
      reasoning: false,
      images: true,
      documents: undefined,
    },
  );
  assert.equal(model?.contextTokens, 8_192);
  assert.equal(model.maxOutputTokens, 512);
  assert.deepEqual([...model.reads].toSorted().slice(0, 2), [
    'max_tokens',
    'messages.content.thinking',
  ]);
  registry.close();
});

test('the window of a model is read where each server says it', async () => {
  for (const listed of [
    { owned_by: 'vllm', max_model_len: 4_096 },
    { owned_by: 'llamacpp', meta: { n_ctx: 4_096, n_ctx_train: 131_072 } },
    { context_length: 4_096 },
  ]) {
    await using server = await startModelServer({ listed });
    const registry = createRegistry(oneServer({ baseUrl: server.url }));
    const [model] = await registry.listModels(NEVER);
    assert.equal(model?.contextTokens, 4_096);
    registry.close();
  }
});
