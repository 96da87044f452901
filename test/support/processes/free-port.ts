// Ports for what cannot say which one it got, or is to come back at the one that it had. From blocks below those that
// systems give to whoever asks for any, so that nobody is given one between its choice and its use; a block is one
// process's alone.
import { createServer, type Server } from 'node:net';

const FIRST = 20_000;
const LAST = 32_000;
const BLOCK = 100;
const BLOCKS = (LAST - FIRST) / BLOCK;

/** This process's block begins here, with a port that it holds: by that others know. */
let next: number | undefined;
let left = 0;
let taking: Promise<unknown> = Promise.resolve();

export function freePort(): Promise<number> {
  const port = taking.then(take);
  taking = port.catch(() => undefined);
  return port;
}

async function take(): Promise<number> {
  for (;;) {
    if (next === undefined || left === 0) next = await takeBlock();
    next++;
    left--;
    const server = await listenAt(next);
    if (server === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return next;
  }
}

async function takeBlock(): Promise<number> {
  for (let i = 0; i < BLOCKS; i++) {
    const at = FIRST + ((process.pid + i) % BLOCKS) * BLOCK;
    const holder = await listenAt(at);
    if (holder === undefined) continue;
    holder.unref();
    left = BLOCK - 1;
    return at;
  }
  throw new Error(`every block of ports from ${FIRST} to ${LAST} is taken`);
}

/** Undefined: somebody is there. */
function listenAt(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
