// The fixture of `npm run cluster` and of chaos: nats-servers, apis, workers and the test model server,
// each a process of its own on loopback, with a temporary store.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Member } from './member.ts';
import { createMember, incarnationName } from './member.ts';
import type { Network } from './network.ts';
import { loopback } from './network.ts';
import type { NatsNode } from './nats-nodes.ts';
import { createNatsNodes } from './nats-nodes.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface ClusterOptions {
  /** 1, or 3 with three replicas. */
  readonly natsServers: 1 | 3;
  readonly apis: number;
  readonly workers: number;
  /** Default: loopback, where nobody can be cut off. */
  readonly network?: Network;
  /** For every api and worker, by its name, beside what makes them a cluster. */
  readonly env?: (name: string) => Readonly<Record<string, string>>;
  readonly slots?: number;
  /** Of the nats-servers: `always`, or how often they sync. */
  readonly syncInterval?: string;
  /** What apis and workers log. */
  readonly onLine?: (line: string, incarnation: string) => void;
  readonly onModelLine?: (line: string) => void;
  readonly onDeath?: (incarnation: string, said: string) => void;
}

export interface ApiMember {
  readonly member: Member;
  /** The same after each restart. */
  readonly url: string;
}

export interface Cluster extends AsyncDisposable {
  readonly folder: string;
  readonly nats: readonly NatsNode[];
  readonly apis: readonly ApiMember[];
  readonly workers: readonly Member[];
  readonly model: { readonly member: Member; readonly url: string };
  readonly network: Network;
  readonly members: () => readonly Member[];
  /** The folder with every process's log stays. */
  readonly keepFolder: () => void;
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'tailrace-cluster-'));
  let keep = false;
  await using stack = new AsyncDisposableStack();
  stack.defer(() => {
    if (!keep) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });
  const onDeath = options.onDeath ?? ((name, said) => console.error(`${name} died: ${said}`));
  const network = stack.use(options.network ?? loopback());
  const { syncInterval } = options;
  const nats = await createNatsNodes(options.natsServers, folder, onDeath, network, syncInterval);
  for (const { member } of nats) stack.use(member);
  const model = stack.use(
    createMember({
      name: 'model',
      command: process.execPath,
      args: [
        join(ROOT, 'test/chaos/model-process.ts'),
        `--host=${network.own.host}`,
        ...(options.onModelLine ? ['--calls'] : []),
      ],
      env: () => ({}),
      ready: /"url"/,
      logFile: join(folder, 'model.out'),
      ...(options.onModelLine ? { onLine: options.onModelLine } : {}),
      onDeath: (said) => onDeath('model', said),
    }),
  );
  const [modelLine] = await Promise.all([model.start(), ...nats.map((n) => n.member.start())]);
  const modelUrl = (JSON.parse(modelLine) as { url: string }).url;

  const program = async (name: string, env: Readonly<Record<string, string>>): Promise<Member> => {
    const [command, ...args] = network
      .site(name)
      .within(process.execPath, [join(ROOT, 'bin/tailrace.mjs'), 'serve']);
    const servers = await Promise.all(
      nats.map((server) => network.reach(name, server.name, server.port)),
    );
    return stack.use(
      createMember({
        name,
        command,
        args,
        env: (incarnation) => ({
          TAILRACE_NATS_URL: servers.join(','),
          TAILRACE_NATS_REPLICAS: String(options.natsServers),
          TAILRACE_DATA_DIR: join(folder, name),
          OPENAI_BASE_URL: modelUrl,
          OPENAI_API_KEY: incarnationName(name, incarnation),
          ...options.env?.(name),
          ...env,
        }),
        ready: /Tailrace (?:serves|works)/,
        logFile: join(folder, `${name}.out`),
        onLine: (line, incarnation) => options.onLine?.(line, incarnationName(name, incarnation)),
        onDeath: (said, incarnation) => onDeath(incarnationName(name, incarnation), said),
      }),
    );
  };
  const workers = await Promise.all(
    Array.from({ length: options.workers }, (_, i) =>
      program(`worker-${i + 1}`, {
        TAILRACE_ROLES: 'worker',
        TAILRACE_WORKER_SLOTS: String(options.slots ?? 64),
      }),
    ),
  );
  const apis = await Promise.all(
    Array.from({ length: options.apis }, async (_, i) => {
      const name = `api-${i + 1}`;
      // Where it listens after each of its starts.
      const [port] = await network.freePorts(1);
      const member = await program(name, {
        TAILRACE_ROLES: 'api',
        TAILRACE_LISTEN: `${network.site(name).host}:${port}`,
      });
      return { member, address: { url: '' } };
    }),
  );
  // All at once on an empty cluster: the streams are made by all of them.
  await Promise.all([
    ...workers.map((worker) => worker.start()),
    ...apis.map(async ({ member, address }) => {
      address.url = /http:\S+/.exec(await member.start())?.[0] ?? '';
    }),
  ]);
  const owned = stack.move();
  return {
    folder,
    nats,
    apis: apis.map(({ member, address }) => ({ member, url: address.url })),
    workers,
    model: { member: model, url: modelUrl },
    network,
    members: () => [...nats.map((n) => n.member), ...apis.map((a) => a.member), ...workers, model],
    keepFolder: () => {
      keep = true;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
