// A TCP proxy between a client and a server that can fail as networks do: it holds bytes back, loses
// those of one direction, or cuts every connection.
import type { Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

/** up: from the client to the server. */
export type Direction = 'up' | 'down';

export interface Proxy extends AsyncDisposable {
  readonly url: string;
  readonly pass: (direction?: Direction) => void;
  /** Holds what comes until `pass`; nothing is lost. */
  readonly stall: (direction?: Direction) => void;
  /** Loses what comes. The protocol is broken by it: `cut` before `pass`. */
  readonly drop: (direction?: Direction) => void;
  /** Every connection goes dead without a word, for good; new ones are served. */
  readonly freeze: () => void;
  /** Ends every connection; new ones are served. */
  readonly cut: () => void;
  readonly connections: () => number;
}

type Mode = 'pass' | 'stall' | 'drop';

interface Flow {
  readonly direction: Direction;
  readonly from: Socket;
  readonly to: Socket;
}

export async function startProxy(target: string): Promise<Proxy> {
  const { hostname, port, protocol } = new URL(target);
  const modes: Record<Direction, Mode> = { up: 'pass', down: 'pass' };
  const flows = new Set<Flow>();
  const frozen = new Set<Flow>();

  const apply = ({ direction, from, to }: Flow): void => {
    from.removeAllListeners('data');
    from.unpipe(to);
    switch (modes[direction]) {
      case 'pass':
        from.pipe(to);
        return;
      case 'stall':
        from.pause();
        return;
      case 'drop':
        from.on('data', () => undefined);
        from.resume();
        return;
    }
  };
  const set = (mode: Mode, direction: Direction | undefined): void => {
    for (const each of direction === undefined ? (['up', 'down'] as const) : [direction]) {
      modes[each] = mode;
    }
    for (const flow of flows) apply(flow);
  };

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    const own: readonly Flow[] = [
      { direction: 'up', from: client, to: upstream },
      { direction: 'down', from: upstream, to: client },
    ];
    for (const flow of own) {
      flows.add(flow);
      flow.from.on('error', () => undefined);
      flow.from.once('close', () => {
        flows.delete(flow);
        frozen.delete(flow);
        flow.to.destroy();
      });
      apply(flow);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // An address of a listening TCP server is never a string.
  const address = server.address() as AddressInfo;
  const cut = (): void => {
    for (const flow of [...flows, ...frozen]) flow.from.destroy();
  };
  const freeze = (): void => {
    for (const flow of flows) {
      frozen.add(flow);
      flow.from.unpipe(flow.to);
      flow.from.removeAllListeners('data');
      flow.from.pause();
    }
    flows.clear();
  };
  return {
    url: `${protocol}//127.0.0.1:${address.port}`,
    pass: (direction) => set('pass', direction),
    stall: (direction) => set('stall', direction),
    drop: (direction) => set('drop', direction),
    freeze,
    cut,
    connections: () => flows.size / 2,
    [Symbol.asyncDispose]: async () => {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
