// `fetch` for the openai SDK on node:http and node:https. A streamed answer is not a web stream
// here but node's own message, because web streams cost several promises for every token.
import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
} from 'node:zlib';

/** An answer that is still coming: `bytes` are its decoded bytes, `message` owns the socket. */
export interface StreamedBody {
  readonly message: IncomingMessage;
  readonly bytes: Readable;
}

export interface NodeFetch {
  readonly fetch: typeof globalThis.fetch;
  /** The body of a successful POST that answers with a stream; its Response has none itself. */
  readonly streamOf: (response: Response) => StreamedBody | undefined;
  /** Ends the connections that wait for a next call, and from then on each after its call. */
  readonly closeIdle: () => void;
}

export interface NodeFetchOptions {
  readonly connectTimeoutMs: number;
  readonly maxErrorBytes: number;
  readonly maxBodyBytes: number;
  readonly maxIdleSockets: number;
  readonly idleSocketMs: number;
}

/** What connecting took too long. Its text keeps the word that the SDK knows timeouts by. */
export class ConnectTimeoutError extends Error {
  readonly code = 'CONNECT_TIMEOUT';

  constructor(timeoutMs: number) {
    super(`connect timed out after ${timeoutMs} ms`);
    this.name = 'ConnectTimeoutError';
  }
}

/** The headers that the SDK and the retry policy read; the others are not copied. */
const READ_HEADERS = [
  'content-type',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
  'x-request-id',
] as const;

export function createNodeFetch(options: NodeFetchOptions): NodeFetch {
  const streams = new WeakMap<Response, StreamedBody>();
  // No bound on running connections: it would be a hidden bound on running chats. The last one used
  // is used next, so that those beyond the need of the hour grow old and go.
  const pool = {
    keepAlive: true,
    scheduling: 'lifo',
    maxSockets: Number.POSITIVE_INFINITY,
    maxFreeSockets: options.maxIdleSockets,
    timeout: options.idleSocketMs,
  } as const;
  const httpAgent = new HttpAgent(pool);
  const httpsAgent = new HttpsAgent(pool);

  function send(url: URL, init: RequestInit): Promise<Response> {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const secure = url.protocol === 'https:';
    const signal = init.signal ?? undefined;
    const request = (secure ? httpsRequest : httpRequest)(url, {
      method: init.method ?? 'GET',
      headers: headersOf(init),
      agent: secure ? httpsAgent : httpAgent,
    });
    let connectTimer: NodeJS.Timeout | undefined;
    let failure: Error | undefined;
    let response: IncomingMessage | undefined;

    const onAbort = (): void => {
      request.destroy(new Error('The call was aborted.'));
    };
    const settled = (): void => {
      clearTimeout(connectTimer);
      signal?.removeEventListener('abort', onAbort);
    };

    request.on('socket', (socket) => {
      if (!socket.connecting) return;
      const { connectTimeoutMs } = options;
      connectTimer = setTimeout(() => {
        request.destroy(new ConnectTimeoutError(connectTimeoutMs));
      }, connectTimeoutMs);
      socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(connectTimer));
    });
    // Stays attached: a socket may also break after the answer was read.
    request.on('error', (error) => {
      failure ??= error;
    });
    // Not on 'error': whoever hears of a failure may rely on it that the socket is gone.
    request.on('close', () => {
      if (response !== undefined) return;
      settled();
      const error = failure ?? new Error('The connection closed without an answer.');
      // The server closed an idle connection just when it was taken for this call: nothing of the
      // call was read. Each round takes another such connection, so this ends with a fresh one.
      if (request.reusedSocket && signal?.aborted !== true && wasReset(error)) {
        send(url, init).then(resolve, reject);
      } else {
        reject(error);
      }
    });
    request.on('response', (message) => {
      response = message;
      clearTimeout(connectTimer);
      answer(message, request.method)
        .finally(settled)
        .then(resolve, (error: unknown) => {
          message.destroy();
          reject(error);
        });
    });

    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    request.end(typeof init.body === 'string' ? init.body : undefined);
    return promise;
  }

  async function answer(message: IncomingMessage, method: string): Promise<Response> {
    const status = message.statusCode ?? 0;
    const ok = status >= 200 && status < 300;
    const init = { status, headers: readHeaders(message) };
    message.on('error', ignore);
    const bytes = decoded(message);
    if (ok && method === 'POST' && !isWhole(message)) {
      const streamed = new Response(null, init);
      streams.set(streamed, { message, bytes });
      return streamed;
    }
    if (!ok) return new Response(await textOf(message, bytes, options.maxErrorBytes, true), init);
    return new Response(await textOf(message, bytes, options.maxBodyBytes, false), init);
  }

  return {
    fetch: (input, init) => {
      // The SDK calls with an address only.
      return send(new URL(input instanceof Request ? input.url : input), init ?? {});
    },
    streamOf: (response) => streams.get(response),
    closeIdle() {
      for (const agent of [httpAgent, httpsAgent]) {
        // Not agent.destroy(): that ends the sockets of running calls too.
        agent.maxFreeSockets = 0;
        const waiting = Object.values(agent.freeSockets).flat();
        for (const socket of waiting) socket?.destroy();
      }
    },
  };
}

function headersOf(init: RequestInit): Record<string, string> {
  const headers: Record<string, string> = {};
  // The SDK makes a Headers of its own for each call; a copy would cost as much again.
  const given = init.headers instanceof Headers ? init.headers : new Headers(init.headers);
  given.forEach((value, name) => {
    headers[name] = value;
  });
  // Compression holds tokens back until a block is full.
  headers['accept-encoding'] = 'identity';
  return headers;
}

function readHeaders(message: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of READ_HEADERS) {
    const value = message.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

/** Not a stream, by its own word. Other types are tried: some servers name none for a stream. */
function isWhole(message: IncomingMessage): boolean {
  const type = message.headers['content-type'] ?? '';
  return /^(?:application\/(?:[\w.-]+\+)?json|text\/html)\b/i.test(type);
}

/** Some proxies compress though they were asked not to. */
function decoded(message: IncomingMessage): Readable {
  const encoding = (message.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const decoder = decoderFor(encoding);
  if (decoder === undefined) return message;
  // pipe() hands on data and pressure, not failure: a cut message must not look like a long pause.
  // An end gives out what did arrive, and is an error then, as the compressed form has none.
  message.on('close', () => decoder.end());
  decoder.on('error', ignore);
  return message.pipe(decoder);
}

function decoderFor(encoding: string): ReturnType<typeof createGunzip> | undefined {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    case 'zstd':
      return createZstdDecompress();
    default:
      return undefined;
  }
}

/** Reads a body whole, up to a bound; past it, it is cut if that does no harm, else refused. */
function textOf(
  message: IncomingMessage,
  bytes: Readable,
  maxBytes: number,
  mayCut: boolean,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  let total = 0;
  const done = (): void => resolve(Buffer.concat(chunks).toString('utf8', 0, maxBytes));
  bytes.on('data', (chunk: Buffer) => {
    total += chunk.length;
    chunks.push(chunk);
    if (total <= maxBytes) return;
    message.destroy();
    if (mayCut) done();
    else reject(new Error(`The answer is longer than ${maxBytes} bytes.`));
  });
  bytes.on('end', done);
  bytes.on('error', reject);
  bytes.on('close', () => reject(new Error('The answer was cut.')));
  return promise;
}

function wasReset(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/** Failures are heard of elsewhere; without a listener node would end the process. */
function ignore(): void {}
