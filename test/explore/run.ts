// `npm run explore`: the decisions of src/chat, walked breadth first over an abstract JetStream.
//
//   npm run explore                                   all small setups
//   npm run explore -- <setup> [<setup> …]            these
//   npm run explore -- large                          all large setups
//   npm run explore -- <setup> --break <law>          with a law broken on purpose
//   npm run explore -- <setup> --max <states>         no further than that
import { parseArgs } from 'node:util';
import { explore } from './explore.ts';
import type { Break, Setup } from './setup.ts';
import { BREAKS, LARGE, SMALL } from './setup.ts';

const MAX_STATES = 4_000_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { break: { type: 'string' }, max: { type: 'string' } },
});

function usage(wrong: string): never {
  const setups = [...SMALL, ...LARGE].map(({ name }) => name).join(' ');
  const breaks = Object.entries(BREAKS).map(([name, what]) => `  ${name.padEnd(15)} ${what}`);
  console.error(`${wrong}\nsetups: ${setups} small large\nbreaks:\n${breaks.join('\n')}`);
  process.exit(2);
}

function chosen(): readonly Setup[] {
  if (positionals.length === 0) return SMALL;
  return positionals.flatMap((name) => {
    if (name === 'small') return SMALL;
    if (name === 'large') return LARGE;
    const found = [...SMALL, ...LARGE].find((setup) => setup.name === name);
    return found === undefined ? usage(`There is no setup ${name}.`) : [found];
  });
}

function brokenBy(): Break | undefined {
  const name = values.break;
  if (name === undefined) return undefined;
  const found = (Object.keys(BREAKS) as Break[]).find((each) => each === name);
  return found ?? usage(`There is nothing to break called ${name}.`);
}

const maxStates = values.max === undefined ? MAX_STATES : Number(values.max);
if (!Number.isInteger(maxStates) || maxStates < 1) usage('--max is a number of states.');
const broken = brokenBy();
let violations = 0;
let unfinished = 0;
for (const setup of chosen()) {
  const startMs = performance.now();
  const { states, steps, capped, findings } = explore({ ...setup, broken }, maxStates);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const said = capped ? 'bound reached' : 'all states seen';
  console.log(
    `${setup.name.padEnd(12)} ${states} states, ${steps} steps, ${said}, ${findings.length} violations, ${seconds} s`,
  );
  for (const { law, trace } of findings) {
    console.log(`\n  VIOLATED ${law}`);
    for (const [i, label] of trace.entries())
      console.log(`  ${String(i + 1).padStart(3)}. ${label}`);
    console.log('');
  }
  violations += findings.length;
  if (capped) unfinished++;
}
console.log(
  `${violations} violations${unfinished > 0 ? `, ${unfinished} setups not seen whole` : ''}`,
);
process.exit(violations > 0 ? 1 : 0);
