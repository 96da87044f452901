// The `fetch` of a session with an MCP server: only where the guard lets it through, an answer at a time, as
// it comes, and each bounded. Redirects are the library's business, which follows them within an origin.
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { setImmediate } from 'node:timers/promises';
import type { FetchLike } from '@modelcontextprotocol/client';
import { MAX_MCP_ANSWER_BYTES, MAX_MCP_STREAMS, MCP_BYTES_AT_ONCE } from '../../chat/limits.ts';
import type { AddressGuard } from '../fetch/address-guard.ts';
import { FetchFailure } from '../fetch/fetch-failure.ts';
import { answerAt, parsed } from '../fetch/guarded-fetch.ts';

export interface McpFetchOptions {
  /** Ends with the session. */
  readonly signal: AbortSignal;
  /** For one answer, to its last byte; streams that a server speaks by of its own accord last longer. */
  readonly timeoutMs: number;
}

const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Rejects with FetchFailure. */
export function createMcpFetch(guard: AddressGuard, options: McpFetchOptions): FetchLike {
  let streams = 0;
  return async (address, init = {}) => {
    const url = parsed(String(address));
    const { method = 'GET', body } = init;
    const ends = [options.signal];
    if (init.signal instanceof AbortSignal) ends.push(init.signal);
    if (method === 'GET') {
      // Answered so, whoever opens it again and again stops: 204 is the end of an event stream.
      if (++streams > MAX_MCP_STREAMS) return new Response(null, { status: 204 });
    } else ends.push(AbortSignal.timeout(options.timeoutMs));
    const signal = AbortSignal.any(ends);
    const answer = await answerAt(url, guard, signal, {
      method,
      headers: headersOf(new Headers(init.headers)),
      ...(body === undefined || body === null ? {} : { body: textOf(body) }),
    });
    return responseOf(answer);
  };
}

function headersOf(given: Headers): OutgoingHttpHeaders {
  // What is compressed would have to be bounded twice, and its events would come late.
  return { 'user-agent': 'Tailrace', ...Object.fromEntries(given), 'accept-encoding': 'identity' };
}

function textOf(body: unknown): string {
  if (typeof body === 'string') return body;
  if (body instanceof URLSearchParams) return body.toString();
  throw new TypeError('Messages of MCP are sent as text.');
}

function responseOf(answer: IncomingMessage): Response {
  const { statusCode = 0, rawHeaders } = answer;
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  }
  const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (statusCode < 200 || statusCode > 599 || encoding !== 'identity') {
    answer.destroy();
    const what = encoding === 'identity' ? `status ${statusCode}` : 'a compressed body';
    throw new FetchFailure(`answered with ${what}, which was not asked for`);
  }
  if (NO_BODY.has(statusCode)) {
    answer.resume();
    return new Response(null, { status: statusCode, headers });
  }
  // Never unheard: who reads hears of it by the stream.
  answer.on('error', () => undefined);
  const body = Readable.toWeb(Readable.from(bounded(answer), { objectMode: false }));
  return new Response(body as ReadableStream<Uint8Array>, { status: statusCode, headers });
}

async function* bounded(answer: IncomingMessage): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_MCP_ANSWER_BYTES) {
      throw new FetchFailure(`answered with more than ${MAX_MCP_ANSWER_BYTES} bytes`);
    }
    for (let at = 0; at < chunk.length; at += MCP_BYTES_AT_ONCE) {
      yield chunk.subarray(at, at + MCP_BYTES_AT_ONCE);
      // Else all that has come is read in one go, and a thousand small messages take longer than to send them.
      await setImmediate();
    }
  }
}
