// What an observer costs that waits: memory of the api process, before and with very many of them,
// each time after the collector was told to run. The heap with what it holds outside is what an
// observer has; resident memory is what the machine gives, in pages that others left behind as well.
import { type BareObservers, bareObservers, shared } from './bare-observers.ts';
import type { Inspector } from './inspector.ts';
import { inspected, openInspector } from './inspector.ts';
import { grpcLoad } from './load.ts';
import { startModelServerProcess, startTailraceProcess } from './processes.ts';

export interface IdleFigures {
  readonly what: string;
  readonly heapKib: number;
  readonly residentKib: number;
}

const LATER_MS = 600_000;
const SETTLE_MS = 500;
const SHAPES = [
  { what: 'one chat, one connection', chats: 1, connections: 1 },
  { what: 'one chat, a connection each', chats: 1, connections: undefined },
  { what: 'a chat each, one connection', chats: undefined, connections: 1 },
] as const;

/** KiB for each of `observers`, by how they come. */
export async function idleObservers(observers: number): Promise<IdleFigures[]> {
  await using model = await startModelServerProcess();
  const found: IdleFigures[] = [];
  for (const { what, chats = observers, connections = observers } of SHAPES) {
    // Each in a process of its own: pages that one left behind would be the next one's gain.
    const { port, environment } = await inspected();
    await using tailrace = await startTailraceProcess(model.url, environment);
    await using inspector = await openInspector(port);
    const load = grpcLoad(tailrace.url);
    const streamIds: string[] = [];
    for (let i = 0; i < chats; i++) {
      streamIds.push(await load.initiate({ tokens: 1, first_ms: LATER_MS }));
    }
    const attach = async (count: number): Promise<BareObservers[]> => {
      let next = 0;
      const all = await Promise.all(
        shared(count, Math.min(connections, count)).map((some) => {
          const ids = Array.from({ length: some }, () => streamIds[next++ % chats] ?? '');
          return bareObservers(tailrace.url, ids, () => undefined);
        }),
      );
      await Promise.all(all.map((each) => each.attached));
      return all;
    };
    // A few for what the process has from then on, such as compiled code.
    for (const each of await attach(observers / 10)) each[Symbol.dispose]();
    const before = await memoryOf(inspector);
    const all = await attach(observers);
    const after = await memoryOf(inspector);
    for (const each of all) each[Symbol.dispose]();
    load.close();
    const each = (bytes: number): number => bytes / observers / 1_024;
    found.push({
      what,
      heapKib: each(after.heapUsed + after.external - before.heapUsed - before.external),
      residentKib: each(after.rss - before.rss),
    });
  }
  return found;
}

async function memoryOf(inspector: Inspector): Promise<NodeJS.MemoryUsage> {
  // Twice: what waits for a turn of the event loop to be let go is gone at the second.
  for (let i = 0; i < 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    await inspector.collectGarbage();
  }
  return inspector.memoryUsage();
}
