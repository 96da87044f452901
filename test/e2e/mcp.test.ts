// MCP servers as a chat has them: the reference server for real, and servers written by hand that do as they
// like. What any of them does is told to the model or to the observers, and never ends a run.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { toJsonString } from '@bufbuild/protobuf';
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { ChatRequestSchema, McpServerSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { BlockKind, EventSchema, WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import {
  MAX_MCP_ANSWER_BYTES,
  MAX_MCP_TOOLS,
  MAX_TOOL_RESULT_CHARS,
} from '../../src/chat/limits.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { type EverythingServer, startEverything } from '../support/everything-server.ts';
import {
  anyTool,
  type McpAsk,
  type Reply,
  startMcpServer,
  textResult,
} from '../support/mcp-server.ts';
import { startModernMcpServer } from '../support/modern-mcp-server.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { until } from '../support/until.ts';
import { startTestTailrace, type TestTailrace } from '../support/tailrace.ts';
import { type Watch, watchToEnd } from '../support/watch-chat.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

type Request = MessageInitShape<typeof ChatRequestSchema>;
type Server = MessageInitShape<typeof McpServerSchema>;

let nats: TestNats;
let model: ModelServer;
let tailrace: TestTailrace;
let client: ChatClient;
let everything: EverythingServer;

before(async () => {
  nats = await startNats();
  model = await startModelServer();
  everything = await startEverything('streamableHttp');
  tailrace = await startTestTailrace(nats.access, {
    OPENAI_BASE_URL: model.url,
    TAILRACE_FETCH_ALLOW: '127.0.0.1',
    TAILRACE_SEAL_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  });
  client = grpcClient(tailrace.url);
});

after(async () => {
  await tailrace[Symbol.asyncDispose]();
  await everything[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

/** Each chat's calls of the model are told apart by the id of its script. */
let started = 0;

async function start(
  script: ScriptInput,
  mcpServers: readonly Server[],
  more: Request = {},
): Promise<string> {
  const content = [
    { block: { case: 'text', value: scripted({ ...script, id: `chat ${++started}.` }) } },
  ] as const;
  const messages = [{ role: Role.USER, content: [...content] }];
  const { streamId } = await client.initiateChatStream({
    request: { messages, mcpServers: [...mcpServers], ...more } as Request,
  });
  return streamId;
}

/** The model calls these, side by side, and then says that it is done. */
function calling(...calls: readonly (readonly [name: string, input?: string])[]): ScriptInput {
  return {
    text: [],
    calls: calls.map(([name, input = '{}'], i) => ({ id: `call_${i}`, name, input })),
    rounds: [{ text: ['done'] }],
  };
}

interface Told {
  readonly text: string;
  readonly isError: boolean;
}

/** What the log has as results, in the order of the calls. */
function resultsIn(events: readonly Event[]): Told[] {
  const found = new Map<string, Told>();
  for (const { payload } of events) {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    if (block?.case !== 'toolResult') continue;
    const [first] = block.value.content;
    const text = first?.block.case === 'text' ? first.block.value : '';
    found.set(block.value.toolUseId, { text, isError: block.value.isError === true });
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, told]) => told);
}

function warningsIn(events: readonly Event[]): { reason: WarningReason; message: string }[] {
  return events.flatMap(({ payload }) =>
    payload.case === 'warning'
      ? [{ reason: payload.value.reason, message: payload.value.message }]
      : [],
  );
}

interface Asked {
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly tool_choice?: unknown;
}

/** What the model server was asked for the chat that was started last: its first turn, its second one. */
async function modelAsked(turn: number): Promise<Asked> {
  const id = `chat ${started}.`;
  const request = await until(`turn ${turn} of ${id}`, () => {
    const own = model.requests.filter(({ body }) => JSON.stringify(body).includes(id));
    return own[turn - 1];
  });
  return request.body as Asked;
}

async function toolsToldOf(turn = 1): Promise<readonly string[]> {
  const { tools = [] } = await modelAsked(turn);
  return tools.map((tool) => tool.function.name);
}

async function runToEnd(script: ScriptInput, servers: readonly Server[]): Promise<Watch> {
  const watch = await watchToEnd(client, await start(script, servers));
  assert.equal(watch.end().status, ChatStreamStatus.COMPLETED, 'no server ends a run');
  return watch;
}

test('a tool of the reference server is called, and its result is in the log and with the model', async () => {
  const script = calling(
    ['every__echo', '{"message":"water"}'],
    ['every__get-sum', '{"a":2,"b":3}'],
  );
  const streamId = await start(script, [{ name: 'every', url: everything.url }]);
  const told = await toolsToldOf();
  assert.ok(told.includes('every__echo') && told.includes('every__trigger-long-running-operation'));
  const watch = await watchToEnd(client, streamId);
  assert.deepEqual(resultsIn(watch.events), [
    { text: 'Echo: water', isError: false },
    { text: 'The sum of 2 and 3 is 5.', isError: false },
  ]);
  assert.match(JSON.stringify(await modelAsked(2)), /Echo: water/);
  assert.equal(watch.text(), 'done');
  const calls = watch.events.flatMap(({ payload }) =>
    payload.case === 'blockStarted' && payload.value.kind === BlockKind.SERVER_TOOL_USE
      ? [[payload.value.name, payload.value.server]]
      : [],
  );
  assert.deepEqual(calls, [
    ['every__echo', 'every'],
    ['every__get-sum', 'every'],
  ]);
  const { chatStream } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
  const servers = chatStream?.output.flatMap(({ block }) =>
    block.case === 'toolUse' ? [block.value.server] : [],
  );
  assert.deepEqual(servers, ['every', 'every']);
  assert.deepEqual(warningsIn(watch.events), []);
});

test('structured content reaches the model as JSON, and an image as a note of what it was', async () => {
  const script = calling(
    ['every__get-structured-content', '{"location":"Chicago"}'],
    ['every__get-tiny-image'],
    ['every__get-resource-links', '{"count":1}'],
  );
  const watch = await runToEnd(script, [{ name: 'every', url: everything.url }]);
  const [structured, image, link] = resultsIn(watch.events);
  assert.deepEqual(JSON.parse(structured?.text ?? ''), {
    temperature: 36,
    conditions: 'Light rain / drizzle',
    humidity: 82,
  });
  assert.match(
    image?.text ?? '',
    /\[An image, image\/png, \d+ bytes, which cannot be shown here\.\]/,
  );
  assert.match(link?.text ?? '', /\[A link to the resource /);
});

test('a long-running tool that tells its progress is waited for', async () => {
  const script = calling(['every__trigger-long-running-operation', '{"duration":0.5,"steps":5}']);
  const watch = await runToEnd(script, [{ name: 'every', url: everything.url }]);
  assert.deepEqual(resultsIn(watch.events), [
    { text: 'Long running operation completed. Duration: 0.5 seconds, Steps: 5.', isError: false },
  ]);
});

test('a server that knows SSE alone is used by SSE', async () => {
  await using older = await startEverything('sse');
  const script = calling(['older__echo', '{"message":"by SSE"}']);
  const watch = await runToEnd(script, [{ name: 'older', url: older.url }]);
  assert.deepEqual(resultsIn(watch.events), [{ text: 'Echo: by SSE', isError: false }]);
});

test('a run has one session with a server, with the headers and the token on each request, and ends it', async () => {
  await using server = await startMcpServer(({ method }) => {
    if (method === 'tools/list') return { result: { tools: [anyTool('look'), anyTool('other')] } };
    return method === 'tools/call' ? textResult('seen') : undefined;
  });
  const script: ScriptInput = {
    ...calling(['s__look'], ['s__look']),
    rounds: [calling(['s__look']), { text: ['done'] }],
  };
  const headers = { 'X-Key': 'of-the-caller' };
  const streamId = await start(script, [
    { name: 's', url: server.url, headers, bearerToken: 'a-token-of-it', allowedTools: ['look'] },
  ]);
  assert.deepEqual(await toolsToldOf(), ['s__look']);
  const watch = await watchToEnd(client, streamId);
  assert.equal(resultsIn(watch.events).length, 3);
  const ended = await server.asked('the end of the session', ({ verb }) => verb === 'DELETE');
  assert.equal(ended.headers['mcp-session-id'], 'session-1');
  const of = (wanted: string): McpAsk[] => server.asks.filter(({ method }) => method === wanted);
  assert.equal(of('initialize').length, 1);
  assert.equal(of('tools/list').length, 1);
  assert.equal(of('tools/call').length, 3);
  for (const { params } of of('tools/call')) {
    const { traceparent } = params['_meta'] as { traceparent?: string };
    assert.match(traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  }
  for (const ask of server.asks) {
    assert.equal(ask.headers['x-key'], 'of-the-caller');
    assert.equal(ask.headers.authorization, 'Bearer a-token-of-it');
  }
});

test('tools that a server says have changed are listed again before the next turn', async () => {
  let tools = [anyTool('grow')];
  await using server = await startMcpServer(({ method }) => {
    if (method === 'tools/list') return { result: { tools } };
    return method === 'tools/call' ? 'silence' : undefined;
  });
  const script = calling(['s__grow']);
  const streamId = await start(script, [{ name: 's', url: server.url, timeout: { seconds: 1n } }]);
  assert.deepEqual(await toolsToldOf(), ['s__grow']);
  await server.asked('a call', ({ method }) => method === 'tools/call');
  tools = [anyTool('grow'), anyTool('grown')];
  await server.notify('notifications/tools/list_changed');
  assert.deepEqual(await toolsToldOf(2), ['s__grow', 's__grown']);
  await watchToEnd(client, streamId);
});

test('a server that has forgotten its session, as after a restart, is given another, and asked again', async () => {
  let sessions = 0;
  await using server = await startMcpServer(({ method, headers, id }) => {
    const session = headers['mcp-session-id'];
    if (method === 'tools/list') return { result: { tools: [anyTool('look')] } };
    // Both calls come with the first one, which is known no more.
    if (method === 'tools/call' && session === 'session 1') {
      return { raw: (response) => void response.writeHead(404).end() };
    }
    if (method === 'tools/call') return textResult(`seen in ${String(session)}`);
    if (method !== 'initialize') return undefined;
    const result = {
      protocolVersion: '2025-06-18',
      capabilities: { tools: {} },
      serverInfo: { name: 'forgetful', version: '1' },
    };
    return {
      raw: (response) => {
        const sessionId = `session ${++sessions}`;
        response.writeHead(200, {
          'content-type': 'application/json',
          'mcp-session-id': sessionId,
        });
        response.end(JSON.stringify({ jsonrpc: '2.0', id, result }));
      },
    };
  });
  const watch = await runToEnd(calling(['s__look'], ['s__look']), [{ name: 's', url: server.url }]);
  const seen = { text: 'seen in session 2', isError: false };
  assert.deepEqual(resultsIn(watch.events), [seen, seen]);
  assert.equal(sessions, 2);
});

test('a server of the revision of 2026-07-28 is used by that: calls, changed tools, a cancel, and no input asked for', async () => {
  let grown = false;
  const called = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const any = { inputSchema: z.object({}) };
  await using server = await startModernMcpServer(() => {
    const mcp = new McpServer(
      { name: 'modern', version: '1' },
      { capabilities: { tools: { listChanged: true } } },
    );
    const said = (text: string) => ({ content: [{ type: 'text' as const, text }] });
    mcp.registerTool('grow', any, () => {
      grown = true;
      server.toolsChanged();
      return said('grown');
    });
    mcp.registerTool('ask', any, () =>
      inputRequired({
        inputRequests: {
          sure: inputRequired.elicit({
            message: 'Sure?',
            requestedSchema: z.object({ sure: z.boolean() }),
          }),
        },
      }),
    );
    if (!grown) return mcp;
    mcp.registerTool('wait', any, async (_input, { mcpReq }) => {
      called.resolve();
      await new Promise((resolve) => mcpReq.signal.addEventListener('abort', resolve));
      left.resolve();
      return said('never heard');
    });
    return mcp;
  });
  const script: ScriptInput = {
    ...calling(['s__grow'], ['s__ask']),
    rounds: [calling(['s__wait'])],
  };
  const streamId = await start(script, [{ name: 's', url: server.url }]);
  assert.deepEqual(await toolsToldOf(), ['s__grow', 's__ask']);
  assert.deepEqual(await toolsToldOf(2), ['s__grow', 's__ask', 's__wait']);
  await called.promise;
  await client.cancelChatStream({ streamId });
  await left.promise;
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.CANCELLED);
  const [grew, asked] = resultsIn(watch.events);
  assert.deepEqual(grew, { text: 'grown', isError: false });
  assert.match(asked?.text ?? '', /Cannot request input/);
});

test('law 8: a cancel is sent on to the server, before its session is ended', async () => {
  await using server = await startMcpServer(({ method }) => {
    if (method === 'tools/list') return { result: { tools: [anyTool('wait')] } };
    return method === 'tools/call' ? 'silence' : undefined;
  });
  const streamId = await start(calling(['s__wait']), [{ name: 's', url: server.url }]);
  const call = await server.asked('a call', ({ method }) => method === 'tools/call');
  await client.cancelChatStream({ streamId });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.CANCELLED);
  const cancelled = await server.asked(
    'a cancel',
    ({ method }) => method === 'notifications/cancelled',
  );
  assert.equal(cancelled.params['requestId'], call.id);
  const ended = await server.asked('the end', ({ verb }) => verb === 'DELETE');
  assert.ok(server.asks.indexOf(cancelled) < server.asks.indexOf(ended));
});

test('law 8: a cancel while a server is connected to, or lists its tools, ends the chat at once, without a model', async () => {
  for (const silent of ['initialize', 'tools/list']) {
    await using server = await startMcpServer(({ method }) =>
      method === silent ? 'silence' : undefined,
    );
    const before = model.requests.length;
    const streamId = await start({ text: ['done'] }, [
      { name: 's', url: server.url, required: true },
    ]);
    await server.asked(silent, ({ method }) => method === silent);
    const { chatStream } = await client.cancelChatStream({ streamId });
    assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED, silent);
    const watch = await watchToEnd(client, streamId);
    assert.deepEqual(warningsIn(watch.events), []);
    assert.equal(model.requests.length, before);
  }
});

test('a token by client credentials is got once, and anew where the server refuses it', async () => {
  let given = 0;
  await using server = await startMcpServer(({ path, method, headers }) => {
    if (path === '/token') {
      const token = { access_token: `access-token-${++given}`, token_type: 'Bearer' };
      return { raw: (response) => void response.end(JSON.stringify(token)) };
    }
    // The first one has been withdrawn by the time of the call.
    if (method === 'tools/call' && headers.authorization !== 'Bearer access-token-2') {
      return { raw: (response) => void response.writeHead(401).end() };
    }
    if (method === 'tools/list') return { result: { tools: [anyTool('look')] } };
    return method === 'tools/call' ? textResult('seen') : undefined;
  });
  const oauthClientCredentials = {
    tokenUrl: `${server.origin}/token`,
    clientId: 'me:1',
    clientSecret: 'the secret of it',
    scopes: ['read', 'write'],
  };
  const watch = await runToEnd(calling(['s__look']), [
    { name: 's', url: server.url, oauthClientCredentials },
  ]);
  assert.deepEqual(resultsIn(watch.events), [{ text: 'seen', isError: false }]);
  const tokens = server.asks.filter(({ path }) => path === '/token');
  assert.equal(tokens.length, 2);
  const basic = String(tokens[0]?.headers.authorization).replace('Basic ', '');
  assert.equal(Buffer.from(basic, 'base64').toString(), 'me%3A1:the+secret+of+it');
});

const html: Reply = { raw: (response) => void response.end('<html>not here</html>') };
const BROKEN: readonly (readonly [what: string, answer: (ask: McpAsk) => Reply, says: RegExp])[] = [
  ['that never answers', () => 'silence', /it did not answer in time/],
  [
    'that answers 500',
    () => ({ raw: (response) => void response.writeHead(500).end('inner words') }),
    /it answered with status 500/,
  ],
  [
    'that refuses the credentials',
    () => ({ raw: (response) => void response.writeHead(401).end() }),
    /it refuses the credentials/,
  ],
  [
    'that redirects to a private address',
    () => ({
      raw: (response) =>
        void response.writeHead(307, { location: 'http://169.254.169.254/latest/' }).end(),
    }),
    /it redirects to another address \(status 307\)/,
  ],
  [
    'that answers with wrong JSON',
    () => ({
      raw: (response) =>
        void response.writeHead(200, { 'content-type': 'application/json' }).end('{"jsonrpc":'),
    }),
    /it answered with what is no MCP/,
  ],
  ['that is a page of the web', () => html, /it answered with what is no MCP/],
  [
    'that answers without end',
    () => ({
      raw: (response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`"${'x'.repeat(MAX_MCP_ANSWER_BYTES)}"`);
      },
    }),
    /it answered with more than \d+ bytes/,
  ],
  [
    'that closes the connection',
    () => ({ raw: (response) => void response.socket?.destroy() }),
    /it cannot be reached/,
  ],
];

for (const [what, answer, says] of BROKEN) {
  test(`a server ${what} is a warning, and the chat goes on without its tools`, async () => {
    await using server = await startMcpServer(answer);
    const timeout = { seconds: 0n, nanos: 500_000_000 };
    const servers = [
      { name: 'every', url: everything.url },
      { name: 'broken', url: server.url, timeout },
    ];
    const watch = await runToEnd(calling(['every__echo', '{"message":"still"}']), servers);
    assert.deepEqual(resultsIn(watch.events), [{ text: 'Echo: still', isError: false }]);
    const [warning, ...more] = warningsIn(watch.events);
    assert.deepEqual(more, []);
    assert.equal(warning?.reason, WarningReason.MCP_SERVER_UNAVAILABLE);
    assert.match(warning.message, /^The MCP server "broken" cannot be used: /);
    assert.match(warning.message, says);
    assert.doesNotMatch(warning.message, /inner words|169\.254/);
  });
}

test('a server at an address that is neither public nor allowed is not asked', async () => {
  await using server = await startMcpServer(() => undefined);
  const { port } = new URL(server.url);
  for (const host of ['127.0.0.2', '[::1]', '0.0.0.0', '[::ffff:10.0.0.1]', 'localhost.invalid']) {
    const watch = await runToEnd({ text: ['done'] }, [
      { name: 'inner', url: `http://${host}:${port}/mcp` },
    ]);
    assert.match(warningsIn(watch.events)[0]?.message ?? '', /may not be fetched/, host);
  }
  assert.deepEqual(server.asks, []);
});

test('a required server that cannot be used ends the chat as FAILED, and no model is asked', async () => {
  const before = model.requests.length;
  await using server = await startMcpServer(() => html);
  const streamId = await start({ text: ['done'] }, [
    { name: 'needed', url: server.url, required: true },
  ]);
  const watch = await watchToEnd(client, streamId);
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.FAILED);
  assert.equal(end.failure?.reason, FailureReason.MCP_SERVER_UNAVAILABLE);
  assert.match(end.failure?.message ?? '', /"needed" cannot be used: .* it is required/);
  assert.equal(model.requests.length, before);
});

