// The fetch of a session with an MCP server: what a server sends is read as it comes, and not all at once.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo, BlockList } from 'node:net';
import { test } from 'node:test';
import { createAddressGuard } from '../../src/tools/fetch/address-guard.ts';
import { createMcpFetch } from '../../src/tools/mcp/mcp-fetch.ts';
import { everyTurn } from '../support/every-turn.ts';

test('a server that says a great deal at once leaves room between for all others', async () => {
  const said = 'data: {"jsonrpc":"2.0","method":"a"}\n\n'.repeat(50_000);
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(said);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const allowed = new BlockList();
  allowed.addAddress('127.0.0.1');
  const { signal } = new AbortController();
  const fetch = createMcpFetch(createAddressGuard(allowed), { signal, timeoutMs: 30_000 });
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '' });
  const turns = everyTurn();
  let bytes = 0;
  assert.ok(response.body !== null);
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    turns.count(chunk.length);
    // To read it takes longer than to send it.
    const doneMs = performance.now() + chunk.length / 8_192;
    while (performance.now() < doneMs);
  }
  const most = turns.end();
  await new Promise((resolve) => server.close(resolve));
  assert.equal(bytes, said.length);
  assert.ok(most <= 128 * 1024);
});
