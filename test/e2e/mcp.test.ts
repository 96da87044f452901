// MCP servers that are well, as a chat has them: the reference server for real, and servers that a test writes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputRequired, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { ChatStreamStatus, ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { grpcClient } from '../support/clients.ts';
import { startEverything } from '../support/servers/everything-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { calling, startMcpChats, warningsIn } from '../support/chats/mcp-chats.ts';
import { anyTool, type McpAsk, startMcpServer, textResult } from '../support/servers/mcp-server.ts';
import { startModernMcpServer } from '../support/servers/modern-mcp-server.ts';
import { startNats } from '../support/processes/nats.ts';
import { startTestTailrace } from '../support/processes/tailrace.ts';
import { resultsIn } from '../support/chats/tool-calls.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const chats = await forAllTests(startMcpChats());
const everything = await forAllTests(startEverything('streamableHttp'));

test('a tool of the reference server is called, and its result is in the log and with the model', async () => {
  const script = calling(
    ['every__echo', '{"message":"water"}'],
    ['every__get-sum', '{"a":2,"b":3}'],
  );
  const streamId = await chats.start(script, [{ name: 'every', url: everything.url }]);
  const told = await chats.toolsToldOf();
  assert.ok(told.includes('every__echo') && told.includes('every__trigger-long-running-operation'));
  const watch = await watchToEnd(chats.client, streamId);
  assert.deepEqual(resultsIn(watch.events), [
    { text: 'Echo: water', isError: false },
    { text: 'The sum of 2 and 3 is 5.', isError: false },
  ]);
  assert.match(JSON.stringify(await chats.modelAsked(2)), /Echo: water/);
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
  const { chatStream } = await chats.client.getChatStream({ streamId, view: ChatStreamView.FULL });
  const servers = chatStream?.output.flatMap(({ block }) =>
    block.case === 'toolUse' ? [block.value.server] : [],
  );
  assert.deepEqual(servers, ['every', 'every']);
  assert.deepEqual(warningsIn(watch.events), []);
});

test('structured content reaches the model as JSON, and a link as a note of what it was', async () => {
  const script = calling(
    ['every__get-structured-content', '{"location":"Chicago"}'],
    ['every__get-resource-links', '{"count":1}'],
  );
  const watch = await chats.runToEnd(script, [{ name: 'every', url: everything.url }]);
  const [structured, link] = resultsIn(watch.events);
  assert.deepEqual(JSON.parse(structured?.text ?? ''), {
    temperature: 36,
    conditions: 'Light rain / drizzle',
    humidity: 82,
  });
  assert.match(link?.text ?? '', /\[A link to the resource /);
});

test('a long-running tool is waited for, and its progress is in the log, at each observer and at no model', async () => {
  const script = calling(['every__trigger-long-running-operation', '{"duration":0.5,"steps":20}']);
  const streamId = await chats.start(script, [{ name: 'every', url: everything.url }]);
  const watch = await watchToEnd(chats.client, streamId);
  assert.deepEqual(resultsIn(watch.events), [
    { text: 'Long running operation completed. Duration: 0.5 seconds, Steps: 20.', isError: false },
  ]);
  const opened = watch.events.findIndex(
    ({ payload }) =>
      payload.case === 'blockStarted' && payload.value.kind === BlockKind.TOOL_RESULT,
  );
  const told = watch.events.flatMap(({ payload }, i) =>
    payload.case === 'toolProgress' ? [{ i, ...payload.value }] : [],
  );
  assert.ok(told.length > 0 && told.length < 20, 'twenty steps in half a second');
  for (const { i, index, toolUseId, progress, total } of told) {
    assert.ok(i > opened);
    assert.deepEqual([index, toolUseId, progress, total], [1, 'call_0', progress, 20]);
  }
  const again = await watchToEnd(chats.client, streamId);
  assert.deepEqual(again.events, watch.events);
  const { messages } = await chats.modelAsked(2);
  assert.doesNotMatch(JSON.stringify(messages), /progress/);
});

test('a server that knows SSE alone is used by SSE', async () => {
  await using older = await startEverything('sse');
  const script = calling(['older__echo', '{"message":"by SSE"}']);
  const watch = await chats.runToEnd(script, [{ name: 'older', url: older.url }]);
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
  const streamId = await chats.start(script, [
    { name: 's', url: server.url, headers, bearerToken: 'a-token-of-it', allowedTools: ['look'] },
  ]);
  assert.deepEqual(await chats.toolsToldOf(), ['s__look']);
  const watch = await watchToEnd(chats.client, streamId);
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
  const streamId = await chats.start(script, [
    // The call lasts that long, and the tools have changed before its end.
    { name: 's', url: server.url, timeout: { seconds: 3n } },
  ]);
  assert.deepEqual(await chats.toolsToldOf(), ['s__grow']);
  await server.asked('a call', ({ method }) => method === 'tools/call');
  tools = [anyTool('grow'), anyTool('grown')];
  await server.notify('notifications/tools/list_changed');
  assert.deepEqual(await chats.toolsToldOf(2), ['s__grow', 's__grown']);
  await watchToEnd(chats.client, streamId);
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
  const watch = await chats.runToEnd(calling(['s__look'], ['s__look']), [
    { name: 's', url: server.url },
  ]);
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
  const streamId = await chats.start(script, [{ name: 's', url: server.url }]);
  assert.deepEqual(await chats.toolsToldOf(), ['s__grow', 's__ask']);
  assert.deepEqual(await chats.toolsToldOf(2), ['s__grow', 's__ask', 's__wait']);
  await called.promise;
  await chats.client.cancelChatStream({ streamId });
  await left.promise;
  const watch = await watchToEnd(chats.client, streamId);
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
  const streamId = await chats.start(calling(['s__wait']), [{ name: 's', url: server.url }]);
  const call = await server.asked('a call', ({ method }) => method === 'tools/call');
  await chats.client.cancelChatStream({ streamId });
  const watch = await watchToEnd(chats.client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.CANCELLED);
  const cancelled = await server.asked(
    'a cancel',
    ({ method }) => method === 'notifications/cancelled',
  );
  assert.equal(cancelled.params['requestId'], call.id);
  const ended = await server.asked('the end', ({ verb }) => verb === 'DELETE');
  assert.ok(server.asks.indexOf(cancelled) < server.asks.indexOf(ended));
});

test('a worker that stops hands the chat back and ends its sessions', async () => {
  await using own = await startNats();
  await using server = await startMcpServer(({ method }) => {
    if (method === 'tools/list') return { result: { tools: [anyTool('wait')] } };
    return method === 'tools/call' ? 'silence' : undefined;
  });
  const stopping = await startTestTailrace(own.access, {
    OPENAI_BASE_URL: chats.model.url,
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
