// Two servers on loopback for the guarded fetch: one at the address that the operator allows, and one that nothing may
// reach, at the same port, so that only the address tells them apart.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, BlockList } from 'node:net';
import type { HostLookup } from '../../../src/tools/fetch/address-guard.ts';
import { FetchFailure } from '../../../src/tools/fetch/fetch-failure.ts';
import {
  createGuardedFetch,
  type Fetched,
  type GuardedFetchOptions,
} from '../../../src/tools/fetch/guarded-fetch.ts';

/** For fetches that nobody aborts. */
export const NEVER = new AbortController().signal;
export const HOME = '127.0.0.1';

/** HOME and nothing else. */
export const allowed = new BlockList();
allowed.addAddress(HOME);

export interface FetchSite extends AsyncDisposable {
  readonly port: number;
  /** By path, at HOME. */
  pages: Readonly<Record<string, RequestListener>>;
  /** What was asked for where nothing may be. */
  readonly reached: readonly string[];
  readonly at: (path: string) => string;
}

export async function startFetchSite(): Promise<FetchSite> {
  const reached: string[] = [];
  const home = createServer((request, response) => {
    const page = site.pages[request.url ?? ''];
    if (page === undefined) response.writeHead(404).end();
    else page(request, response);
  });
  await once(home.listen(0, HOME), 'listening');
  const { port } = home.address() as AddressInfo;
  const secret = createServer((request, response) => {
    reached.push(request.url ?? '');
    response.end('secret');
  });
  await once(secret.listen(port, '127.0.0.2'), 'listening');
  const site: FetchSite = {
    port,
    pages: {},
    reached,
    at: (path) => `http://${HOME}:${port}${path}`,
    [Symbol.asyncDispose]: async () => {
      for (const server of [home, secret]) {
        const closed = once(server, 'close');
        server.closeAllConnections();
        server.close();
        await closed;
      }
    },
  };
  return site;
}

const noNames: HostLookup = (name) => Promise.reject(new Error(`${name} was looked up`));

export function fetched(
  url: string,
  options: GuardedFetchOptions = {},
  signal: AbortSignal = NEVER,
): Promise<Fetched> {
  const fetch = createGuardedFetch(allowed, { lookup: noNames, ...options });
  return fetch(url, () => undefined, signal);
}

/** What is said of a fetch that must fail. */
export async function words(fetching: Promise<unknown>): Promise<string> {
  const error = await fetching.then(
    () => assert.fail('it was fetched'),
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof FetchFailure, String(error));
  return error.message;
}
