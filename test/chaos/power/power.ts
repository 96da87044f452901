// `npm run power -- --kernel <folder> [--sync 2m --sync always --seconds 40 --times 3 --replicas 3]`: cuts
// the power of nats-server's machine under a steady load of starts and appends, and counts what had been
// acknowledged and is not there after it booted again, and how old it was.
import { setTimeout as sleep } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import type { NatsAdapter } from '../../../src/nats/adapter.ts';
import { openNats } from '../../../src/nats/adapter.ts';
import { SILENT, temporaryFolder } from '../../support/processes/nats.ts';
import { testAppend, testMark } from '../../support/chats/claims.ts';
import { until } from '../../support/until.ts';
import { buildBoot, createPowerMachine } from './machine.ts';
import { flags, wrongUsage } from '../../support/flags.ts';

const USAGE =
  'npm run power -- --kernel <folder of an unpacked kernel package> [--sync 2m --sync always --seconds 40 --times 3 --replicas 3]';
const { values } = flags(USAGE, {
  options: {
    kernel: { type: 'string' },
    sync: { type: 'string', multiple: true, default: ['2m', '10s', '1s', 'always'] },
    seconds: { type: 'string', default: '40' },
    times: { type: 'string', default: '3' },
    replicas: { type: 'string', default: '1' },
  },
});
if (values.kernel === undefined) {
  wrongUsage(USAGE);
}
const MACHINES = Number(values.replicas);
const BASE_PORT = 14_300;
const EVERY_MS = 5;
const BACK_MS = 120_000;

interface Acked {
  readonly chat: { readonly tenant: string; readonly streamId: string };
  readonly appendId: string;
  readonly atMs: number;
}

using folder = temporaryFolder();
const boot = buildBoot(values.kernel, folder.path);
for (const sync of values.sync) {
  for (let i = 0; i < Number(values.times); i++) await once(sync, i);
}
process.exit();

async function once(sync: string, round: number): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const machines = Array.from({ length: MACHINES }, (_, i) => {
    const routes = Array.from(
      { length: MACHINES },
      (_, j) => `"nats://10.0.2.2:${BASE_PORT + 50 + j}"`,
    );
    const cluster =
      MACHINES === 1
        ? ''
        : `cluster { name: "power", host: "0.0.0.0", port: 6222, no_advertise: true, routes: [${routes.join(', ')}] }\n`;
    return stack.use(
      createPowerMachine({
        boot,
        folder: folder.path,
        name: `${sync}-${round}-${i}`,
        port: BASE_PORT + i,
        forwards: MACHINES === 1 ? [] : [[BASE_PORT + 50 + i, 6222]],
        natsConfig: `server_name: "n${i}"
host: "0.0.0.0"
port: 4222
max_payload: 9MB
jetstream { store_dir: "/mnt/store", max_file_store: 1GB, sync_interval: "${sync}" }
${cluster}`,
      }),
    );
  });
  await Promise.all(machines.map((machine) => machine.powerOn()));
  const open = (): Promise<NatsAdapter> =>
    openNats({
      servers: machines.map(({ url }) => url),
      name: 'power',
      replicas: MACHINES,
      store: { maxBytes: undefined, diskFreeBytes: undefined },
      logger: SILENT,
    });
  const nats = await open();
  const acked: Acked[] = [];
  const writing = new AbortController();
  const load = write(nats, acked, writing.signal);
  await sleep(Number(values.seconds) * 1_000);
  await Promise.all(machines.map((machine) => machine.cutPower()));
  const cutMs = performance.now();
  writing.abort();
  await Promise.all(machines.map((machine) => machine.powerOn()));
  await using after = await open();
  await until(
    'the logs',
    () =>
      after.log.last({ tenant: 'x', streamId: 'x' }).then(
        () => true,
        () => false,
      ),
    BACK_MS,
  );
  const backMs = performance.now() - cutMs;
  const lost: Acked[] = [];
  for (const each of acked) {
    const found = await after.log.last(each.chat);
    if (found?.appendId !== each.appendId) lost.push(each);
  }
  const oldest = lost[0] === undefined ? 0 : (cutMs - lost[0].atMs) / 1_000;
  console.log(
    `| R${MACHINES}, sync ${sync} | ${lost.length} of ${acked.length} acknowledged appends lost, the oldest ${oldest.toFixed(1)} s old | answers again after ${(backMs / 1_000).toFixed(1)} s (of which booting) |`,
  );
  void load;
  // Its writes of before the cut are of no interest any more.
  await nats[Symbol.asyncDispose]();
}

/** A record each few milliseconds, each of a chat of its own; only what was acknowledged counts. */
async function write(nats: NatsAdapter, acked: Acked[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const chat = { tenant: 'default', streamId: randomUUID() };
    const append = testAppend(1, testMark());
    void nats.log.append(chat, 0, append).then((outcome) => {
      if (outcome.type === 'stored' && !signal.aborted) {
        acked.push({ chat, appendId: append.appendId, atMs: performance.now() });
      }
    });
    await sleep(EVERY_MS);
  }
}
