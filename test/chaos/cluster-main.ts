// `npm run cluster`: three nats-servers with three replicas, two apis, two workers and the test model
// server on this machine, until Ctrl-C.
import { startCluster } from './cluster.ts';
import { flags } from '../support/flags.ts';

const USAGE = 'npm run cluster [-- --single]';
const { values } = flags(USAGE, { options: { single: { type: 'boolean', default: false } } });

const stopped = Promise.withResolvers<void>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => stopped.resolve());
}

const started = performance.now();
await using cluster = await startCluster({
  natsServers: values.single ? 1 : 3,
  apis: 2,
  workers: 2,
});
const rows = [
  ...cluster.nats.map(({ name, url, member }) => ({ name, pid: member.pid(), address: url })),
  ...cluster.apis.map(({ member, url }) => ({
    name: member.name,
    pid: member.pid(),
    address: url,
  })),
  ...cluster.workers.map((member) => ({ name: member.name, pid: member.pid(), address: '' })),
  { name: 'model', pid: cluster.model.member.pid(), address: cluster.model.url },
];
for (const { name, pid, address } of rows) {
  console.log(`${name.padEnd(9)} pid ${String(pid).padEnd(8)} ${address}`);
}
console.log(`logs and stores in ${cluster.folder}`);
console.log(`ready after ${Math.round(performance.now() - started)} ms; Ctrl-C ends all of it`);
await stopped.promise;
// Workers first: they hand their chats back while NATS is there.
await Promise.allSettled(
  [...cluster.workers, ...cluster.apis.map((a) => a.member)].map((m) => m.stop()),
);
