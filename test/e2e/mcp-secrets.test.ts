// What MCP servers are given in confidence: it reaches them and nobody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { toJsonString } from '@bufbuild/protobuf';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { calling, startMcpChats, warningsIn } from '../support/chats/mcp-chats.ts';
import { anyTool, type McpAsk, startMcpServer, textResult } from '../support/servers/mcp-server.ts';
import { resultsIn } from '../support/chats/tool-calls.ts';

const chats = await forAllTests(startMcpChats());

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
  const watch = await chats.runToEnd(calling(['s__look']), [
    { name: 's', url: server.url, oauthClientCredentials },
  ]);
  assert.deepEqual(resultsIn(watch.events), [{ text: 'seen', isError: false }]);
  const tokens = server.asks.filter(({ path }) => path === '/token');
  assert.equal(tokens.length, 2);
  const basic = String(tokens[0]?.headers.authorization).replace('Basic ', '');
  assert.equal(Buffer.from(basic, 'base64').toString(), 'me%3A1:the+secret+of+it');
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
  const watch = await chats.runToEnd(calling(['s__tell'], ['s__fail']), [
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
    ...chats.tailrace.logger.lines.map((line) => inspected(line)),
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
