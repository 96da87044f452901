// The network between the processes of a cluster: who listens where, by which address one reaches
// another, and cuts between any two of them. Here on loopback, with proxies for the pairs that may be cut;
// namespaces.ts has the same with networks of the kernel's own.
import { freePort } from '../support/processes/free-port.ts';
import type { Proxy } from '../support/processes/proxy.ts';
import { startProxy } from '../support/processes/proxy.ts';

/** Where a process runs. */
export interface Site {
  readonly host: string;
  /** The command line that runs it there. */
  readonly within: (command: string, args: readonly string[]) => readonly [string, ...string[]];
}

export interface Network extends AsyncDisposable {
  /** Of clients and the model server: never cut off. */
  readonly own: Site;
  readonly site: (name: string) => Site;
  readonly freePorts: (count: number) => Promise<number[]>;
  /** `host:port` by which `from` reaches a port of `to`. */
  readonly reach: (from: string, to: string, port: number) => Promise<string>;
  /** Nothing passes between the two, in either direction, and nobody is told. */
  readonly cut: (one: string, other: string) => void;
  /** Everything passes again; what was held back arrives late, as after lost packets. */
  readonly mend: (one: string, other: string) => void;
}

const LOOPBACK: Site = { host: '127.0.0.1', within: (command, args) => [command, ...args] };

/** `cuttable`: whether the way from one to another leads through a proxy. */
export function loopback(cuttable: (from: string, to: string) => boolean = () => false): Network {
  const proxies = new Map<string, Proxy[]>();
  const between = (one: string, other: string): readonly Proxy[] => [
    ...(proxies.get(`${one} ${other}`) ?? []),
    ...(proxies.get(`${other} ${one}`) ?? []),
  ];
  return {
    own: LOOPBACK,
    site: () => LOOPBACK,
    freePorts: (count) => Promise.all(Array.from({ length: count }, freePort)),
    reach: async (from, to, port) => {
      if (!cuttable(from, to)) return `${LOOPBACK.host}:${port}`;
      const proxy = await startProxy(`nats://${LOOPBACK.host}:${port}`);
      const pair = `${from} ${to}`;
      proxies.set(pair, [...(proxies.get(pair) ?? []), proxy]);
      return new URL(proxy.url).host;
    },
    cut: (one, other) => between(one, other).forEach((proxy) => proxy.stall()),
    mend: (one, other) => between(one, other).forEach((proxy) => proxy.pass()),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...proxies.values()].flat().map((proxy) => proxy[Symbol.asyncDispose]()));
    },
  };
}