test('what a call comes to is told to the model and never ends the run', async () => {
  const replies: Readonly<Record<string, Reply>> = {
    silent: 'silence',
    broken: { raw: (response) => void response.writeHead(500).end('inner words') },
    refusing: { error: { code: -32602, message: 'No such river.' } },
    failing: textResult('The river is dry.', true),
    giant: textResult('x'.repeat(MAX_TOOL_RESULT_CHARS + 1)),
    endless: textResult('x'.repeat(MAX_MCP_ANSWER_BYTES)),
    wrong: { result: { content: 'no list' } },
  };
  await using server = await startMcpServer(({ method, params }) => {
    if (method === 'tools/list') {
      return { result: { tools: Object.keys(replies).map((name) => anyTool(name)) } };
    }
    return method === 'tools/call' ? replies[String(params['name'])] : undefined;
  });
  const timeout = { seconds: 1n };
  const names = Object.keys(replies).map((name) => [`s__${name}`] as const);
  const watch = await runToEnd(calling(...names), [{ name: 's', url: server.url, timeout }]);
  const says = resultsIn(watch.events).map(({ text, isError }) => `${isError}: ${text}`);
  const wanted = [
    /^true: .*did not answer (?:within 1 s|in time)/,
    /^true: The call failed: the MCP server "s" answered with status 500\.$/,
    /^true: The call failed: the MCP server "s" says: .*No such river\./,
    /^true: The river is dry\.$/,
    /^false: x+\n\[Cut off here: /,
    /^true: The call failed: the MCP server "s" answered with more than \d+ bytes\.$/,
    /^true: The call failed: the MCP server "s" answered with what is no MCP\.$/,
  ];
  assert.equal(says.length, wanted.length);
  for (const [i, pattern] of wanted.entries()) assert.match(says[i] ?? '', pattern);
});

test('tools that cannot be taken are left out with a warning: too many, schemas that are wrong or too large', async () => {
  const schema = (inputSchema: object) => ({ inputSchema: { type: 'object', ...inputSchema } });
  const large = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`p${i}`, true]));
  const tools = [
    anyTool('circular', schema({ properties: { a: { $ref: 'https://x.example.com/' } } })),
    anyTool('large', schema({ properties: large })),
    anyTool('slow', schema({ properties: { a: { type: 'string', pattern: '(?=a)b' } } })),
    ...Array.from({ length: MAX_MCP_TOOLS + 2 }, (_, i) => anyTool(`tool ${i}`)),
  ];
  await using server = await startMcpServer(({ method }) =>
    method === 'tools/list' ? { result: { tools } } : undefined,
  );
  const streamId = await start({ text: ['done'] }, [
    { name: 's', url: server.url, allowedTools: [] },
  ]);
  const told = await toolsToldOf();
  assert.equal(told.length, MAX_MCP_TOOLS);
  assert.equal(new Set(told).size, MAX_MCP_TOOLS);
  for (const name of told) assert.match(name, /^s__tool_\d+_[0-9a-f]{8}$/);
  const watch = await watchToEnd(client, streamId);
  const [warning, ...more] = warningsIn(watch.events);
  assert.deepEqual(more, []);
  assert.equal(warning?.reason, WarningReason.MCP_TOOL_LEFT_OUT);
  assert.match(warning.message, /"circular", which has an input schema that at \/properties\/a/);
  assert.match(
    warning.message,
    /"large", which .* 1000 JSON values; "slow", which .*; and 2 more\.$/,
  );
});

