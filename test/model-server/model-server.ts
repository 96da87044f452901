// test/model-server: an OpenAI-compatible model server for tests, load and faults. What it answers
// is asked for in the last user message (script.ts); what it was sent, and what became of it, can
// be awaited here. It knows nothing of Tailrace.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import * as z from 'zod';
import { generate } from './generation.ts';
import { createEmbeddings, type EmbeddingsRoute } from './embeddings.ts';
import { createPacer } from './pacer.ts';
import { type Script, type ScriptInput, scriptOfUser } from './script.ts';

export interface ModelServerOptions {
  readonly port?: number;
  readonly host?: string;
  readonly models?: readonly string[];
  /** What the list says of each model beside its id. */
  readonly listed?: Readonly<Record<string, unknown>>;
  /** Load is not to fill the memory: older requests are forgotten. */
  readonly keptRequests?: number;
}

export interface RecordedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  /** When it arrived: performance.now() of the server's process. */
  readonly at: number;
  /** Which connection it came by, from 1. */
  readonly connection: number;
  /** 'aborted': the connection was closed before the answer's end. */
  readonly ended: Promise<'answered' | 'aborted'>;
}

export interface ModelServer extends AsyncDisposable {
  /** Of /v1/embeddings, which are not among the requests below. */
  readonly embeddings: EmbeddingsRoute;
  /** For OPENAI_BASE_URL. */
  readonly url: string;
  /** Chat completions that were asked for, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** Chat completions that are being answered. */
  readonly active: number;
  /** Chat completions whose client left, or that the server itself cut off. */
  readonly closedUpstreams: number;
  readonly openSockets: number;
  /** The next one that nobody has taken yet, in the order of arrival. */
  readonly nextRequest: () => Promise<RecordedRequest>;
  readonly waitForActive: (count: number) => Promise<void>;
  readonly waitForClosed: (count: number) => Promise<void>;
  readonly waitForSockets: (count: number) => Promise<void>;
}

export const TEST_MODELS = ['test-model', 'test-model-small'] as const;
const WAIT_MS = 10_000;
const MAX_BODY_BYTES = 64 * 1024 * 1024;

const completionSchema = z.looseObject({
  model: z.string(),
  messages: z
    .array(
      z.looseObject({
        role: z.string(),
        content: z.unknown(),
        tool_calls: z.unknown().optional(),
      }),
    )
    .min(1),
  stream: z.literal(true, { error: 'this server only streams' }),
  stream_options: z.looseObject({ include_usage: z.boolean().default(false) }).optional(),
  max_tokens: z.int().min(1).optional(),
});

/** A user message that makes the server do this. */
export function scripted(script: ScriptInput): string {
  return JSON.stringify(script);
}

