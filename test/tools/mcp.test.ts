// What models are told of MCP tools: their names, and what they answered.
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import {
  type CallToolResult,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
} from '@modelcontextprotocol/client';
import * as fc from 'fast-check';
import { McpServerSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { createAddressGuard } from '../../src/tools/fetch/address-guard.ts';
import { FetchFailure } from '../../src/tools/fetch/fetch-failure.ts';
import { wordsOf } from '../../src/tools/mcp/mcp-failure.ts';
import { mcpToolName } from '../../src/tools/mcp/mcp-names.ts';
import { resultParts, textOf } from '../../src/tools/mcp/mcp-result.ts';
import { openMcpTools } from '../../src/tools/mcp/mcp-tools.ts';
import { mcpParts, toolRunScope } from '../support/chats/tool-run-scope.ts';
import { anyTool, startMcpServer } from '../support/servers/mcp-server.ts';

test('a tool of an MCP server is called <server>__<tool> where that is a name that model servers take', () => {
  assert.equal(mcpToolName('docs', 'search-all', new Set()), 'docs__search-all');
  assert.equal(mcpToolName('s', 'x'.repeat(61), new Set()), `s__${'x'.repeat(61)}`);
});

test('names are made to fit, stay apart, and are the same in each run', () => {
  const long = mcpToolName('docs', 'x'.repeat(100), new Set());
  assert.match(long, /^docs__x{49}_[0-9a-f]{8}$/);
  assert.notEqual(long, mcpToolName('docs', 'x'.repeat(101), new Set()));
  assert.match(mcpToolName('docs', 'find it/now', new Set()), /^docs__find_it_now_[0-9a-f]{8}$/);
  const taken = new Set(['docs__find']);
  assert.match(mcpToolName('docs', 'find', taken), /^docs__find_[0-9a-f]{8}$/);
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
      fc.uniqueArray(fc.string()),
      (server, tools) => {
        const all = (): string[] => {
          const names = new Set<string>();
          return tools.map((tool) => mcpToolName(server, tool, names));
        };
        const names = all();
        assert.equal(new Set(names).size, tools.length);
        for (const name of names) assert.match(name, /^[A-Za-z0-9_-]{1,64}$/);
        assert.deepEqual(all(), names);
      },
    ),
  );
});

test('a tool that is called as another’s name was made to be has a name of its own', () => {
  const made = mcpToolName('docs', 'find it', new Set());
  const names = new Set<string>();
  assert.equal(mcpToolName('docs', made.slice('docs__'.length), names), made);
  const other = mcpToolName('docs', 'find it', names);
  assert.notEqual(other, made);
  assert.match(other, /^docs__find_it_[0-9a-f]{8}$/);
});

test('what went wrong is told in our own words, whatever the server said', () => {
  const { RequestTimeout, UnsupportedResultType, ClientHttpNotImplemented } = SdkErrorCode;
  const told = [
    new SdkError(RequestTimeout, 'its words'),
    new SdkError(UnsupportedResultType, 'its words'),
    new SdkHttpError(ClientHttpNotImplemented, 'its words', {
      status: 503,
      statusText: 'its words',
    }),
    new SdkHttpError(ClientHttpNotImplemented, 'its words', { status: 403 }),
    new SdkHttpError(ClientHttpNotImplemented, 'its words', { status: 308 }),
    new ProtocolError(-32_601, 'its words'),
    new Error('its words', { cause: new FetchFailure('cannot be reached') }),
    new SyntaxError('its words'),
  ].map(wordsOf);
  assert.deepEqual(told, [
    'did not answer in time',
    'asks for more input, by a person or a model, which it cannot have here',
    'answered with status 503',
    'refuses the credentials (status 403)',
    'redirects to another address (status 308), which is not followed; give that one, if it is the right one',
    'answered with the error -32601',
    'cannot be reached',
    'answered with what is no MCP',
  ]);
});

test('only a tool that its server calls reading or idempotent may be called again after a crash', async () => {
  const hints: Readonly<Record<string, Readonly<Record<string, boolean>>>> = {
    reads: { readOnlyHint: true },
    repeats: { readOnlyHint: false, idempotentHint: true },
    writes: { idempotentHint: false, destructiveHint: false },
    silent: {},
  };
  const tools = Object.entries(hints).map(([name, annotations]) => anyTool(name, { annotations }));
  await using server = await startMcpServer(({ method }) =>
    method === 'tools/list' ? { result: { tools } } : undefined,
  );
  const allowed = new BlockList();
  allowed.addAddress('127.0.0.1');
  await using opened = await openMcpTools(
    [create(McpServerSchema, { name: 's', url: server.url, timeout: { seconds: 90n } })],
    new Set(),
    mcpParts(createAddressGuard(allowed)),
    toolRunScope(({ message }) => assert.fail(message)),
  );
  const found = await opened.current();
  assert.deepEqual(
    found.map(({ name, idempotent, timeoutMs, server: of }) => [name, idempotent, timeoutMs, of]),
    [
      ['s__reads', true, 90_000, 's'],
      ['s__repeats', true, 90_000, 's'],
      ['s__writes', false, 90_000, 's'],
      ['s__silent', false, 90_000, 's'],
    ],
  );
});

test('a result is text: structured content once, and a note for what is no text', () => {
  const resultText = (result: CallToolResult): string => {
    const parts = resultParts(result);
    assert.ok(parts.every(({ kind }) => kind === 'text') && parts.length === 1);
    return textOf(parts);
  };
  assert.equal(
    resultText({
      content: [
        { type: 'text', text: 'a' },
        { type: 'text', text: 'b' },
      ],
    }),
    'a\n\nb',
  );
  const structuredContent = { a: [1, null] };
  const twice = [{ type: 'text' as const, text: '{ "a": [1, null] }' }];
  assert.equal(resultText({ content: twice, structuredContent }), '{ "a": [1, null] }');
  assert.equal(resultText({ content: [], structuredContent }), '{"a":[1,null]}');
  const notes = resultText({
    content: [
      { type: 'image', data: 'AAAA', mimeType: 'image/png' },
      { type: 'audio', data: 'AAA=', mimeType: 'audio/wav' },
      { type: 'resource_link', uri: 'file:///a', name: 'A' },
      { type: 'resource', resource: { uri: 'file:///b', text: 'words' } },
      { type: 'resource', resource: { uri: 'file:///c', blob: 'AAAA' } },
    ],
  });
  assert.deepEqual(notes.split('\n\n'), [
    '[An image, image/png, 3 bytes, which cannot be shown here.]',
    '[Audio, audio/wav, 2 bytes, which cannot be shown here.]',
    '[A link to the resource file:///a (A), which is not read here.]',
    '[The resource file:///b:]\nwords',
    '[The resource file:///c, of no known type, 3 bytes, which cannot be shown here.]',
  ]);
});

test('an image of a kind that models take is a part of its own, in its place, by what its bytes are', () => {
  const data = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  const image = { type: 'image' as const, data: data.toString('base64'), mimeType: 'image/jpeg' };
  const text = (said: string) => ({ type: 'text' as const, text: said });
  const parts = resultParts({ content: [text('a'), text('b'), image, text('c')] });
  assert.deepEqual(parts, [
    { kind: 'text', text: 'a\n\nb' },
    { kind: 'image', data, mediaType: 'image/png' },
    { kind: 'text', text: 'c' },
  ]);
  assert.equal(
    textOf(parts),
    'a\n\nb\n\n[An image, image/png, 8 bytes, which cannot be shown here.]\n\nc',
  );
});
