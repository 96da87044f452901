// nats-servers of a cluster, or a single one: fixed ports on loopback, a store each, SIGKILL and restart.
import { mkdirSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { EMBEDDED_NATS_MAX_PAYLOAD_BYTES } from '../../src/chat/limits.ts';
import { natsServerProgram } from '../support/nats.ts';
import type { Member } from './member.ts';
import { createMember } from './member.ts';

export interface NatsNode {
  readonly name: string;
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
  syncInterval = '2m',
): Promise<NatsNode[]> {
  const ports = await freePorts(count * 3);
  const routes = ports.slice(count, 2 * count).map((port) => `"nats://127.0.0.1:${port}"`);
  return Array.from({ length: count }, (_, i) => {
    const name = `nats-${i + 1}`;
    const home = join(folder, name);
    mkdirSync(home, { recursive: true });
    const port = ports[i] ?? 0;
    const monitorPort = ports[2 * count + i] ?? 0;
    const file = join(home, 'nats-server.conf');
    // Members know the addresses that they were given and no others: a proxy is not gone around.
    const cluster =
      count === 1
        ? ''
        : `cluster { name: "chaos", host: "127.0.0.1", port: ${ports[count + i] ?? 0}, no_advertise: true, routes: [${routes.join(', ')}] }\n`;
    writeFileSync(
      file,
      `server_name: "${name}"
host: "127.0.0.1"
port: ${port}
http: "127.0.0.1:${monitorPort}"
max_payload: ${EMBEDDED_NATS_MAX_PAYLOAD_BYTES}
jetstream { store_dir: ${JSON.stringify(join(home, 'store'))}, sync_interval: "${syncInterval}" }
${cluster}`,
    );
    const member = createMember({
      name,
      command: natsServerProgram(),
      args: ['-c', file],
      env: () => ({}),
      ready: /Server is ready/,
      logFile: join(folder, `${name}.out`),
      onDeath: (said) => onDeath(name, said),
    });
    const monitorUrl = `http://127.0.0.1:${monitorPort}`;
    return {
      name,
      url: `nats://127.0.0.1:${port}`,
      monitorUrl,
      storeDir: join(home, 'store'),
      member,
    };
  });
}

/** Ports that nobody listens on now; all are held until all are known. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  // An address of a listening TCP server is never a string.
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
