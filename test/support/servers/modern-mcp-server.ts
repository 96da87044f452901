// An MCP server of the revision of 2026-07-28 and of no other, by the official server library.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { createMcpHandler, type McpServer } from '@modelcontextprotocol/server';

export interface ModernMcpServer extends AsyncDisposable {
  readonly url: string;
  readonly toolsChanged: () => void;
}

/** `make`: a server for each request. */
export async function startModernMcpServer(make: () => McpServer): Promise<ModernMcpServer> {
  const handler = createMcpHandler(make, { legacy: 'reject' });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const left = new AbortController();
    response.once('close', () => left.abort());
    const { method = '', url = '' } = request;
    const asked = new Request(`http://127.0.0.1${url}`, {
      method,
      headers: new Headers(request.headers as Record<string, string>),
      signal: left.signal,
      ...(method === 'POST' ? { body: await textOf(request) } : {}),
    });
    const answer = await handler.fetch(asked);
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body === null) response.end();
    else {
      response.flushHeaders();
      const body = Readable.fromWeb(answer.body);
      body.on('error', () => response.destroy());
      response.once('close', () => body.destroy());
      body.pipe(response);
    }
  };
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    toolsChanged: () => handler.notify.toolsChanged(),
    [Symbol.asyncDispose]: async () => {
      await handler.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
