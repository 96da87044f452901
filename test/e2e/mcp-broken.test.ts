// MCP servers that are away, broken or hostile: what any of them does is told to the model or to the observers, and
// never ends a run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatStreamStatus,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import {
  MAX_MCP_ANSWER_BYTES,
  MAX_MCP_TOOLS,
  MAX_TOOL_RESULT_CHARS,
} from '../../src/chat/limits.ts';
import { startEverything } from '../support/servers/everything-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { calling, startMcpChats, warningsIn } from '../support/chats/mcp-chats.ts';
import {
  anyTool,
  type McpAsk,
  type Reply,
  startMcpServer,
  textResult,
} from '../support/servers/mcp-server.ts';
import { resultsIn } from '../support/chats/tool-calls.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const chats = await forAllTests(startMcpChats());
const everything = await forAllTests(startEverything('streamableHttp'));

test('law 8: a cancel while a server is connected to, or lists its tools, ends the chat at once, without a model', async () => {
  for (const silent of ['initialize', 'tools/list']) {
    await using server = await startMcpServer(({ method }) =>
      method === silent ? 'silence' : undefined,
    );
    const before = chats.model.requests.length;
    const streamId = await chats.start({ text: ['done'] }, [
      { name: 's', url: server.url, required: true },
    ]);
    await server.asked(silent, ({ method }) => method === silent);
    const { chatStream } = await chats.client.cancelChatStream({ streamId });
    assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED, silent);
    const watch = await watchToEnd(chats.client, streamId);
    assert.deepEqual(warningsIn(watch.events), []);
    assert.equal(chats.model.requests.length, before);
  }
});

const silence = (): Reply => 'silence';
const html: Reply = { raw: (response) => void response.end('<html>not here</html>') };
const BROKEN: readonly (readonly [what: string, answer: (ask: McpAsk) => Reply, says: RegExp])[] = [
  ['that never answers', silence, /it did not answer in time/],
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
    // Who answers has its time, on a slow machine too.
    const timeout = answer === silence ? { seconds: 0n, nanos: 500_000_000 } : undefined;
    const servers = [
      { name: 'every', url: everything.url },
      { name: 'broken', url: server.url, ...(timeout === undefined ? {} : { timeout }) },
    ];
    const watch = await chats.runToEnd(calling(['every__echo', '{"message":"still"}']), servers);
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
    const watch = await chats.runToEnd({ text: ['done'] }, [
      { name: 'inner', url: `http://${host}:${port}/mcp` },
    ]);
    assert.match(warningsIn(watch.events)[0]?.message ?? '', /may not be fetched/, host);
  }
  assert.deepEqual(server.asks, []);
});

test('a required server that cannot be used ends the chat as FAILED, and no model is asked', async () => {
  const before = chats.model.requests.length;
  await using server = await startMcpServer(() => html);
  const streamId = await chats.start({ text: ['done'] }, [
    { name: 'needed', url: server.url, required: true },
  ]);
  const watch = await watchToEnd(chats.client, streamId);
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.FAILED);
  assert.equal(end.failure?.reason, FailureReason.MCP_SERVER_UNAVAILABLE);
  assert.match(end.failure?.message ?? '', /"needed" cannot be used: .* it is required/);
  assert.equal(chats.model.requests.length, before);
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
  // Whose call is answered is given the usual time.
  const names = Object.keys(replies).map(
    (name) => [name === 'silent' ? 'q__silent' : `s__${name}`] as const,
  );
  const watch = await chats.runToEnd(calling(...names), [
    { name: 's', url: server.url },
    { name: 'q', url: server.url, timeout: { seconds: 3n } },
  ]);
  const says = resultsIn(watch.events).map(({ text, isError }) => `${isError}: ${text}`);
  const wanted = [
    /^true: .*did not answer (?:within 3 s|in time)/,
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
  const streamId = await chats.start({ text: ['done'] }, [
    { name: 's', url: server.url, allowedTools: [] },
  ]);
  const told = await chats.toolsToldOf();
  assert.equal(told.length, MAX_MCP_TOOLS);
  assert.equal(new Set(told).size, MAX_MCP_TOOLS);
  for (const name of told) assert.match(name, /^s__tool_\d+_[0-9a-f]{8}$/);
  const watch = await watchToEnd(chats.client, streamId);
  const [warning, ...more] = warningsIn(watch.events);
  assert.deepEqual(more, []);
  assert.equal(warning?.reason, WarningReason.MCP_TOOL_LEFT_OUT);
  assert.match(warning.message, /"circular", which has an input schema that at \/properties\/a/);
  assert.match(
    warning.message,
    /"large", which .* 1000 JSON values; "slow", which .*; and 2 more\.$/,
  );
});

test('a tool that is listed again is left out: model servers refuse two of one name', async () => {
  const tools = [anyTool('look'), anyTool('look'), anyTool('find'), anyTool('look')];
  await using server = await startMcpServer(({ method }) =>
    method === 'tools/list' ? { result: { tools } } : undefined,
  );
  const watch = await chats.runToEnd({ text: ['done'] }, [{ name: 's', url: server.url }]);
  assert.deepEqual(await chats.toolsToldOf(), ['s__look', 's__find']);
  const [warning] = warningsIn(watch.events);
  assert.equal(warning?.reason, WarningReason.MCP_TOOL_LEFT_OUT);
  assert.match(warning.message, /"look", which it lists twice/);
});

test('a server that lists a page at a time without end has the time of one list', async () => {
  await using server = await startMcpServer(({ method, id }) =>
    method === 'tools/list'
      ? {
          raw: (response) => {
            const result = { tools: [], nextCursor: 'more' };
            const answer = JSON.stringify({ jsonrpc: '2.0', id, result });
            response.writeHead(200, { 'content-type': 'application/json' });
            setTimeout(() => response.end(answer), 100).unref();
          },
        }
      : undefined,
  );
  const timeout = { seconds: 0n, nanos: 800_000_000 };
  const watch = await chats.runToEnd({ text: ['done'] }, [{ name: 's', url: server.url, timeout }]);
  const [warning] = warningsIn(watch.events);
  assert.match(warning?.message ?? '', /cannot be used: it did not answer in time/);
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
  const watch = await chats.runToEnd(calling(['s__flat']), [{ name: 's', url: server.url }]);
  const [warning] = warningsIn(watch.events);
  const [told] = resultsIn(watch.events);
  assert.match(`${warning?.message} ${told?.text}`, /nested too deeply/);
});

test('a call while every server is away is an error result, and ends no run', async () => {
  await using server = await startMcpServer(() => html);
  const watch = await chats.runToEnd(calling(['broken__look']), [
    { name: 'broken', url: server.url },
  ]);
  assert.deepEqual(resultsIn(watch.events), [
    { text: 'There is no tool "broken__look", nor any other in this chat.', isError: true },
  ]);
});

test('tool_choice is let go where every server is away, since there is nothing to choose', async () => {
  await using server = await startMcpServer(() => html);
  const streamId = await chats.start({ text: ['done'] }, [{ name: 'broken', url: server.url }], {
    toolChoice: { mode: 2 },
  });
  const asked = await chats.modelAsked(1);
  assert.deepEqual([asked.tools, asked.tool_choice], [undefined, undefined]);
  const watch = await watchToEnd(chats.client, streamId);
  const end = watch.events.at(-1)?.payload;
  assert.equal(end?.case === 'completed' && end.value.stopReason, StopReason.END_TURN);
});
