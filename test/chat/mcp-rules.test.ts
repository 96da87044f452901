// The rules of MCP servers in a request: each violation by its path, all of them at once, and no secret in any.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { McpServerSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatRequestSchema, ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { mcpViolations } from '../../src/chat/rules/mcp-rules.ts';
import { fitViolations } from '../../src/chat/request/model-fit.ts';
import { toolViolations } from '../../src/chat/rules/tool-rules.ts';
import { checkInputSchema } from '../../src/tools/schemas/json-schema.ts';
import { mcpToolName } from '../../src/tools/mcp/mcp-names.ts';
import { modelInfo } from '../support/chats/test-model.ts';

type Server = MessageInitShape<typeof McpServerSchema>;

const URL = 'https://mcp.example.com/mcp';
const SECRET = 'planted secret';

function told(...mcpServers: Server[]): string[] {
  return mcpViolations(create(ChatRequestSchema, { mcpServers })).map(
    ({ path, description }) => `${path}: ${description}`,
  );
}

test('MCP servers in order are taken', () => {
  const oauthClientCredentials = {
    tokenUrl: 'https://id.example.com/token',
    clientId: 'me',
    clientSecret: SECRET,
    scopes: ['tools:read'],
  };
  assert.deepEqual(
    told(
      {
        name: 'a',
        url: URL,
        bearerToken: 'abc.DEF-1',
        headers: { 'X-Key': SECRET, 'x-empty': '' },
      },
      { name: 'b', url: 'http://127.0.0.1:3001/sse', headers: { Authorization: 'Basic x' } },
      { name: 'c', url: URL, oauthClientCredentials, allowedTools: ['one', 'two words'] },
      { name: 'd', url: URL, timeout: { seconds: 600n }, required: true },
    ),
    [],
  );
});

const WRONG: readonly (readonly [Server, path: string, says: RegExp])[] = [
  [
    { url: '' },
    'url',
    /must be the http or https address of the server: the operator has none of his own/,
  ],
  [{ url: 'ftp://mcp.example.com' }, 'url', /must be an http or https address/],
  [{ url: 'mcp.example.com' }, 'url', /must be an http or https address/],
  [{ url: 'https://me:planted%20secret@mcp.example.com' }, 'url', /has a user name or password/],
  [{ bearerToken: SECRET }, 'bearer_token', /visible characters/],
  [{ headers: { Host: 'x' } }, 'headers', /has "host", which the protocol sets itself/],
  [{ headers: { 'Mcp-Session-Id': 'x' } }, 'headers', /has "mcp-session-id", which/],
  [{ headers: { 'a b': SECRET } }, 'headers', /has a name that is no name/],
  [{ headers: { a: `${SECRET}\r\nb: c` } }, 'headers', /has a value with characters/],
  [{ headers: { a: 'ä' } }, 'headers', /has a value with characters/],
  [{ headers: { a: '1', A: '2' } }, 'headers', /the same name twice/],
  [{ headers: { a: 'x'.repeat(16_384) } }, 'headers', /has 16385 characters; at most 16384/],
  [
    { bearerToken: 'x', headers: { authorization: SECRET } },
    'headers',
    /"authorization" beside a token/,
  ],
  [{ allowedTools: ['a', ''] }, 'allowed_tools[1]', /must be the name/],
  [{ allowedTools: ['a', 'a'] }, 'allowed_tools[1]', /is there already/],
  [{ timeout: { seconds: 601n } }, 'timeout', /is 601 s; this server allows at most 600 s/],
];

test('each broken rule of an MCP server is told by its path, and no secret with it', () => {
  for (const [server, path, says] of WRONG) {
    const [first = '', ...more] = told({ name: 'm', url: URL, ...server });
    assert.deepEqual(more, []);
    assert.ok(first.startsWith(`request.mcp_servers[0].${path}: `), first);
    assert.match(first, says);
    assert.doesNotMatch(first, /planted/);
  }
});

test('a server by its name alone is one of the operator’s, who gives it what it needs', () => {
  const byName = (...servers: Server[]): string[] =>
    mcpViolations(create(ChatRequestSchema, { mcpServers: servers }), ['files', 'tickets']).map(
      ({ path, description }) => `${path}: ${description}`,
    );
  assert.deepEqual(
    byName({ name: 'files', allowedTools: ['read'] }, { name: 'mine', url: URL }),
    [],
  );
  const [unknown = '', ...more] = byName({ name: 'flies' });
  assert.deepEqual(more, []);
  assert.match(
    unknown,
    /^request\.mcp_servers\[0\]\.name: is "flies" without a url, .*: files, tickets\. Give/,
  );
  const oauthClientCredentials = { tokenUrl: URL, clientId: 'me', clientSecret: SECRET };
  const given = byName(
    { name: 'files', headers: { 'x-key': SECRET }, bearerToken: 'planted' },
    { name: 'tickets', oauthClientCredentials, timeout: { seconds: 601n } },
  );
  assert.deepEqual(
    given.map((each) => each.split(': ')[0]),
    [
      'request.mcp_servers[0].headers',
      'request.mcp_servers[0].bearer_token',
      'request.mcp_servers[1].oauth_client_credentials',
      'request.mcp_servers[1].timeout',
    ],
  );
  assert.doesNotMatch(given.join(), /planted/);
});

test('names are unique, and a token is given or got', () => {
  const credentials = { tokenUrl: 'file:///token', clientId: 'me', scopes: ['a b'] };
  assert.deepEqual(
    told(
      { name: 'm', url: URL, bearerToken: 'x', oauthClientCredentials: credentials },
      { name: 'm', url: URL },
    ).map((each) => each.split(': ')[0]),
    [
      'request.mcp_servers[0].bearer_token',
      'request.mcp_servers[0].oauth_client_credentials.token_url',
      'request.mcp_servers[0].oauth_client_credentials.client_secret',
      'request.mcp_servers[0].oauth_client_credentials.scopes[0]',
      'request.mcp_servers[1].name',
    ],
  );
});

test('MCP servers are refused for a model without tools', () => {
  const request = create(ChatRequestSchema, { mcpServers: [{ name: 'm', url: URL }] });
  const { can } = modelInfo('m');
  const unable = modelInfo('m', { can: { ...can, tools: false } });
  assert.deepEqual(
    fitViolations(request, unable, [unable]).map(({ path }) => path),
    ['request.mcp_servers'],
  );
});

test('a tool of an MCP server may be named as models know it; a name that none of them has is refused', () => {
  const long = 'n'.repeat(64);
  const choose = (name: string): readonly string[] =>
    toolViolations(
      create(ChatRequestSchema, {
        mcpServers: [
          { name: 'm', url: URL },
          { name: long, url: URL },
        ],
        toolChoice: { mode: ToolChoiceMode.NAMED, name },
      }),
      checkInputSchema,
    ).map(({ path, description }) => `${path}: ${description}`);
  for (const tool of ['look', 'look at/it', 'x'.repeat(100)]) {
    for (const server of ['m', long]) {
      assert.deepEqual(choose(mcpToolName(server, tool, new Set())), [], tool);
    }
  }
  for (const name of ['look', 'm__', 'other__look', 'n__look']) {
    const [wrong = '', ...more] = choose(name);
    assert.deepEqual(more, []);
    assert.match(wrong, /^request\.tool_choice\.name: is no tool of the request; .*: m__<tool>, n/);
  }
  const any = create(ChatRequestSchema, {
    mcpServers: [{ name: 'm', url: URL }],
    toolChoice: { mode: ToolChoiceMode.ANY },
  });
  assert.deepEqual(toolViolations(any, checkInputSchema), []);
});
