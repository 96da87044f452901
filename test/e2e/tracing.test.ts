// Spans, from the port over the worker to the model server, as a collector gets them by OTLP over HTTP.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { MAX_ATTEMPTS } from '../../src/chat/limits.ts';
import { ToolFailure } from '../../src/chat/ports/tool.ts';
import { openTracing } from '../../src/ops/tracing.ts';
import { readTracing } from '../../src/ops/tracing-settings.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import {
  initiateRequest,
  runWorker,
  startChat,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import type { ChatClient } from '../support/clients.ts';
import { grpcClient } from '../support/clients.ts';
import type { Collector, SeenSpan } from '../support/servers/collector.ts';
import { startCollector } from '../support/servers/collector.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { SILENT, startNats, temporaryFolder } from '../support/processes/nats.ts';
import { callThem, ownTool, startWithTools } from '../support/chats/own-tools.ts';
import { refused } from '../support/refusal.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';
import type { TerminalEvent } from '../support/chats/watch-chat.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER_SPAN = 'b7ad6b7169203331';
const TRACEPARENT = `00-${TRACE}-${CALLER_SPAN}-01`;
const SERVICE = 'tailrace.v1.ChatStreamService';
const MARKER = 'xyzzy-of-a-person';
const API_KEY = 'sk-plugh-of-the-operator';

const INTERNAL = 1;
const SERVER = 2;
const CLIENT = 3;
const CONSUMER = 5;

function sentTo(collector: { readonly url: string }): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_BSP_SCHEDULE_DELAY: '20',
  };
}

function one(spans: readonly SeenSpan[], name: string): SeenSpan {
  const [found, ...more] = spans.filter((span) => span.name === name);
  assert.ok(found !== undefined && more.length === 0, `one span "${name}"`);
  return found;
}

async function run(
  client: ChatClient,
  streamId: string,
  script: ScriptInput,
  headers: Record<string, string> = { traceparent: TRACEPARENT },
): Promise<TerminalEvent> {
  const text = scripted({ ...script, id: MARKER });
  const request = {
    correlationId: `trace-${streamId}`,
    system: { text: MARKER },
    metadata: { note: MARKER },
  };
  await client.initiateChatStream(initiateRequest({ streamId, text, request }), { headers });
  return (await watchToEnd(client, streamId)).end();
}

function about(collector: Collector, id: string): SeenSpan[] {
  return collector.spans.filter(({ attributes }) => attributes['tailrace.stream_id'] === id);
}