test('what is nested a hundred thousand levels deep is left out, or told in a note', async () => {
  const deep = (open: string, close: string): string =>
    open.repeat(100_000) + close.repeat(100_000);
  const raw = (id: unknown, result: string): Reply => ({
    raw: (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`);
    },
  });
  await using server = await startMcpServer(({ method, id }) => {
    if (method === 'tools/list') {
      const schema = `{"type":"object","x-deep":${deep('[', ']')}}`;
      return raw(
        id,
        `{"tools":[${JSON.stringify(anyTool('flat'))},{"name":"deep","inputSchema":${schema}}]}`,
      );
    }
    if (method !== 'tools/call') return undefined;
    return raw(id, `{"content":[],"structuredContent":{"a":${deep('[', ']')}}}`);
  });
  const watch = await runToEnd(calling(['s__flat']), [{ name: 's', url: server.url }]);
  const [warning] = warningsIn(watch.events);
  const [told] = resultsIn(watch.events);
  assert.match(`${warning?.message} ${told?.text}`, /nested too deeply/);
});

test('a worker that stops hands the chat back and ends its sessions', async () => {
  await using own = await startNats();
  await using server = await startMcpServer(({ method }) => {
    if (method === 'tools/list') return { result: { tools: [anyTool('wait')] } };
    return method === 'tools/call' ? 'silence' : undefined;
  });
  const stopping = await startTestTailrace(own.access, {
    OPENAI_BASE_URL: model.url,
    TAILRACE_FETCH_ALLOW: '127.0.0.1',
  });
  const text = { block: { case: 'text', value: scripted(calling(['s__wait'])) } } as const;
  await grpcClient(stopping.url).initiateChatStream({
    request: {
      messages: [{ role: Role.USER, content: [text] }],
      mcpServers: [{ name: 's', url: server.url }],
    },
  });
  await server.asked('a call', ({ method }) => method === 'tools/call');
  await stopping[Symbol.asyncDispose]();
  assert.ok(server.asks.some(({ verb }) => verb === 'DELETE'));
});

test('tool_choice is let go where every server is away, since there is nothing to choose', async () => {
  await using server = await startMcpServer(() => html);
  const streamId = await start({ text: ['done'] }, [{ name: 'broken', url: server.url }], {
    toolChoice: { mode: 2 },
  });
  const asked = await modelAsked(1);
  assert.deepEqual([asked.tools, asked.tool_choice], [undefined, undefined]);
  const watch = await watchToEnd(client, streamId);
  const end = watch.events.at(-1)?.payload;
  assert.equal(end?.case === 'completed' && end.value.stopReason, StopReason.END_TURN);
});

test('what a server was given in confidence is in no event, log line or result, though the server repeats it', async () => {
  const secrets = ['planted-in-a-header', 'planted-as-a-token', 'planted-as-a-secret'];
  const echo = (ask: McpAsk): string =>
    `${String(ask.headers['x-key'])} ${String(ask.headers.authorization)}`;
  await using server = await startMcpServer((ask) => {
    const { method, path, params } = ask;
    if (path === '/token') {
      const said = { error: 'invalid_client', error_description: 'planted-as-a-secret' };
      return { raw: (response) => void response.writeHead(400).end(JSON.stringify(said)) };
    }
    if (path === '/broken') {
      return { raw: (response) => void response.writeHead(500, echo(ask)).end(echo(ask)) };
    }
    if (method === 'tools/list') {
      return {
        result: {
          tools: [
            anyTool('tell'),
            anyTool('fail'),
            anyTool(echo(ask), { inputSchema: { type: 'object', $ref: echo(ask) } }),
          ],
        },
      };
    }
    if (method !== 'tools/call') return undefined;
    return params['name'] === 'tell'
      ? textResult(echo(ask))
      : { error: { code: -32000, message: echo(ask) } };
  });
  const [key = '', bearerToken = '', clientSecret = ''] = secrets;
  const headers = { 'X-Key': key };
  const oauthClientCredentials = {
    tokenUrl: `${server.origin}/token`,
    clientId: 'me',
    clientSecret,
  };
  const watch = await runToEnd(calling(['s__tell'], ['s__fail']), [
    { name: 's', url: server.url, headers, bearerToken },
    { name: 'broken', url: `${server.origin}/broken`, headers, bearerToken },
    { name: 'oauth', url: server.url, oauthClientCredentials },
  ]);
  assert.deepEqual(resultsIn(watch.events)[0], {
    text: '[redacted] Bearer [redacted]',
    isError: false,
  });
  assert.equal(warningsIn(watch.events).length, 3);
  const places = [
    ...watch.events.map((event) => toJsonString(EventSchema, event)),
    ...tailrace.logger.lines.map((line) => inspected(line)),
  ];
  for (const secret of secrets) {
    assert.deepEqual(
      places.filter((place) => place.includes(secret)),
      [],
    );
  }
});

function inspected(value: unknown): string {
  return inspect(value, { depth: 20 });
}
