// The fixture of `npm run cluster` and of chaos: nats-servers, apis, workers and the test model server,
// each a process of its own on loopback, with a temporary store.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Proxy } from '../support/proxy.ts';
import { startProxy } from '../support/proxy.ts';
import type { Member } from './member.ts';
import { createMember, incarnationName } from './member.ts';
import type { NatsNode } from './nats-nodes.ts';
import { createNatsNodes } from './nats-nodes.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface ClusterOptions {
  /** 1, or 3 with three replicas. */
  readonly natsServers: 1 | 3;
  readonly apis: number;
  readonly workers: number;
  /** Worker 1 reaches NATS by proxies that can be cut. */
  readonly proxied: boolean;
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
  /** Between worker 1 and each nats-server; none unless asked for. */
  readonly proxies: readonly Proxy[];
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
  const nats = await createNatsNodes(options.natsServers, folder, onDeath, options.syncInterval);
  for (const { member } of nats) stack.use(member);
  const model = stack.use(
    createMember({
      name: 'model',
      command: process.execPath,
      args: [
        join(ROOT, 'test/chaos/model-process.ts'),
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

  const proxies: Proxy[] = [];
  for (const { url } of options.proxied ? nats : []) proxies.push(stack.use(await startProxy(url)));
  const direct = nats.map(({ url }) => url).join(',');
  const proxied = proxies.map(({ url }) => url).join(',');

  const program = (name: string, env: Readonly<Record<string, string>>): Member =>
    stack.use(
      createMember({
        name,
        command: process.execPath,
        args: [join(ROOT, 'src/main/serve.ts')],
        env: (incarnation) => ({
          TAILRACE_NATS_URL: direct,
          TAILRACE_NATS_REPLICAS: String(options.natsServers),
          TAILRACE_DATA_DIR: join(folder, name),
          OPENAI_BASE_URL: modelUrl,
          OPENAI_API_KEY: incarnationName(name, incarnation),
          ...env,
        }),
        ready: /Tailrace (?:serves|works)/,
        logFile: join(folder, `${name}.out`),
        onLine: (line, incarnation) => options.onLine?.(line, incarnationName(name, incarnation)),
        onDeath: (said, incarnation) => onDeath(incarnationName(name, incarnation), said),
      }),
    );
  const workers = Array.from({ length: options.workers }, (_, i) =>
    program(`worker-${i + 1}`, {
      TAILRACE_ROLES: 'worker',
      TAILRACE_WORKER_SLOTS: String(options.slots ?? 64),
      ...(i === 0 && options.proxied ? { TAILRACE_NATS_URL: proxied } : {}),
    }),
  );
  const addresses = Array.from({ length: options.apis }, () => '127.0.0.1:0');
  const apis = addresses.map((_, i) => ({
    url: '',
    member: program(`api-${i + 1}`, {
      TAILRACE_ROLES: 'api',
      // From its second start on it listens where it listened before.
      get TAILRACE_LISTEN() {
        return addresses[i] ?? '';
      },
    }),
  }));
  // All at once on an empty cluster: the streams are made by all of them.
  await Promise.all([
    ...workers.map((worker) => worker.start()),
    ...apis.map(async (api, i) => {
      api.url = /http:\S+/.exec(await api.member.start())?.[0] ?? '';
      addresses[i] = new URL(api.url).host;
    }),
  ]);
  const owned = stack.move();
  return {
    folder,
    nats,
    apis,
    workers,
    model: { member: model, url: modelUrl },
    proxies,
    members: () => [...nats.map((n) => n.member), ...apis.map((a) => a.member), ...workers, model],
    keepFolder: () => {
      keep = true;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
