// nats-servers of a cluster, or a single one: fixed ports on loopback, a store each, SIGKILL and restart.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMBEDDED_NATS_MAX_PAYLOAD_BYTES } from '../../src/chat/limits.ts';
import { natsServerProgram } from '../support/processes/nats.ts';
import type { Member } from './member.ts';
import { createMember } from './member.ts';
import type { Network } from './network.ts';
import { loopback } from './network.ts';

export interface NatsNode {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  /** Of its monitoring endpoints: /subsz, /varz. */
  readonly monitorUrl: string;
  readonly storeDir: string;
  readonly member: Member;
}

export async function createNatsNodes(
  count: number,
  folder: string,
  onDeath: (name: string, said: string) => void,
  network: Network = loopback(),
  syncInterval = '2m',
): Promise<NatsNode[]> {
  const ports = await network.freePorts(count * 3);
  const names = Array.from({ length: count }, (_, i) => `nats-${i + 1}`);
  const node = async (name: string, i: number): Promise<NatsNode> => {
    const home = join(folder, name);
    mkdirSync(home, { recursive: true });
    const port = ports[i] ?? 0;
    const monitorPort = ports[2 * count + i] ?? 0;
    const file = join(home, 'nats-server.conf');
    const { host, within } = network.site(name);
    const routes = await Promise.all(
      names
        .map((other, j) => ({ other, port: ports[count + j] ?? 0 }))
        .filter(({ other }) => other !== name)
        .map(({ other, port }) => network.reach(name, other, port)),
    );
    // Clients and servers know the addresses that they were given and no others, so that a proxy is not
    // gone around: what a server tells of itself is where nobody listens.
    const cluster =
      count === 1
        ? ''
        : `cluster {
  name: "chaos", host: "${host}", port: ${ports[count + i] ?? 0}
  no_advertise: true, advertise: "127.0.0.1:1"
  routes: [${routes.map((route) => `"nats://${route}"`).join(', ')}]
}
`;
    writeFileSync(
      file,
      `server_name: "${name}"
host: "${host}"
port: ${port}
http: "${host}:${monitorPort}"
max_payload: ${EMBEDDED_NATS_MAX_PAYLOAD_BYTES}
jetstream { store_dir: ${JSON.stringify(join(home, 'store'))}, sync_interval: "${syncInterval}" }
${cluster}`,
    );
    const [command, ...args] = within(natsServerProgram(), ['-c', file]);
    const member = createMember({
      name,
      command,
      args,
      env: () => ({}),
      ready: /Server is ready/,
      logFile: join(folder, `${name}.out`),
      onDeath: (said) => onDeath(name, said),
    });
    const monitorUrl = `http://${host}:${monitorPort}`;
    const url = `nats://${host}:${port}`;
    return { name, port, url, monitorUrl, storeDir: join(home, 'store'), member };
  };
  return Promise.all(names.map(node));
}
