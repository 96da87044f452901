// A small MCP server by streamable HTTP, written by hand: it says what a test has it say, true or not, and keeps
// what it was sent.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '../until.ts';

export interface McpAsk {
  /** Of HTTP. */
  readonly verb: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Of JSON-RPC; empty where there was no message. */
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly id: unknown;
}

export type Reply =
  /** The result of a request. */
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
  /** Anything of HTTP. */
  | { readonly raw: (response: ServerResponse) => void }
  /** None at all. */
  | 'silence';

export interface McpServerFixture extends AsyncDisposable {
  readonly url: string;
  readonly origin: string;
  readonly asks: readonly McpAsk[];
  /** The first that is so, once it has come. */
  readonly asked: (what: string, is: (ask: McpAsk) => boolean) => Promise<McpAsk>;
  /** Says something by the stream that the client has opened for that, once it has. */
  readonly notify: (method: string) => Promise<void>;
}

/** A tool that takes anything. */
export function anyTool(name: string, more: Readonly<Record<string, unknown>> = {}): object {
  return { name, description: `What ${name} does.`, inputSchema: { type: 'object' }, ...more };
}

export function textResult(text: string, isError = false): Reply {
  return { result: { content: [{ type: 'text', text }], isError } };
}

/** `answer`: what is said instead of what a good server without tools says; undefined: that. */
export async function startMcpServer(
  answer: (ask: McpAsk) => Reply | undefined,
): Promise<McpServerFixture> {
  const asks: McpAsk[] = [];
  const streams = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    void serve(request, response);
  });
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const ask = await readAsk(request);
    asks.push(ask);
    const reply = answer(ask) ?? good(ask);
    if (reply === 'silence') return;
    if (reply === 'stream') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      streams.add(response);
      response.once('close', () => streams.delete(response));
      return;
    }
    if ('raw' in reply) return reply.raw(response);
    if (ask.id === undefined) {
      response.writeHead(ask.verb === 'DELETE' ? 200 : 202).end();
      return;
    }
    response.writeHead(200, {
      'content-type': 'application/json',
      ...(ask.method === 'initialize' ? { 'mcp-session-id': 'session-1' } : {}),
    });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: ask.id, ...reply }));
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return {
    url: `${origin}/mcp`,
    origin,
    asks,
    asked: (what, is) => until(`the MCP server to be asked for ${what}`, () => asks.find(is)),
    notify: async (method) => {
      const stream = await until('a stream of the client', () => [...streams][0]);
      stream.write(`data: ${JSON.stringify({ jsonrpc: '2.0', method })}\n\n`);
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function good({ verb, method }: McpAsk): Reply | 'stream' {
  if (verb === 'GET') return 'stream';
  if (method === 'initialize') {
    return {
      result: {
        protocolVersion: '2025-06-18',
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'by-hand', version: '1' },
      },
    };
  }
  if (method === 'tools/list') return { result: { tools: [] } };
  return { result: {} };
}

async function readAsk(request: IncomingMessage): Promise<McpAsk> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  const { method: verb = '', url: path = '', headers } = request;
  let message: { method?: string; params?: Record<string, unknown>; id?: unknown } = {};
  if (text.startsWith('{')) message = JSON.parse(text) as typeof message;
  const { method = '', params = {}, id } = message;
  return { verb, path, headers, method, params, id };
}