test('a chat is a tree of spans in its caller’s trace, each with its correlation id and without a word of it', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  await using collector = await startCollector();
  await using tailrace = await startTailraceProcess({
    ...sentTo(collector),
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: API_KEY,
    OTEL_SERVICE_NAME: 'chats',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });
  const client = grpcClient(tailrace.url);
  const answer = { text: [MARKER, ' and ', MARKER] };
  const { usage } = await run(client, 'good', answer);
  const again = { ...answer, fault: 'status', status: 503, times: 1 } as const;
  assert.equal((await run(client, 'again', again)).status, ChatStreamStatus.COMPLETED);
  const error = { message: MARKER, code: MARKER, type: MARKER };
  const broken = { fault: 'error_in_stream', after: 1, error } as const;
  assert.equal((await run(client, 'broken', broken)).status, ChatStreamStatus.FAILED);
  await client.getChatStream({ streamId: 'good' });
  await client.deleteChatStream({ streamId: 'good' });
  await refused(client.getChatStream({ streamId: 'nowhere' }));
  await refused(client.initiateChatStream(initiateRequest({ text: MARKER, request: { topP: 3 } })));
  // A stop waits for a collector, and not for ever: they are here before it.
  const isRefusal = ({ kind, attributes }: SeenSpan): boolean =>
    kind === SERVER && attributes['rpc.response.status_code'] !== 'OK';
  await until('the spans of the last calls', () => collector.spans.filter(isRefusal).length === 2);
  assert.equal((await tailrace.stop()).code, 0);

  const good = about(collector, 'good');
  const rpc = one(good, `${SERVICE}/InitiateChatStream`);
  const attempt = one(good, 'chat run');
  const call = one(good, 'chat test-model');
  assert.deepEqual([rpc.kind, attempt.kind, call.kind], [SERVER, CONSUMER, CLIENT]);
  for (const span of [rpc, attempt, call]) assert.equal(span.traceId, TRACE);
  assert.equal(rpc.parentSpanId, CALLER_SPAN);
  assert.equal(attempt.parentSpanId, rpc.spanId);
  assert.equal(call.parentSpanId, attempt.spanId);
  assert.equal(model.requests[0]?.headers['traceparent'], `00-${TRACE}-${call.spanId}-01`);

  const chat = {
    'tailrace.tenant': 'default',
    'tailrace.stream_id': 'good',
    'tailrace.correlation_id': 'trace-good',
  };
  const rpcFields = { 'rpc.system.name': 'grpc', 'rpc.response.status_code': 'OK' };
  assert.deepEqual(rpc.attributes, { ...chat, ...rpcFields, 'rpc.method': rpc.name });
  assert.deepEqual(attempt.attributes, {
    ...chat,
    'tailrace.attempt': 1,
    'tailrace.outcome': 'completed',
    'gen_ai.request.model': 'test-model',
  });
  const { 'gen_ai.response.time_to_first_chunk': firstSeconds, ...callFields } = call.attributes;
  assert.equal(typeof firstSeconds, 'number');
  assert.deepEqual(callFields, {
    ...chat,
    'tailrace.attempt': 1,
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'vllm',
    'gen_ai.request.model': 'test-model',
    'gen_ai.response.finish_reasons': ['END_TURN'],
    'gen_ai.usage.input_tokens': usage?.inputTokens,
    'gen_ai.usage.output_tokens': usage?.outputTokens,
    'gen_ai.usage.reasoning.output_tokens': usage?.reasoningTokens,
    'gen_ai.usage.cache_read.input_tokens': usage?.cachedInputTokens,
    'server.address': '127.0.0.1',
    'server.port': Number(new URL(model.url).port),
  });
  // The calls that named no trace are in one of their own, and found by the chat they are about.
  for (const name of ['ObserveChatStream', 'GetChatStream', 'DeleteChatStream']) {
    const span = one(good, `${SERVICE}/${name}`);
    assert.equal(span.parentSpanId, '');
    assert.notEqual(span.traceId, TRACE);
    assert.equal(span.attributes['tailrace.correlation_id'], 'trace-good', name);
    assert.equal(span.attributes['rpc.response.status_code'], 'OK', name);
  }

  // Each try is a call of its own.
  const tries = about(collector, 'again').filter(({ name }) => name === 'chat test-model');
  assert.deepEqual(
    tries.map(({ failed, attributes }) => [failed, attributes['error.type']]),
    [
      [true, 'UPSTREAM_UNAVAILABLE'],
      [false, undefined],
    ],
  );
  const ids = tries.map(({ spanId }) => `00-${TRACE}-${spanId}-01`);
  assert.deepEqual(
    model.requests.slice(1, 3).map(({ headers }) => headers['traceparent']),
    ids,
  );

  const failure = one(about(collector, 'broken'), 'chat run');
  assert.equal(failure.failed, true);
  assert.equal(failure.attributes['tailrace.outcome'], 'failed');
  assert.equal(
    failure.attributes['error.type'],
    one(about(collector, 'broken'), 'chat test-model').attributes['error.type'],
  );

  // What a caller did wrong is no error of the server.
  const codes = collector.spans
    .filter(isRefusal)
    .map(({ name, failed, attributes }) => [name, failed, attributes['rpc.response.status_code']]);
  assert.deepEqual(codes, [
    [`${SERVICE}/GetChatStream`, false, 'NOT_FOUND'],
    [`${SERVICE}/InitiateChatStream`, false, 'INVALID_ARGUMENT'],
  ]);

  for (const span of collector.spans) {
    assert.equal(span.resource['service.name'], 'chats');
    assert.equal(span.resource['deployment.environment.name'], 'test');
  }
  for (const secret of [MARKER, API_KEY]) {
    assert.ok(!collector.bodies.some((body) => body.includes(secret)), 'no span holds it');
  }
});

