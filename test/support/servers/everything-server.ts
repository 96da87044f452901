// The reference server of the Model Context Protocol, as its package has it, in a process of its own on a free
// port. It listens on every interface; a port cannot be had from it, so one is looked for.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freePort } from '../processes/free-port.ts';
import { endWithUs } from '../processes/left-behind.ts';
import { within } from '../until.ts';

/** Started with `stdio` it speaks over its standard input and output. */
export const EVERYTHING_PROGRAM = fileURLToPath(
  import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'),
);
const START_MS = 60_000;

export interface EverythingServer extends AsyncDisposable {
  readonly url: string;
  /** What it printed, so far. */
  readonly said: () => string;
}

export async function startEverything(way: 'streamableHttp' | 'sse'): Promise<EverythingServer> {
  return startAt(await freePort(), way);
}

async function startAt(port: number, way: 'streamableHttp' | 'sse'): Promise<EverythingServer> {
  const child = spawn(process.execPath, [EVERYTHING_PROGRAM, way], {
    env: { PATH: process.env['PATH'], PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const ended = endWithUs(child.pid);
  let said = '';
  const listening = Promise.withResolvers<void>();
  const take = (chunk: Buffer): void => {
    said += chunk.toString();
    if (/(?:listening|running) on port/.test(said)) listening.resolve();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  void exited.then(() => listening.reject(new Error(`server-everything ended:\n${said}`)));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    ended();
  };
  try {
    await within(START_MS, 'the start of server-everything', listening.promise);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${port}${way === 'sse' ? '/sse' : '/mcp'}`,
    said: () => said,
    [Symbol.asyncDispose]: stop,
  };
}
