// A proxy between a process and NATS that counts the writes which pass and says when a certain one comes:
// to kill the process between two steps of what it does.
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Step {
  /** The nth write, from 1. */
  readonly nth: number;
  /** before: it does not pass. after: it has passed, and its answer is not waited for. */
  readonly when: 'before' | 'after';
}

export interface StepProxy extends AsyncDisposable {
  readonly url: string;
  /** Counts from now on. Resolves at the step; what the process sends from then on is lost. */
  readonly reached: (step: Step) => Promise<void>;
}

/** Commands, records and erasures, as a client publishes them. */
const WRITE = /PUB (?:cmd|log|\$JS\.API\.STREAM\.PURGE)\.\S+/g;

export async function startStepProxy(target: string): Promise<StepProxy> {
  const { hostname, port, protocol } = new URL(target);
  const sockets = new Set<Socket>();
  let awaited: { readonly step: Step; readonly reached: () => void } | undefined;
  let writes = 0;
  let dead = false;

  const take = (chunk: Buffer, to: Socket): void => {
    if (dead) return;
    if (awaited === undefined) {
      to.write(chunk);
      return;
    }
    const { step, reached } = awaited;
    writes += chunk.toString('latin1').match(WRITE)?.length ?? 0;
    dead = writes >= step.nth;
    if (dead && step.when === 'before') reached();
    else to.write(chunk, dead ? reached : undefined);
  };

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk) => take(chunk, upstream));
    upstream.pipe(client);
    client.once('close', () => upstream.end());
    upstream.once('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // An address of a listening TCP server is never a string.
  const address = server.address() as AddressInfo;
  return {
    url: `${protocol}//127.0.0.1:${address.port}`,
    reached: (step) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      awaited = { step, reached: resolve };
      return promise;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
