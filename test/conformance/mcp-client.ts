// What the conformance suite of the Model Context Protocol runs as a client: a chat's sessions as src/tools/mcp
// opens them, and a call of each tool, as a model would make it. The suite gives the server's address as the last
// argument, and what a scenario needs beside it in the environment.
import { create } from '@bufbuild/protobuf';
import { BlockList } from 'node:net';
import { z } from 'zod';
import { McpServerSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { createAddressGuard } from '../../src/tools/fetch/address-guard.ts';
import { openMcpTools } from '../../src/tools/mcp/mcp-tools.ts';
import { mcpParts, toolRunScope } from '../support/chats/tool-run-scope.ts';

const url = process.argv.at(-1) ?? '';
const allowed = new BlockList();
allowed.addSubnet('127.0.0.0', 8, 'ipv4');
allowed.addAddress('::1', 'ipv6');

const Context = z.object({ client_id: z.string(), client_secret: z.string() });
const AuthServer = z.object({ token_endpoint: z.string() });
const Resource = z.object({ authorization_servers: z.array(z.string()).min(1) });

/** What a caller looks up before it names the token's address in its request. */
async function tokenUrl(): Promise<string> {
  const { origin } = new URL(url);
  const resource = await fetch(`${origin}/.well-known/oauth-protected-resource/mcp`);
  const [issuer = ''] = Resource.parse(await resource.json()).authorization_servers;
  const server = await fetch(`${issuer}/.well-known/oauth-authorization-server`);
  return AuthServer.parse(await server.json()).token_endpoint;
}

async function credentials() {
  const context: unknown = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}');
  const read = Context.safeParse(context);
  if (!read.success) return {};
  const { client_id: clientId, client_secret: clientSecret } = read.data;
  return { oauthClientCredentials: { tokenUrl: await tokenUrl(), clientId, clientSecret } };
}

const INPUTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  s__add_numbers: { a: 5, b: 3 },
};

const server = create(McpServerSchema, { name: 's', url, ...(await credentials()) });
const run = toolRunScope(({ message }) => {
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
});
const parts = mcpParts(createAddressGuard(allowed));
await using opened = await openMcpTools([server], new Set(), parts, run);
for (const tool of await opened.current()) {
  const answer = await tool.call(INPUTS[tool.name] ?? {}, run.signal, '');
  process.stdout.write(`${tool.name}: ${JSON.stringify(answer)}\n`);
}
