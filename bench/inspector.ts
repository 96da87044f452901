// Looks into a running program through Node's inspector: nothing is built into the program for it.
import { createServer } from 'node:net';
import { once } from 'node:events';

export interface Inspector extends AsyncDisposable {
  readonly collectGarbage: () => Promise<void>;
  readonly memoryUsage: () => Promise<NodeJS.MemoryUsage>;
}

interface Answer {
  readonly id: number;
  readonly result: { readonly result?: { readonly value: string } };
}

/** The environment for a program that is to be looked into, and the port to do so at. */
export async function inspected(): Promise<{
  readonly port: number;
  readonly environment: Record<string, string>;
}> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('not a TCP port');
  const { port } = address;
  const options = `--inspect=127.0.0.1:${port} --inspect-publish-uid=http`;
  return { port, environment: { NODE_OPTIONS: options } };
}

export async function openInspector(port: number): Promise<Inspector> {
  const answer = await fetch(`http://127.0.0.1:${port}/json/list`);
  const [target] = (await answer.json()) as { readonly webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(target?.webSocketDebuggerUrl ?? '');
  await new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve);
    socket.addEventListener('error', reject);
  });
  const waiting = new Map<number, (answer: Answer) => void>();
  let asked = 0;
  socket.addEventListener('message', ({ data }) => {
    const said = JSON.parse(String(data)) as Answer;
    waiting.get(said.id)?.(said);
    waiting.delete(said.id);
  });
  const ask = (method: string, params: Record<string, unknown> = {}): Promise<Answer> =>
    new Promise((resolve) => {
      const id = ++asked;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  return {
    collectGarbage: async () => {
      await ask('HeapProfiler.collectGarbage');
    },
    memoryUsage: async () => {
      const expression = 'JSON.stringify(process.memoryUsage())';
      const { result } = await ask('Runtime.evaluate', { expression });
      return JSON.parse(result.result?.value ?? '') as NodeJS.MemoryUsage;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
      socket.close();
      await closed;
    },
  };
}
