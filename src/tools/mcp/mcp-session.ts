// One session with one MCP server, by the official client library: streamable HTTP, in the revision of 2026-07-28
// (which knows no sessions: to end one is nothing there) or an older one, and where the server is older than that,
// SSE. What does not belong here: what becomes of its tools.
import {
  type CallToolResult,
  Client,
  type FetchLike,
  SSEClientTransport,
  StreamableHTTPClientTransport,
  type Tool,
  TRACEPARENT_META_KEY,
  type Transport,
} from '@modelcontextprotocol/client';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import {
  MAX_MCP_LISTED_TOOLS,
  MAX_MCP_PAGES,
  MAX_MCP_TIMEOUT_MS,
  MCP_CLOSE_MS,
  MCP_OPEN_MS,
  MCP_TIMEOUT_MS,
} from '../../chat/limits.ts';
import type { AddressGuard } from '../address-guard.ts';
import { authOf } from './mcp-auth.ts';
import { McpFailure, statusOf } from './mcp-failure.ts';
import { createMcpFetch } from './mcp-fetch.ts';
import { createSecrets } from './mcp-secrets.ts';

export interface McpSession {
  /** For one answer. */
  readonly timeoutMs: number;
  /** Rejects with what the library or the fetch rejects with. */
  readonly list: (signal: AbortSignal) => Promise<readonly Tool[]>;
  /** The same; `signal` is sent on as a cancel, and `traceparent` with the call, where there is one. */
  readonly call: (
    tool: Tool,
    input: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
    traceparent: string,
  ) => Promise<CallToolResult>;
  /** Whether the server has said, since this was asked last, that its tools have changed. */
  readonly takeChanged: () => boolean;
  /** Takes what the server was given in confidence out of what it says. */
  readonly withoutSecrets: (text: string) => string;
  /** Tells the server that it is over, and is over soon whatever the server does. */
  readonly close: () => Promise<void>;
}

export async function openSession(
  server: McpServer,
  guard: AddressGuard,
  runSignal: AbortSignal,
): Promise<McpSession> {
  const timeoutMs = timeoutOf(server);
  const openMs = Math.min(timeoutMs, MCP_OPEN_MS);
  const ending = new AbortController();
  const secrets = createSecrets(server);
  const fetch = createMcpFetch(guard, { signal: ending.signal, timeoutMs });
  const authProvider = authOf(server, fetch, secrets.add);
  const options: Options = {
    fetch,
    requestInit: { headers: server.headers },
    ...(authProvider === undefined ? {} : { authProvider }),
  };
  try {
    const connected = await connect(new URL(server.url), options, openMs, runSignal);
    return sessionOf(connected, { timeoutMs, openMs, ending, withoutSecrets: secrets.hide });
  } catch (error) {
    ending.abort();
    throw error;
  }
}

export function timeoutOf({ timeout }: McpServer): number {
  if (timeout === undefined) return MCP_TIMEOUT_MS;
  return Math.min(Math.max(1, Math.ceil(durationMs(timeout))), MAX_MCP_TIMEOUT_MS);
}

interface Options {
  readonly fetch: FetchLike;
  readonly requestInit: { readonly headers: Record<string, string> };
  readonly authProvider?: NonNullable<ReturnType<typeof authOf>>;
}

interface Begun {
  readonly client: Client;
  readonly transport: Transport;
  /** Whether its tools have changed since this was called last. */
  readonly takeChanged: () => boolean;
}

interface Connected extends Begun {
  /** Ends the session at the server, where that can be said. */
  readonly terminate: () => Promise<void>;
}

async function connect(
  url: URL,
  options: Options,
  openMs: number,
  runSignal: AbortSignal,
): Promise<Connected> {
  const transport = new StreamableHTTPClientTransport(url, {
    ...options,
    onInsufficientScope: 'throw',
  });
  try {
    const begun = await begin(transport, openMs, runSignal);
    return { ...begun, terminate: () => transport.terminateSession() };
  } catch (error) {
    if (!isOlder(statusOf(error))) throw error;
    const older = new SSEClientTransport(url, options);
    try {
      const begun = await begin(older, openMs, runSignal);
      return { ...begun, terminate: () => Promise.resolve() };
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

async function begin(transport: Transport, openMs: number, runSignal: AbortSignal): Promise<Begun> {
  let changed = false;
  const onChanged = (): void => {
    changed = true;
  };
  const client = new Client(
    { name: 'tailrace', version: '0.1.0' },
    {
      capabilities: {},
      versionNegotiation: { mode: 'auto' },
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

interface SessionParts {
  readonly timeoutMs: number;
  readonly openMs: number;
  readonly ending: AbortController;
  readonly withoutSecrets: (text: string) => string;
}

function sessionOf(
  { client, transport, takeChanged, terminate }: Connected,
  { timeoutMs, openMs, ending, withoutSecrets }: SessionParts,
): McpSession {
  const underWay = watchNotifications(transport);
  return {
    timeoutMs,
    withoutSecrets,
    takeChanged,
    list: async (signal) => {
      if (client.getServerCapabilities()?.tools === undefined) return [];
      return listAll(client, openMs, signal);
    },
    call: (tool, input, signal, traceparent) => {
      // A result is the model's to judge: to hold it against a stranger's schema would have no bound.
      const { outputSchema: _schema, ...toolDefinition } = tool;
      return client.callTool(
        {
          name: tool.name,
          arguments: { ...input },
          ...(traceparent === '' ? {} : { _meta: { [TRACEPARENT_META_KEY]: traceparent } }),
        },
        {
          signal,
          timeout: timeoutMs,
          // Asked for, so that what lies between keeps the connection; it makes no wait longer.
          onprogress: () => undefined,
          // For the headers that a tool wants beside its input.
          toolDefinition,
        },
      );
    },
    close: async () => {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, MCP_CLOSE_MS);
      // A cancel is to come before the end of its session.
      const ended = Promise.allSettled(underWay).then(terminate);
      await Promise.race([ended.catch(() => undefined), late]);
      clearTimeout(timer);
      await client.close().catch(() => undefined);
      ending.abort();
    },
  };
}

async function listAll(client: Client, timeout: number, signal: AbortSignal): Promise<Tool[]> {
  const tools: Tool[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_MCP_PAGES; page++) {
    const params = cursor === undefined ? {} : { cursor };
    // Not by listTools, which holds on to all of it, and compiles the schemas that results are to have.
    const listed = await client.request({ method: 'tools/list', params }, { timeout, signal });
    tools.push(...listed.tools.slice(0, MAX_MCP_LISTED_TOOLS + 1 - tools.length));
    if (listed.nextCursor === undefined || tools.length > MAX_MCP_LISTED_TOOLS) return tools;
    cursor = listed.nextCursor;
  }
  throw new McpFailure(`lists its tools on more than ${MAX_MCP_PAGES} pages`);
}

/** Those that are being sent. */
function watchNotifications(transport: Transport): ReadonlySet<Promise<void>> {
  const underWay = new Set<Promise<void>>();
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    const sent = send(message, options);
    if (!('id' in message)) {
      underWay.add(sent);
      void sent.catch(() => undefined).then(() => underWay.delete(sent));
    }
    return sent;
  };
  return underWay;
}
