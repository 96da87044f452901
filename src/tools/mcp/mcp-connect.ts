// The connection with an MCP server that a session stands on: streamable HTTP, in the revision of 2026-07-28 (which
// knows no sessions: to end one is nothing there) or an older one, and where the server is older than that, SSE.
// What does not belong here: a server that is a program, and what is said once there is a connection.
import {
  type AuthProvider,
  Client,
  type FetchLike,
  SSEClientTransport,
  StreamableHTTPClientTransport,
  type Transport,
} from '@modelcontextprotocol/client';
import { MCP_PROBE_MS } from '../../chat/limits.ts';
import { McpFailure, statusOf } from './mcp-failure.ts';

export interface AddressOptions {
  readonly fetch: FetchLike;
  readonly requestInit: { readonly headers: Record<string, string> };
  readonly authProvider?: AuthProvider;
}

export interface Begun {
  readonly client: Client;
  readonly transport: Transport;
  /** Whether its tools have changed since this was called last. */
  readonly takeChanged: () => boolean;
}

export interface Connected extends Begun {
  /** Ends the session at the server, where that can be said. */
  readonly terminate: () => Promise<void>;
  /** How the program has ended; undefined: it has not, or there is none. */
  readonly ended: () => string | undefined;
}

export async function connectAddress(
  url: URL,
  options: AddressOptions,
  openMs: number,
  runSignal: AbortSignal,
): Promise<Connected> {
  const transport = new StreamableHTTPClientTransport(url, {
    ...options,
    onInsufficientScope: 'throw',
  });
  try {
    const begun = await begin(transport, openMs, runSignal);
    return { ...begun, terminate: () => transport.terminateSession(), ended: () => undefined };
  } catch (error) {
    if (!isOlder(statusOf(error))) throw error;
    const older = new SSEClientTransport(url, options);
    try {
      const begun = await begin(older, openMs, runSignal);
      return { ...begun, terminate: () => Promise.resolve(), ended: () => undefined };
    } catch {
      // It is neither: what it said to the way of today is what is wrong.
      throw error;
    }
  }
}

/** What a server that knows SSE alone answers to the other: 4xx, but for what is about who asks. */
function isOlder(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && !ABOUT_THE_CALLER.has(status);
}

const ABOUT_THE_CALLER: ReadonlySet<number> = new Set([401, 403, 429]);

export async function begin(
  transport: Transport,
  openMs: number,
  runSignal: AbortSignal,
  mode: 'auto' | 'legacy' = 'auto',
): Promise<Begun> {
  let changed = false;
  const onChanged = (): void => {
    changed = true;
  };
  const client = new Client(
    { name: 'tailrace', version: '0.1.0' },
    {
      capabilities: {},
      versionNegotiation: {
        mode,
        ...(mode === 'auto' ? { probe: { timeoutMs: Math.min(openMs / 2, MCP_PROBE_MS) } } : {}),
      },
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged } },
    },
  );
  // What fails is heard by whoever asked; the rest is a server that talks nonsense between.
  Object.assign(client, { onerror: () => undefined });
  const late = AbortSignal.timeout(openMs);
  const signal = AbortSignal.any([runSignal, late]);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    reject(late.aborted ? new McpFailure('did not answer in time') : signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const connected = client.connect(transport, { timeout: openMs, signal });
    await Promise.race([connected, aborted]);
    return {
      client,
      transport,
      takeChanged: () => {
        const was = changed;
        changed = false;
        return was;
      },
    };
  } catch (error) {
    await client.close().catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    aborted.catch(() => undefined);
  }
}
