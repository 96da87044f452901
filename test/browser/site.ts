// Runs in the browser, in a page of another origin: the client as a web shop would use it. The test looks at what is on
// `window.shop`.
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import type { TailraceClient } from '../../clients/typescript/src/tailrace.ts';
import {
  ChatStreamStatus,
  createTailraceClient,
  TailraceError,
} from '../../clients/typescript/src/tailrace.ts';

export interface Seen {
  kinds: string[];
  sequences: number[];
  text: string;
  status: string;
  verified: boolean;
  /** Set when the observation is over: empty, or why. */
  over: string | undefined;
  /** From each loss to the next attached frame. */
  resumeMs: number[];
}

export interface Shop {
  seen: Seen;
  readonly open: (protocol: 'Connect' | 'gRPC-Web', baseUrl: string, silenceMs: number) => void;
  readonly start: (prompt: string) => Promise<string>;
  readonly watch: (streamId: string) => void;
  readonly cancel: (streamId: string) => Promise<string>;
  readonly reasonOf: (streamId: string) => Promise<string>;
}

declare global {
  // What a page adds to its window is declared so.
  var shop: Shop;
}

let client: TailraceClient;

function statusName(status: ChatStreamStatus): string {
  return Object.entries(ChatStreamStatus).find(([, value]) => value === status)?.[0] ?? '';
}

globalThis.shop = {
  seen: nothing(),
  open: (protocol, baseUrl, silenceMs) => {
    const create = protocol === 'Connect' ? createConnectTransport : createGrpcWebTransport;
    client = createTailraceClient(create({ baseUrl, useBinaryFormat: true }), { silenceMs });
  },
  start: async (prompt) => (await client.initiate(prompt)).streamId,
  watch: (streamId) => {
    globalThis.shop.seen = nothing();
    void observe(streamId, globalThis.shop.seen);
  },
  cancel: async (streamId) => statusName((await client.cancel(streamId)).status),
  reasonOf: (streamId) =>
    client.get(streamId).then(
      () => '',
      (error: unknown) => String(TailraceError.from(error).reason),
    ),
};

function nothing(): Seen {
  return {
    kinds: [],
    sequences: [],
    text: '',
    status: '',
    verified: false,
    over: undefined,
    resumeMs: [],
  };
}

async function observe(streamId: string, seen: Seen): Promise<void> {
  let lostAt: number | undefined;
  try {
    for await (const update of client.observe(streamId)) {
      seen.kinds.push(update.kind);
      seen.text = update.snapshot.text;
      seen.status = statusName(update.snapshot.status);
      seen.verified = update.snapshot.verified;
      if (update.kind === 'event') seen.sequences.push(update.event.sequence);
      if (update.kind === 'reconnecting') lostAt ??= performance.now();
      if (update.kind === 'attached' && lostAt !== undefined) {
        seen.resumeMs.push(performance.now() - lostAt);
        lostAt = undefined;
      }
    }
    seen.over = '';
  } catch (error) {
    seen.over = String(error);
  }
}
