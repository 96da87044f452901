// A session that outlives its server's memory: where a server says that it knows it no more (404, as after a
// restart), another takes its place, and what was asked is asked again. It was not carried out: nobody knew who
// asked.
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { AddressGuard } from '../address-guard.ts';
import { statusOf } from './mcp-failure.ts';
import { type McpSession, openSession } from './mcp-session.ts';

const UNKNOWN_SESSION = 404;

export async function openLastingSession(
  server: McpServer,
  guard: AddressGuard,
  runSignal: AbortSignal,
): Promise<McpSession> {
  let current = await openSession(server, guard, runSignal);
  let opening: Promise<McpSession> | undefined;
  let isNew = false;
  const openAnew = async (lost: McpSession): Promise<McpSession> => {
    const opened = await openSession(server, guard, runSignal);
    current = opened;
    // It may be another version of the server.
    isNew = true;
    await lost.close();
    return opened;
  };
  const after = (lost: McpSession): Promise<McpSession> => {
    if (current !== lost) return Promise.resolve(current);
    opening ??= openAnew(lost).finally(() => {
      opening = undefined;
    });
    return opening;
  };
  const withSession = async <T>(use: (session: McpSession) => Promise<T>): Promise<T> => {
    const used = current;
    try {
      return await use(used);
    } catch (error) {
      if (statusOf(error) !== UNKNOWN_SESSION) throw error;
      return use(await after(used));
    }
  };
  return {
    timeoutMs: current.timeoutMs,
    list: (signal) => withSession((session) => session.list(signal)),
    call: (tool, input, signal, traceparent) =>
      withSession((session) => session.call(tool, input, signal, traceparent)),
    takeChanged: () => {
      const was = current.takeChanged() || isNew;
      isNew = false;
      return was;
    },
    withoutSecrets: (text) => current.withoutSecrets(text),
    close: async () => {
      await opening?.catch(() => undefined);
      await current.close();
    },
  };
}
