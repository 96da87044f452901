// The connection with an MCP server that is a program of the operator's: so many at once in this process, and each
// started once more where it ends at the newest revision's first question.
import type { ChatKey } from '../../chat/chat-key.ts';
import { MAX_WAITING_MCP_PROCESSES, MCP_PROCESSES } from '../../chat/limits.ts';
import { createFairPlaces } from '../../processes/fair-places.ts';
import { begin, type Connected } from './mcp-connect.ts';
import { McpFailure } from './mcp-failure.ts';
import { type OnLine, processTransport } from './mcp-process.ts';
import type { McpProgram } from './own-servers.ts';

/** For the programs of all chats. */
const PLACES = createFairPlaces(MCP_PROCESSES, MAX_WAITING_MCP_PROCESSES);

const WHY_NONE = `${MCP_PROCESSES} such programs may run here at once, the last for a tenant that has none`;

/** Those that know only older revisions are not asked again. */
const OLDER = new WeakSet<McpProgram>();

export interface ProgramRun {
  readonly whose: ChatKey;
  /** Hears what the program says on its standard error. */
  readonly onLine: OnLine;
  /** For all of it, a place included. */
  readonly openMs: number;
  readonly runSignal: AbortSignal;
}

export async function connectProgram(
  program: McpProgram,
  { whose, onLine, openMs, runSignal }: ProgramRun,
  places = PLACES,
): Promise<Connected> {
  const lateMs = performance.now() + openMs;
  const leftMs = (): number => Math.max(1, Math.ceil(lateMs - performance.now()));
  const waits = AbortSignal.any([runSignal, AbortSignal.timeout(openMs)]);
  const giveBack = await places.take(whose, 1, waits).catch((cause: unknown) => {
    runSignal.throwIfAborted();
    throw new McpFailure(`found no place in time: ${WHY_NONE}`, { cause });
  });
  if (giveBack === undefined) {
    throw new McpFailure(`found no place, and too many wait for one: ${WHY_NONE}`);
  }
  const start = async (mode: 'auto' | 'legacy'): Promise<Connected> => {
    const transport = processTransport(program, onLine);
    try {
      const begun = await begin(transport, leftMs(), runSignal, mode);
      if (begun.client.getProtocolEra() === 'legacy') OLDER.add(program);
      void transport.gone.then(giveBack);
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
    giveBack();
    throw error;
  }
}

class ProgramEnded extends McpFailure {}