test('a caller who leaves and a chat that is cancelled are told apart from faults; an unsampled trace records nothing', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  await using collector = await startCollector();
  await using tailrace = await startTailraceProcess({
    ...sentTo(collector),
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
  });
  const client = grpcClient(tailrace.url);
  const unsampled = '4bf92f3577b34da6a3ce929d0e0e4736';
  const headers = { traceparent: `00-${unsampled}-${CALLER_SPAN}-00` };
  assert.equal((await run(client, 'unseen', {}, headers)).status, ChatStreamStatus.COMPLETED);
  const upstream = String(model.requests[0]?.headers['traceparent']);
  assert.match(upstream, new RegExp(`^00-${unsampled}-[0-9a-f]{16}-00$`));
  assert.notEqual(upstream, headers.traceparent);

  const text = scripted({ fault: 'endless', interval_ms: 10 });
  await client.initiateChatStream(initiateRequest({ streamId: 'left', text }));
  const leaving = new AbortController();
  await assert.rejects(async () => {
    for await (const { frame } of client.observeChatStream(
      { streamId: 'left' },
      { signal: leaving.signal },
    )) {
      if (frame.case === 'batch') leaving.abort();
    }
  });
  await client.cancelChatStream({ streamId: 'left', reason: 'enough' });
  for (const last of [`${SERVICE}/ObserveChatStream`, `${SERVICE}/CancelChatStream`, 'chat run']) {
    await until(last, () => about(collector, 'left').some(({ name }) => name === last));
  }
  assert.equal((await tailrace.stop()).code, 0);

  const spans = about(collector, 'left');
  const observed = one(spans, `${SERVICE}/ObserveChatStream`);
  assert.equal(observed.attributes['rpc.response.status_code'], 'CANCELLED');
  assert.equal(observed.failed, false);
  const attempt = one(spans, 'chat run');
  assert.equal(attempt.attributes['tailrace.outcome'], 'cancelled');
  assert.equal(attempt.failed, false);
  assert.equal(one(spans, 'chat test-model').attributes['error.type'], 'ABORTED');
  // A chat whose caller names no trace begins one.
  const rpc = one(spans, `${SERVICE}/InitiateChatStream`);
  assert.deepEqual([rpc.parentSpanId, attempt.parentSpanId], ['', rpc.spanId]);
  assert.ok(!collector.bodies.some((body) => body.includes(unsampled)));
});

test('calls of tools are spans of the run, and a tool is told which is its own', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using collector = await startCollector();
  await using tracing = await openTracing(readTracing(sentTo(collector)), SILENT);
  const model = handModel();
  const told: string[] = [];
  const search = ownTool('document_search', (_input, _signal, traceparent) => {
    told.push(traceparent);
    return Promise.resolve(MARKER);
  });
  const fetch = ownTool('web_fetch', () => Promise.reject(new ToolFailure(MARKER)));
  await using _worker = runWorker(adapter, model, {
    tools: [search, fetch],
    tracer: tracing.tracer,
  });
  const chat = await startWithTools(adapter, ['document_search', 'web_fetch']);
  const input = JSON.stringify({ of: MARKER });
  callThem(await model.nextCall(), {
    a: ['document_search', input],
    b: ['web_fetch', input],
    // None of these is a call that was made.
    c: ['web_fetch', '{}'],
    d: 'database_query',
  });
  (await model.nextCall()).finish();
  await untilOver(adapter.log, chat);
  await collector.span('of the run', ({ name }) => name === 'chat run');
  const spans = about(collector, chat.streamId);
  const attempt = one(spans, 'chat run');
  const common = { ...attempt.attributes };
  for (const own of ['tailrace.outcome', 'gen_ai.request.model']) delete common[own];
  assert.equal(common['tailrace.correlation_id'], 'trace');
  const tools = spans.filter(({ name }) => name.startsWith('execute_tool')).toSorted(byName);
  const fields = (name: string, id: string): Record<string, unknown> => ({
    ...common,
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': name,
    'gen_ai.tool.call.id': id,
  });
  assert.deepEqual(
    tools.map(({ name, kind, failed, attributes }) => ({ name, kind, failed, attributes })),
    [
      {
        name: 'execute_tool document_search',
        kind: INTERNAL,
        failed: false,
        attributes: fields('document_search', 'a'),
      },
      {
        name: 'execute_tool web_fetch',
        kind: INTERNAL,
        failed: true,
        attributes: { ...fields('web_fetch', 'b'), 'error.type': 'TOOL_FAILURE' },
      },
    ],
  );
  for (const { parentSpanId, traceId } of tools) {
    assert.deepEqual([parentSpanId, traceId], [attempt.spanId, attempt.traceId]);
  }
  assert.deepEqual(told, [`00-${attempt.traceId}-${tools[0]?.spanId}-01`]);
  assert.ok(!collector.bodies.some((body) => body.includes(MARKER)));
});

