// The tools that a chat has of MCP servers: sessions opened side by side, the tools on them taken as far as they
// may be, and all of it closed with the run. A server that cannot be used is a warning, and its tools are missing.
import type { CallToolResult, Tool } from '@modelcontextprotocol/client';
import { ProtocolError } from '@modelcontextprotocol/client';
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import { MAX_MCP_ERROR_CHARS } from '../../chat/limits.ts';
import type { ModelWarning } from '../../chat/ports/model.ts';
import type {
  ToolRunScope,
  OpenTools,
  ServerTool,
  ToolAnswer,
  ToolProgress,
} from '../../chat/ports/tool.ts';
import { ToolFailure } from '../../chat/ports/tool.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import type { AddressGuard } from '../fetch/address-guard.ts';
import { wordsOf } from './mcp-failure.ts';
import { type Listed, takenTools } from './mcp-listing.ts';
import { resultParts, textOf } from './mcp-result.ts';
import { openLastingSession } from './mcp-lasting-session.ts';
import type { McpSession } from './mcp-session.ts';
import { type McpTarget, targetOf } from './mcp-target.ts';
import type { OwnMcpServer } from './own-servers.ts';

export interface McpParts {
  /** For the servers that requests give by their url. */
  readonly guard: AddressGuard;
  /** The operator's, by their names. */
  readonly own: readonly OwnMcpServer[];
  readonly logger: Pick<Logger, 'debug'>;
}

/** A server that answers, and what it listed last. */
interface Served extends Listed {
  readonly session: McpSession;
}

/** `names`: those that the chat's other tools have. Does not reject. */
export async function openMcpTools(
  servers: readonly McpServer[],
  names: ReadonlySet<string>,
  parts: McpParts,
  run: ToolRunScope,
): Promise<OpenTools> {
  const warn = warnOnce(run);
  let missing: string | undefined;
  const opened = await Promise.all(
    servers.map(async (server, place): Promise<Served | undefined> => {
      const field = `request.mcp_servers[${place}]`;
      let session: McpSession | undefined;
      try {
        const target = targetFor(server, parts, run);
        session = await openLastingSession(target, run.signal);
        const tools = await session.list(run.signal);
        const { withoutSecrets } = session;
        return { server, field, session, withoutSecrets, ownAllowed: target.allowedTools, tools };
      } catch (error) {
        await session?.close();
        const message = `The MCP server "${server.name}" cannot be used: it ${wordsOf(error)}.`;
        if (server.required) missing ??= `${message} The request says that it is required.`;
        else warn(unavailable(`${message} Its tools are missing.`, field));
        return undefined;
      }
    }),
  );
  const served = opened.filter((each) => each !== undefined);
  const serverTools = (): readonly ServerTool[] =>
    takenTools(served, names, warn).map(({ from, tool, ...taken }) => ({
      ...taken,
      server: from.server.name,
      timeoutMs: from.session.timeoutMs,
      idempotent: mayBeRepeated(tool),
      call: (input, ...how) => callOf(from, tool, input, ...how),
    }));
  let current = serverTools();
  return {
    missing,
    current: async () => {
      const changed = served.filter(({ session }) => session.takeChanged());
      if (changed.length === 0) return current;
      await Promise.all(
        changed.map(async (each) => {
          try {
            each.tools = await each.session.list(run.signal);
          } catch (error) {
            const { server, field } = each;
            const message = `The MCP server "${server.name}" has changed its tools, and ${wordsOf(error)} when asked for them. Those from before are kept.`;
            warn(unavailable(message, field));
          }
        }),
      );
      current = serverTools();
      return current;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(served.map(({ session }) => session.close()));
    },
  };
}

function targetFor(
  server: McpServer,
  { guard, own, logger }: McpParts,
  { command }: ToolRunScope,
): McpTarget {
  const fields = { ...fieldsOf(command), mcp_server: server.name };
  return targetOf(server, guard, {
    own,
    whose: command.chat,
    onLine: (line) => logger.debug({ ...fields, line }, 'an MCP server said'),
  });
}

/** The same is said once in a run; nothing is, when the run is over. */
function warnOnce({ signal, warn }: ToolRunScope): ToolRunScope['warn'] {
  const said = new Set<string>();
  return (warning) => {
    if (signal.aborted || said.has(warning.message)) return;
    said.add(warning.message);
    warn(warning);
  };
}

function unavailable(message: string, field: string): ModelWarning {
  return { reason: WarningReason.MCP_SERVER_UNAVAILABLE, message, field };
}

function mayBeRepeated({ annotations }: Tool): boolean {
  return annotations?.idempotentHint === true || annotations?.readOnlyHint === true;
}

async function callOf(
  { session, server, withoutSecrets }: Served,
  tool: Tool,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  traceparent: string,
  tell: (progress: ToolProgress) => void = () => undefined,
): Promise<ToolAnswer> {
  let result: CallToolResult;
  try {
    result = await session.call(
      tool,
      input,
      signal,
      traceparent,
      ({ progress, total, message }) => {
        if (signal.aborted || !Number.isFinite(progress)) return;
        const whole = Number.isFinite(total) ? total : undefined;
        tell({ progress, total: whole, message: withoutSecrets(message ?? '') });
      },
    );
  } catch (error) {
    signal.throwIfAborted();
    const said =
      error instanceof ProtocolError ? `says: ${withoutSecrets(error.message)}` : wordsOf(error);
    throw failure(`The call failed: the MCP server "${server.name}" ${said}.`);
  }
  const parts = resultParts(result).map((part) =>
    part.kind === 'text' ? { ...part, text: withoutSecrets(part.text) } : part,
  );
  if (result.isError !== true) return parts;
  const text = textOf(parts);
  throw failure(text === '' ? 'The tool failed.' : text);
}

function failure(text: string): ToolFailure {
  if (text.length <= MAX_MCP_ERROR_CHARS) return new ToolFailure(text);
  return new ToolFailure(`${text.slice(0, MAX_MCP_ERROR_CHARS).toWellFormed()}…`);
}
