// Runs the partitions, in networks of its own (--namespaces, as the root of a namespace that `inNamespaces`
// made) or through proxies. Exits with 1 where a promise is broken.
import { parseArgs } from 'node:util';
import { temporaryFolder } from '../support/processes/nats.ts';
import { namespaces } from './namespaces.ts';
import { loopback } from './network.ts';
import { runPartitions } from './partition.ts';

const { values } = parseArgs({ options: { namespaces: { type: 'boolean', default: false } } });
const beganMs = performance.now();
const say = (line: string): void => {
  console.log(`${((performance.now() - beganMs) / 1_000).toFixed(1)} s: ${line}`);
};
const network = values.namespaces ? namespaces() : loopback((_, to) => to.startsWith('nats-'));
using folder = temporaryFolder();
await runPartitions(network, folder.path, say);
