// The connection with an MCP server that is a program of the operator's: so many at once in this process, and each
// started once more where it ends at the newest revision's first question.
import { MCP_PROCESSES } from '../../chat/limits.ts';
import { createPlaces } from '../fetch/places.ts';
import { begin, type Connected } from './mcp-connect.ts';
import { McpFailure } from './mcp-failure.ts';
import { type OnLine, processTransport } from './mcp-process.ts';
import type { McpProgram } from './own-servers.ts';

/** For the programs of all chats. */
const PLACES = createPlaces(MCP_PROCESSES);

/** Those that know only older revisions are not asked again. */
const OLDER = new WeakSet<McpProgram>();

/** `onLine`: hears what the program says on its standard error. */
export async function connectProgram(
  program: McpProgram,
  onLine: OnLine,
  openMs: number,
  runSignal: AbortSignal,
): Promise<Connected> {
  const lateMs = performance.now() + openMs;
  const leftMs = (): number => Math.max(1, Math.ceil(lateMs - performance.now()));
  await PLACES.take(AbortSignal.any([runSignal, AbortSignal.timeout(openMs)])).catch(
    (cause: unknown) => {
      runSignal.throwIfAborted();
      const words = `found no place in time: ${MCP_PROCESSES} such programs run here already`;
      throw new McpFailure(words, { cause });
    },
  );
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  void closed.then(PLACES.giveBack);
  const start = async (mode: 'auto' | 'legacy'): Promise<Connected> => {
    const transport = processTransport(program, onLine);
    try {
      const begun = await begin(transport, leftMs(), runSignal, mode);
      if (begun.client.getProtocolEra() === 'legacy') OLDER.add(program);
      void transport.gone.then(onClosed);
      return { ...begun, terminate: () => Promise.resolve(), ended: transport.ended };
    } catch (error) {
      await transport.close();
      const how = transport.ended();
      throw how === undefined ? error : new ProgramEnded(how, { cause: error });
    }
  };
  try {
    if (OLDER.has(program)) return await start('legacy');
    return await start('auto').catch((error: unknown) => {
      // Older ones end where anything is asked before they are initialized.
      if (error instanceof ProgramEnded && !runSignal.aborted) return start('legacy');
      throw error;
    });
  } catch (error) {
    OLDER.delete(program);
    onClosed();
    throw error;
  }
}

class ProgramEnded extends McpFailure {}
