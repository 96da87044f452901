// Which hosts callers may have us connect to: those whose every address is public, or in a range that the
// operator allows. Whoever connects uses the very addresses that were looked at here, and asks no name server
// again. What does not belong here: what is sent there.
import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';

/** Every address of a name, as the system resolves it; rejects where there is none. */
export type HostLookup = (name: string) => Promise<readonly LookupAddress[]>;

export interface AddressGuard {
  /**
   * The addresses of a URL's hostname, all of which may be connected to. Undefined: the name is not known, or
   * has one that may not; which of them is nobody's business. Rejects with the signal's reason.
   */
  readonly addressesOf: (
    hostname: string,
    signal: AbortSignal,
  ) => Promise<readonly LookupAddress[] | undefined>;
}

/** IANA's registry of special addresses, as far as it says "not globally reachable", and what is like it. */
const SPECIAL_IPV4 = ranges('ipv4', [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  // Carrier-grade NAT; Alibaba's metadata too.
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Link-local, and with it the metadata of most clouds.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  // Multicast, and everything after it.
  ['224.0.0.0', 3],
  // Azure's host, at a public address that only its guests reach.
  ['168.63.129.16', 32],
]);

/** All that is given out. What embeds an IPv4 address lies outside (mapped, compatible, NAT64), or below. */
const GLOBAL_IPV6 = ranges('ipv6', [['2000::', 3]]);
const SPECIAL_IPV6 = ranges('ipv6', [
  // Teredo, benchmarking, ORCHID and what else the IETF keeps.
  ['2001::', 23],
  ['2001:db8::', 32],
  // 6to4.
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
]);

export function createAddressGuard(
  allowed: BlockList,
  lookup: HostLookup = (name) => systemLookup(name, { all: true }),
): AddressGuard {
  return {
    addressesOf: async (hostname, signal) => {
      signal.throwIfAborted();
      const literal = hostname.replace(/^\[(.*)\]$/, '$1');
      const family = isIP(literal);
      const found =
        family === 0
          ? await untilAborted(lookup(hostname), signal).catch(() => [])
          : [{ address: literal, family }];
      signal.throwIfAborted();
      // One that may not is enough: a name with a public address beside it is a trick, or no use.
      const open = found.length > 0 && found.every(({ address }) => mayConnect(address, allowed));
      return open ? found : undefined;
    },
  };
}

function mayConnect(address: string, allowed: BlockList): boolean {
  // A zone (fe80::1%eth0) names an interface of this machine.
  if (address.includes('%')) return false;
  switch (isIP(address)) {
    case 4:
      return allowed.check(address, 'ipv4') || !SPECIAL_IPV4.check(address, 'ipv4');
    case 6:
      return (
        allowed.check(address, 'ipv6') ||
        (GLOBAL_IPV6.check(address, 'ipv6') && !SPECIAL_IPV6.check(address, 'ipv6'))
      );
    default:
      return false;
  }
}

/** The system's lookup cannot be called off; it is left behind. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([promise, aborted]).finally(() => {
    signal.removeEventListener('abort', onAbort);
  });
}

function ranges(
  family: 'ipv4' | 'ipv6',
  all: readonly (readonly [address: string, prefix: number])[],
): BlockList {
  const list = new BlockList();
  for (const [address, prefix] of all) list.addSubnet(address, prefix, family);
  return list;
}
