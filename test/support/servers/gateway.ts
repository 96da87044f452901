// An implementation of the API that others wrote, between us and a model server: Portkey's AI gateway,
// as its package starts it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import * as z from 'zod';
import { within } from '../until.ts';

const START_MS = 60_000;
const SAID_CHARACTERS = 2_000;
const readySchema = z.object({ port: z.int() });

export interface Gateway extends AsyncDisposable {
  /** For a server's base_url. */
  readonly url: string;
}

export async function startGateway(): Promise<Gateway> {
  const program = import.meta.resolve('@portkey-ai/gateway/build/start-server.js');
  const child = fork(new URL(program), ['--headless'], {
    execArgv: ['--import', join(import.meta.dirname, 'gateway-host.ts')],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-SAID_CHARACTERS);
  });
  const exited = once(child, 'exit');
  const died = exited.then(([code]) => {
    throw new Error(`the gateway ended with code ${String(code)} before it listened: ${said}`);
  });
  const [message] = await within(
    START_MS,
    'the gateway to listen',
    Promise.race([once(child, 'message'), died]),
  );
  const { port } = readySchema.parse(message);
  return {
    url: `http://127.0.0.1:${port}/v1`,
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await exited;
    },
  };
}
