// The page's way to the server it came from, which may be cut on purpose: to see that a chat does not mind.
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';

export interface Network {
  readonly transport: Transport;
  /** Breaks every call off and lets none begin until the time is over. */
  readonly cutFor: (ms: number) => void;
}

export function openNetwork(): Network {
  let cut = new AbortController();
  let downUntilMs = 0;
  return {
    transport: createConnectTransport({
      baseUrl: location.origin,
      useBinaryFormat: true,
      fetch: (input, init) => {
        if (Date.now() < downUntilMs) return Promise.reject(new TypeError('The network is cut.'));
        const signals = [cut.signal, ...(init?.signal ? [init.signal] : [])];
        return fetch(input, { ...init, signal: AbortSignal.any(signals) });
      },
    }),
    cutFor: (ms) => {
      downUntilMs = Date.now() + ms;
      cut.abort(new TypeError('The network was cut.'));
      cut = new AbortController();
    },
  };
}