export async function startModelServer(options: ModelServerOptions = {}): Promise<ModelServer> {
  const {
    port = 0,
    host = '127.0.0.1',
    models = TEST_MODELS,
    keptRequests = 1_000,
    listed,
  } = options;
  const pacer = createPacer();
  const embeddings = createEmbeddings();
  const requests: RecordedRequest[] = [];
  const untaken: RecordedRequest[] = [];
  const faultsSeen = new Map<string, number>();
  const connections = new WeakMap<Socket, number>();
  const waiters = new Set<() => void>();
  let accepted = 0;
  let answered = 0;
  let active = 0;
  let closedUpstreams = 0;
  let openSockets = 0;

  function changed(): void {
    for (const waiter of waiters) waiter();
  }

  function until<T>(what: string, look: () => T | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => {
      waiters.delete(check);
      reject(new Error(`waited ${WAIT_MS} ms for ${what} at the test model server`));
    }, WAIT_MS);
    function check(): void {
      const found = look();
      if (found === undefined) return;
      waiters.delete(check);
      clearTimeout(timer);
      resolve(found);
    }
    waiters.add(check);
    check();
    return promise;
  }

  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method === 'GET' && path === '/v1/models') {
      const entry = { object: 'model', created: 0, owned_by: 'test', ...listed };
      const data = models.map((id) => ({ id, ...entry }));
      return json(response, 200, { object: 'list', data });
    }
    if (request.method === 'GET' && path === '/stats') {
      const stats = { active, answered, closed_upstreams: closedUpstreams };
      return json(response, 200, { ...stats, open_sockets: openSockets });
    }
    if (request.method === 'POST' && path === '/v1/embeddings') {
      return void readBody(request).then(
        (text) => embeddings.answer(request, response, parseJson(text)),
        () => response.destroy(),
      );
    }
    if (request.method !== 'POST' || path !== '/v1/chat/completions') {
      return json(response, 404, { error: { message: 'no such path', type: 'not_found' } });
    }
    readBody(request).then(
      (text) => complete(request, response, text),
      () => response.destroy(),
    );
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', (socket) => {
    accepted += 1;
    openSockets += 1;
    connections.set(socket, accepted);
    socket.once('close', () => {
      openSockets -= 1;
      changed();
    });
    changed();
  });

  function complete(request: IncomingMessage, response: ServerResponse, text: string): void {
    const socket = request.socket;
    const arrived = performance.now();
    const body: unknown = parseJson(text);
    active += 1;
    const ended = new Promise<'answered' | 'aborted'>((resolve) => {
      response.once('close', () => {
        active -= 1;
        if (response.writableFinished) answered += 1;
        else closedUpstreams += 1;
        resolve(response.writableFinished ? 'answered' : 'aborted');
        changed();
      });
    });
    const recorded = {
      path: request.url ?? '',
      headers: request.headers,
      body,
      at: arrived,
      connection: connections.get(socket) ?? 0,
      ended,
    };
    for (const list of [requests, untaken]) {
      list.push(recorded);
      if (list.length > keptRequests) list.shift();
    }
    changed();

    const completion = completionSchema.safeParse(body);
    if (!completion.success) return refuse(response, z.prettifyError(completion.error));
    const { model, messages, max_tokens: maxTokens } = completion.data;
    if (!models.includes(model)) {
      const error = { message: `no model ${model}`, type: 'NotFoundError', code: 404 };
      return json(response, 404, { error });
    }
    const said = messages
      .filter(({ role }) => role === 'user')
      .map(({ content }) => textOf(content));
    const last = said.at(-1) ?? '';
    let script: Script;
    try {
      script = scriptOfUser(said, roundOf(messages));
    } catch (error) {
      return refuse(response, String(error));
    }
    if (script.fault_of !== undefined && script.fault_of !== model) {
      script = { ...script, fault: undefined, raw: undefined, content_type: 'text/event-stream' };
    }
    if (script.fault !== undefined && script.times !== undefined) {
      const seen = faultsSeen.get(last) ?? 0;
      faultsSeen.set(last, seen + 1);
      if (seen >= script.times) script = { ...script, fault: undefined };
    }
    switch (script.fault) {
      case 'hang':
        return;
      case 'refuse':
        socket.destroy();
        return;
      case 'status':
        return fail(response, script, `${request.headers.authorization} ${last}`);
      default:
        generate(
          script,
          {
            id: `chatcmpl-${requests.length}`,
            model,
            maxTokens,
            promptTokens: messages.reduce((sum, { content }) => sum + textOf(content).length, 0),
            includeUsage: completion.data.stream_options?.include_usage ?? false,
          },
          response,
          socket,
          pacer,
        );
    }
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  // An address of a listening TCP server is never a string.
  const address = server.address() as AddressInfo;

  const reached = (what: string, count: number, look: () => number): Promise<void> =>
    until(`${count} ${what}`, () => (look() === count ? true : undefined)).then(() => undefined);

  return {
    url: `http://${host}:${address.port}/v1`,
    embeddings,
    requests,
    get active() {
      return active;
    },
    get closedUpstreams() {
      return closedUpstreams;
    },
    get openSockets() {
      return openSockets;
    },
    nextRequest: () => until('a request', () => untaken.shift()),
    waitForActive: (count) => reached('active generations', count, () => active),
    waitForClosed: (count) => reached('closed generations', count, () => closedUpstreams),
    waitForSockets: (count) => reached('open sockets', count, () => openSockets),
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** How often the model has called tools since the last words of the user. */
function roundOf(
  messages: readonly { readonly role: string; readonly tool_calls?: unknown }[],
): number {
  const last = messages.findLastIndex(({ role }) => role === 'user');
  return messages.slice(last).filter((message) => message.tool_calls !== undefined).length;
}

/** Quotes what it was sent, as real servers do: no word of it may reach a caller. */
function fail(response: ServerResponse, script: Script, quoted: string): void {
  const { status, retry_after: retryAfter, retry_after_ms: retryAfterMs } = script;
  if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter));
  if (retryAfterMs !== undefined) response.setHeader('retry-after-ms', String(retryAfterMs));
  if (status < 400) response.setHeader('location', '/elsewhere');
  json(response, status, { error: { message: `refused: ${quoted}`, ...script.error } });
}

function refuse(response: ServerResponse, message: string): void {
  json(response, 400, { error: { message, type: 'test_script_error', code: 'test_script_error' } });
}

function json(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('body too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function textOf(content: unknown): string {
  return typeof content === 'string' ? content : JSON.stringify(content ?? '');
}
