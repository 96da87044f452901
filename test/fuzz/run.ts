// `npm run fuzz [-- --bodies N --seed N]`: bodies that nobody would send, at the port. Exits with 1 where
// one is answered by a defect or not at all, makes a chat that was not acknowledged, or memory grows.
import { fuzz } from './fuzz.ts';
import { startFuzzServer } from './server.ts';
import { flags, wrongUsage } from '../support/flags.ts';

const USAGE = 'npm run fuzz [-- --bodies N --seed N]';
const { values } = flags(USAGE, {
  options: {
    bodies: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
  },
});
const bodies = Number(values.bodies);
const seed = Number(values.seed);
if (!Number.isInteger(bodies) || bodies < 10 || !Number.isInteger(seed)) {
  wrongUsage(USAGE);
}
/** A third warms up: the heap grows until it is collected in earnest. Then memory may move by this much. */
const GROWTH_MIB = 64;
const warmUp = Math.floor(bodies / 3);

await using server = await startFuzzServer();
const began = performance.now();
const warm = await fuzz({ url: server.url, seed, from: 0, to: warmUp });
const before = server.memoryMib();
const rest = await fuzz({ url: server.url, seed, from: warmUp, to: bodies });
const grown = server.memoryMib() - before;
const seconds = (performance.now() - began) / 1_000;
const defects = server.log.filter((line) => line.includes('"level":"error"'));
console.log(`${bodies} bodies of seed ${seed} in ${seconds.toFixed(0)} s`, rest.answers);
console.log(`memory ${before.toFixed(0)} MiB after a third, then ${grown.toFixed(1)} MiB more`);
const faults = [
  ...warm.wrong,
  ...rest.wrong,
  ...defects,
  ...(grown > GROWTH_MIB ? [`memory grew by ${grown.toFixed(1)} MiB`] : []),
];
for (const fault of faults) console.log(`FAIL  ${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;
