// A session that outlives its server's memory: where a server says that it knows it no more (404, as after a
// restart), another takes its place, and what was asked is asked again. It was not carried out: nobody knew who
// asked. A program that has ended is started again for the next call, and not for the one that it ended in.
import { statusOf } from './mcp-failure.ts';
import { type McpSession, openSession } from './mcp-session.ts';
import type { McpTarget } from './mcp-target.ts';

const UNKNOWN_SESSION = 404;

export async function openLastingSession(
  target: McpTarget,
  runSignal: AbortSignal,
): Promise<McpSession> {
  let current = await openSession(target, runSignal);
  let opening: Promise<McpSession> | undefined;
  let isNew = false;
  const openAnew = async (lost: McpSession): Promise<McpSession> => {
    const opened = await openSession(target, runSignal);
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
    const used = current.isOver() ? await after(current) : current;
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
    call: (...asked) => withSession((session) => session.call(...asked)),
    takeChanged: () => {
      const was = current.takeChanged() || isNew;
      isNew = false;
      return was;
    },
    withoutSecrets: (text) => current.withoutSecrets(text),
    isOver: () => false,
    close: async () => {
      await opening?.catch(() => undefined);
      await current.close();
    },
  };
}
