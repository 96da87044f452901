// `npm run chaos [-- --seed N --minutes M --single|--cluster --out file]`. Exits with 1 on any violation.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CLUSTER_WEIGHTS, runChaos, SINGLE_WEIGHTS } from './chaos.ts';
import { linesOf } from './report.ts';
import { flags, wrongUsage } from '../support/flags.ts';

const USAGE =
  'npm run chaos [-- --seed N --minutes M --rate N --fault-every-ms N --single|--cluster --keep --out file]';
const { values } = flags(USAGE, {
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    single: { type: 'boolean', default: false },
    cluster: { type: 'boolean', default: false },
    rate: { type: 'string', default: '11' },
    'fault-every-ms': { type: 'string', default: '1300' },
    keep: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const minutes = Number(values.minutes);
if (!Number.isInteger(seed) || !(minutes > 0) || (values.single && values.cluster)) {
  wrongUsage(USAGE);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(130));
const natsServers = values.single ? 1 : 3;
console.log(`chaos: seed ${seed}, ${minutes} minutes, ${natsServers} nats-servers`);
const report = await runChaos({
  seed,
  lastsMs: minutes * 60_000,
  natsServers,
  chatsPerSecond: Number(values.rate),
  faultEveryMs: Number(values['fault-every-ms']),
  weights: values.single ? SINGLE_WEIGHTS : CLUSTER_WEIGHTS,
  finishWithinMs: 120_000,
  keep: values.keep,
  onProgress: (line) => console.log(`  ${line}`),
});
const out = values.out ?? join(import.meta.dirname, '../../.cache/chaos', `seed-${seed}.json`);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${JSON.stringify(report, undefined, 2)}\n`);
for (const line of linesOf(report)) console.log(line);
process.exit(report.violations.length > 0 ? 1 : 0);
