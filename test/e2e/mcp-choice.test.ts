// Tools of MCP servers by their names: chosen by tool_choice, and called in a conversation that is given back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  FailureReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { startEverything } from '../support/servers/everything-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { calling, startMcpChats } from '../support/chats/mcp-chats.ts';
import { anyTool, type Reply, startMcpServer } from '../support/servers/mcp-server.ts';
import { resultsIn } from '../support/chats/tool-calls.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const NOT_MCP: Reply = { raw: (response) => void response.end('<html>not here</html>') };

const chats = await forAllTests(startMcpChats());
const everything = await forAllTests(startEverything('streamableHttp'));

test('a tool of an MCP server that tool_choice names is asked for, once', async () => {
  const toolChoice = { mode: ToolChoiceMode.NAMED, name: 'every__echo' };
  const servers = [{ name: 'every', url: everything.url }];
  const script = calling(['every__echo', '{"message":"named"}']);
  const watch = await chats.runToEnd(script, servers, { toolChoice });
  assert.deepEqual(resultsIn(watch.events), [{ text: 'Echo: named', isError: false }]);
  const named = { type: 'function', function: { name: 'every__echo' } };
  assert.deepEqual((await chats.modelAsked(1)).tool_choice, named);
  assert.equal((await chats.modelAsked(2)).tool_choice, 'auto');
});

test('a conversation with calls of an MCP server’s tools, as a chat left it, goes to the model server', async () => {
  const servers = [{ name: 'every', url: everything.url }];
  const first = await chats.start(calling(['every__echo', '{"message":"before"}']), servers);
  await watchToEnd(chats.client, first);
  const { chatStream } = await chats.client.getChatStream({
    streamId: first,
    view: ChatStreamView.FULL,
  });
  const [call, result, ...more] = chatStream?.output ?? [];
  assert.ok(call?.block.case === 'toolUse' && result?.block.case === 'toolResult');
  assert.equal(call.block.value.server, 'every');
  const messages = [
    { role: Role.USER, content: [{ block: { case: 'text' as const, value: 'Echo.' } }] },
    { role: Role.ASSISTANT, content: [call] },
    { role: Role.USER, content: [result] },
    { role: Role.ASSISTANT, content: more },
  ];
  await chats.runToEnd({ text: ['fine'] }, [], { messages });
  const asked = await chats.modelAsked(1);
  assert.deepEqual(
    asked.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool', 'assistant', 'user'],
  );
  assert.equal(asked.messages[2]?.content, 'Echo: before');
});

test('a chat whose named tool is missing fails before any model is asked, and says what there is', async () => {
  await using server = await startMcpServer(({ method }) =>
    method === 'tools/list' ? { result: { tools: [anyTool('look'), anyTool('hear')] } } : undefined,
  );
  await using broken = await startMcpServer(() => NOT_MCP);
  const before = chats.model.requests.length;
  const { TOOL_CHOICE_NOT_MET, MCP_SERVER_UNAVAILABLE } = FailureReason;
  for (const [url, reason, retryable, says] of [
    [
      server.url,
      TOOL_CHOICE_NOT_MET,
      false,
      /"s" has none of that name\. It has: s__look, s__hear\./,
    ],
    [broken.url, MCP_SERVER_UNAVAILABLE, true, /"s" has no tools now, or cannot be used/],
  ] as const) {
    const streamId = await chats.start({ text: ['done'] }, [{ name: 's', url }], {
      toolChoice: { mode: ToolChoiceMode.NAMED, name: 's__smell' },
    });
    const { status, failure } = (await watchToEnd(chats.client, streamId)).end();
    assert.equal(status, ChatStreamStatus.FAILED);
    assert.equal(failure?.reason, reason);
    assert.equal(failure.retryable, retryable);
    assert.match(failure.message, /^The tool "s__smell", which tool_choice names, is not there/);
    assert.match(failure.message, says);
  }
  assert.equal(chats.model.requests.length, before);
});
