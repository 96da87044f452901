// Reads what lies at an address that a caller, a model or a redirect gave: http and https, from hosts that the
// guard lets through, bounded in everything. On node:http rather than undici: node bundles undici without its
// dispatchers, and `lookup` is all that it takes to connect to exactly the addresses that were checked. Each
// call has a connection of its own and no proxy. What does not belong here: what the bytes mean.
import type { LookupAddress } from 'node:dns';
import { type IncomingMessage, type OutgoingHttpHeaders, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { BlockList, LookupFunction } from 'node:net';
import {
  FETCH_MS,
  MAX_FETCH_BYTES,
  MAX_FETCH_HEADER_BYTES,
  MAX_FETCH_REDIRECTS,
} from '../../chat/limits.ts';
import { type AddressGuard, createAddressGuard, type HostLookup } from './address-guard.ts';
import { bodyOf } from './fetched-body.ts';
import { FetchFailure } from './fetch-failure.ts';

export interface Fetched {
  /** Where it was in the end. */
  readonly url: string;
  /** As the server said; empty: it did not. */
  readonly contentType: string;
  readonly data: Buffer;
}

/**
 * `refusal`: why a Content-Type is not wanted, in words that go on after the address; undefined: it is. Rejects
 * with FetchFailure, and with the signal's reason.
 */
export type GuardedFetch = (
  url: string,
  refusal: (contentType: string) => string | undefined,
  signal: AbortSignal,
) => Promise<Fetched>;

export interface GuardedFetchOptions {
  readonly lookup?: HostLookup;
  readonly timeoutMs?: number;
  readonly maxBytes?: number;
}

export function createGuardedFetch(
  allowed: BlockList,
  options: GuardedFetchOptions = {},
): GuardedFetch {
  const guard = createAddressGuard(allowed, options.lookup);
  const { timeoutMs = FETCH_MS, maxBytes = MAX_FETCH_BYTES } = options;
  return async (address, refusal, signal) => {
    signal.throwIfAborted();
    const timeout = AbortSignal.timeout(timeoutMs);
    const ended = AbortSignal.any([signal, timeout]);
    let redirects = 0;
    try {
      let url = parsed(address);
      for (;;) {
        const response = await answerAt(url, guard, ended);
        try {
          const next = redirectOf(response, url);
          if (next === undefined) {
            const contentType = contentTypeOf(response, refusal);
            return { url: url.href, contentType, data: await bodyOf(response, maxBytes) };
          }
          if (++redirects > MAX_FETCH_REDIRECTS) {
            throw new FetchFailure(`is redirected again after ${MAX_FETCH_REDIRECTS} redirects`);
          }
          url = parsed(next);
        } finally {
          response.destroy();
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      if (timeout.aborted) {
        throw new FetchFailure(`took longer than ${timeoutMs / 1_000} s, the most that it may`);
      }
      const failure =
        error instanceof FetchFailure ? error : new FetchFailure('broke off', { cause: error });
      if (redirects === 0 || redirects > MAX_FETCH_REDIRECTS) throw failure;
      throw new FetchFailure(`redirects to an address that ${failure.message}`, {
        cause: failure.cause,
      });
    }
  };
}

/** What is asked for at an address, beside the address. */
export interface Ask {
  readonly method: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body?: string;
}

const PAGE: Ask = {
  method: 'GET',
  headers: {
    accept: 'text/markdown, text/html;q=0.9, application/pdf;q=0.9, text/*;q=0.8, */*;q=0.5',
    'accept-encoding': 'gzip, deflate, br',
    'user-agent': 'Tailrace',
  },
};

/** Throws FetchFailure. */
export function parsed(address: string): URL {
  const url = URL.parse(address);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new FetchFailure('is no http or https address');
  }
  if (url.username !== '' || url.password !== '') {
    throw new FetchFailure('has a user name or password in it, which is not sent; leave it out');
  }
  url.hash = '';
  return url;
}

/** One request and the beginning of its answer, whatever it is. Rejects with FetchFailure. */
export async function answerAt(
  url: URL,
  guard: AddressGuard,
  signal: AbortSignal,
  ask: Ask = PAGE,
): Promise<IncomingMessage> {
  const addresses = await guard.addressesOf(url.hostname, signal);
  if (addresses === undefined) {
    throw new FetchFailure(
      'may not be fetched: its host is not known, or is not at a public address; those, and ranges that the operator allows, may',
    );
  }
  try {
    return await send(url, addresses, signal, ask);
  } catch (error) {
    throw new FetchFailure(noAnswer(error), { cause: error });
  }
}

function send(
  url: URL,
  addresses: readonly LookupAddress[],
  signal: AbortSignal,
  { method, headers, body }: Ask,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
    agent: false,
    maxHeaderSize: MAX_FETCH_HEADER_BYTES,
    signal,
    lookup: only(addresses),
    method,
    headers,
  });
  request.once('response', resolve);
  request.once('upgrade', (_, socket) => {
    socket.destroy();
    reject(new Error('101'));
  });
  // Also after the answer has begun: its reader hears of it by the answer.
  request.on('error', reject);
  request.end(body);
  return promise;
}

/** Answers for a name with the addresses that were checked. Literals are connected to without it. */
function only(addresses: readonly LookupAddress[]): LookupFunction {
  return (_name, { all }, answer) => {
    const [first] = addresses;
    if (all === true) answer(null, [...addresses]);
    else if (first !== undefined) answer(null, first.address, first.family);
  };
}

function noAnswer(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'HPE_HEADER_OVERFLOW') {
    return `answered with more than ${MAX_FETCH_HEADER_BYTES} bytes of headers`;
  }
  if (code.startsWith('HPE_')) return 'answered with what is no HTTP';
  if (/CERT|SIGNATURE|SSL|TLS/.test(code)) return 'has no certificate that can be trusted';
  return 'cannot be reached';
}

const REDIRECTS: ReadonlySet<number | undefined> = new Set([301, 302, 303, 307, 308]);

function redirectOf({ statusCode, headers }: IncomingMessage, from: URL): string | undefined {
  if (!REDIRECTS.has(statusCode)) return undefined;
  const { location } = headers;
  if (location === undefined) {
    throw new FetchFailure(`answered with status ${statusCode} and no Location`);
  }
  // Headers come as Latin-1; the web writes UTF-8 into them.
  const text = Buffer.from(location, 'latin1').toString();
  return URL.parse(text, from.href)?.href ?? text;
}

function contentTypeOf(
  { statusCode = 0, headers }: IncomingMessage,
  refusal: (contentType: string) => string | undefined,
): string {
  if (statusCode < 200 || statusCode > 299) {
    throw new FetchFailure(`answered with status ${statusCode}`);
  }
  const contentType = headers['content-type'] ?? '';
  const refused = refusal(contentType);
  if (refused !== undefined) throw new FetchFailure(refused);
  return contentType;
}