test('a process that runs a chat apart sends its spans too', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using model = await startModelServer();
  await using collector = await startCollector();
  const chat = await startChat(adapter, { text: scripted({}) });
  for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt++) {
    await claimedWriter(adapter.log, chat, { owner: `dead-${attempt}` });
  }
  await using worker = await startTailraceProcess({
    ...sentTo(collector),
    TAILRACE_NATS_URL: natsUrl(nats.access),
    TAILRACE_ROLES: 'worker',
    OPENAI_BASE_URL: model.url,
  });
  const attempt = await collector.span('of the run', ({ name }) => name === 'chat run');
  assert.equal(attempt.attributes['tailrace.stream_id'], chat.streamId);
  assert.equal(attempt.attributes['tailrace.attempt'], MAX_ATTEMPTS);
  assert.ok(worker.children().includes(Number(attempt.resource['process.pid'])));
});

test('a collector that hangs holds up no chat and no stop', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  await using collector = await startCollector({ hangs: true });
  await using tailrace = await startTailraceProcess({
    ...sentTo(collector),
    // The bound is the stop's own, not that of the request.
    OTEL_EXPORTER_OTLP_TIMEOUT: '600000',
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
  });
  const client = grpcClient(tailrace.url);
  assert.equal((await run(client, 'first', {})).status, ChatStreamStatus.COMPLETED);
  await until('an export to hang', () => collector.held() > 0);
  assert.equal((await run(client, 'second', {})).status, ChatStreamStatus.COMPLETED);
  assert.deepEqual(await tailrace.stop(), { code: 0, signal: null });
  assert.ok(tailrace.log.some((line) => line.includes('"stopped"')));
});

test('a collector that is away costs one line of the log, and the spans', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  const gone = await startCollector();
  await gone[Symbol.asyncDispose]();
  await using tailrace = await startTailraceProcess({
    ...sentTo(gone),
    OTEL_EXPORTER_OTLP_TIMEOUT: '50',
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
  });
  const client = grpcClient(tailrace.url);
  const said = 'the collector of traces does not take spans';
  assert.equal((await run(client, 'first', {})).status, ChatStreamStatus.COMPLETED);
  await tailrace.logged(said);
  assert.equal((await run(client, 'second', {})).status, ChatStreamStatus.COMPLETED);
  assert.equal((await tailrace.stop()).code, 0);
  assert.equal(tailrace.log.filter((line) => line.includes(said)).length, 1);
});

test('without a collector nothing of OpenTelemetry is loaded; with one, and no protocol named, spans go as protobuf', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  await using collector = await startCollector();
  const hook = pathToFileURL(join(import.meta.dirname, '../support/tell-imports.ts')).href;
  const loadedWith = async (env: Readonly<Record<string, string>>): Promise<boolean> => {
    await using tailrace = await startTailraceProcess({
      ...env,
      NODE_OPTIONS: `--import=${hook}`,
      TAILRACE_DATA_DIR: folder.path,
      OPENAI_BASE_URL: model.url,
    });
    const id = `chat-${Object.keys(env).length}`;
    const { status } = await run(grpcClient(tailrace.url), id, {});
    assert.equal(status, ChatStreamStatus.COMPLETED);
    assert.equal((await tailrace.stop()).code, 0);
    return tailrace.log.some((line) => line.startsWith('loaded '));
  };
  assert.equal(await loadedWith({}), false);
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
  assert.equal(await loadedWith({ ...endpoint, OTEL_SDK_DISABLED: 'true' }), false);
  assert.equal(collector.bodies.length, 0);
  assert.equal(await loadedWith(endpoint), true);
  assert.deepEqual([...collector.contentTypes], ['application/x-protobuf']);
  assert.ok(collector.bodies.some((body) => body.includes('chat run')));
});

function byName(a: SeenSpan, b: SeenSpan): number {
  return a.name.localeCompare(b.name);
}
