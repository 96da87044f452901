// One session with one MCP server, by the official client library: opened, its tools listed and called, ended. What
// does not belong here: how a server is reached, and what becomes of its tools.
import {
  type CallToolResult,
  type Client,
  type Progress,
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
import { authOf } from './mcp-auth.ts';
import { type AddressOptions, connectAddress, type Connected } from './mcp-connect.ts';
import { McpFailure } from './mcp-failure.ts';
import { createMcpFetch } from './mcp-fetch.ts';
import { connectProgram } from './mcp-program.ts';
import { createSecrets } from './mcp-secrets.ts';
import type { McpTarget } from './mcp-target.ts';

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
    tell: (progress: Progress) => void,
  ) => Promise<CallToolResult>;
  /** Whether the server has said, since this was asked last, that its tools have changed. */
  readonly takeChanged: () => boolean;
  /** Takes what the server was given in confidence out of what it says. */
  readonly withoutSecrets: (text: string) => string;
  /** Its program has ended: no call gets an answer any more. */
  readonly isOver: () => boolean;
  /** Tells the server that it is over, and is over soon whatever the server does. */
  readonly close: () => Promise<void>;
}

export async function openSession(target: McpTarget, runSignal: AbortSignal): Promise<McpSession> {
  const { server, guard, program, whose } = target;
  const timeoutMs = timeoutOf(server);
  const openMs = Math.min(timeoutMs, MCP_OPEN_MS);
  const ending = new AbortController();
  const secrets = createSecrets(server, program?.secrets);
  const parts = { timeoutMs, openMs, ending, withoutSecrets: secrets.hide };
  if (program !== undefined) {
    const onLine = (line: string, isCut: boolean): void => {
      target.onLine(isCut ? secrets.hideCut(line) : secrets.hide(line));
    };
    return sessionOf(await connectProgram(program, { whose, onLine, openMs, runSignal }), parts);
  }
  const fetch = createMcpFetch(guard, { signal: ending.signal, timeoutMs });
  const authProvider = authOf(server, fetch, secrets.add);
  const options: AddressOptions = {
    fetch,
    requestInit: { headers: server.headers },
    ...(authProvider === undefined ? {} : { authProvider }),
  };
  try {
    const connected = await connectAddress(new URL(server.url), options, openMs, runSignal);
    return sessionOf(connected, parts);
  } catch (error) {
    ending.abort();
    throw error;
  }
}

export function timeoutOf({ timeout }: McpServer): number {
  if (timeout === undefined) return MCP_TIMEOUT_MS;
  return Math.min(Math.max(1, Math.ceil(durationMs(timeout))), MAX_MCP_TIMEOUT_MS);
}

interface SessionParts {
  readonly timeoutMs: number;
  readonly openMs: number;
  readonly ending: AbortController;
  readonly withoutSecrets: (text: string) => string;
}

function sessionOf(
  { client, transport, takeChanged, terminate, ended }: Connected,
  { timeoutMs, openMs, ending, withoutSecrets }: SessionParts,
): McpSession {
  const underWay = watchNotifications(transport);
  return {
    timeoutMs,
    withoutSecrets,
    takeChanged,
    isOver: () => ended() !== undefined,
    list: async (signal) => {
      if (client.getServerCapabilities()?.tools === undefined) return [];
      return orEnded(listAll(client, openMs, signal), ended);
    },
    call: (tool, input, signal, traceparent, tell) => {
      // A result is the model's to judge: to hold it against a stranger's schema would have no bound.
      const { outputSchema: _schema, ...toolDefinition } = tool;
      const called = client.callTool(
        {
          name: tool.name,
          arguments: { ...input },
          ...(traceparent === '' ? {} : { _meta: { [TRACEPARENT_META_KEY]: traceparent } }),
        },
        {
          signal,
          timeout: timeoutMs,
          // Asked for in any case, so that what lies between keeps the connection; it makes no wait longer.
          onprogress: tell,
          // For the headers that a tool wants beside its input.
          toolDefinition,
        },
      );
      return orEnded(called, ended);
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

/** Where the program has ended, that is why nothing came. */
async function orEnded<T>(answer: Promise<T>, ended: Connected['ended']): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    const how = ended();
    throw how === undefined ? cause : new McpFailure(how, { cause });
  }
}

/** `timeout`: for all pages together. */
async function listAll(client: Client, timeout: number, runSignal: AbortSignal): Promise<Tool[]> {
  const late = AbortSignal.timeout(timeout);
  const signal = AbortSignal.any([runSignal, late]);
  try {
    return await listPages(client, timeout, signal);
  } catch (cause) {
    if (!late.aborted || runSignal.aborted) throw cause;
    throw new McpFailure('did not answer in time', { cause });
  }
}

async function listPages(client: Client, timeout: number, signal: AbortSignal): Promise<Tool[]> {
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
