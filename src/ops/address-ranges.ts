// A setting that lists ranges of addresses: 10.1.0.0/16,fd00:1::/48,192.168.1.7.
import { BlockList, isIP } from 'node:net';
import { z } from 'zod';

/** Plain data: a configuration goes to other processes as well. */
export interface AddressRange {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

export const addressRanges = z.string().transform((given, context): readonly AddressRange[] => {
  const ranges: AddressRange[] = [];
  for (const text of given.split(',').map((part) => part.trim())) {
    if (text === '') continue;
    const [, address = '', digits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    const prefix = Number(digits ?? bits);
    if (family === 0 || prefix > bits) {
      context.addIssue(
        'ranges of addresses such as 10.1.0.0/16, fd00:1::/48 or 192.168.1.7, with commas between',
      );
      return z.NEVER;
    }
    ranges.push({ address, prefix, family: family === 4 ? 'ipv4' : 'ipv6' });
  }
  return ranges;
});

/** A list of what is allowed, whatever node calls it. */
export function listOf(ranges: readonly AddressRange[]): BlockList {
  const list = new BlockList();
  for (const { address, prefix, family } of ranges) list.addSubnet(address, prefix, family);
  return list;
}
