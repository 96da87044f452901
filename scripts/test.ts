// `npm test`: every check and every test, one after the other, and at the end a line `N passed, N failed`.
// A check counts as one. A skip is loud; with TAILRACE_TEST_ALL=1 it is a failure, and missing tools are fetched. In CI
// those are skipped all the same that are not for it (test/support/needs.ts).
//
//   npm test                                    all of it
//   node scripts/test.ts --only test/nats       only the test files below test/nats
//   node scripts/test.ts --only lint            only the checks with that word in their name
import { checks } from './checks/checks.ts';
import { fetchTools, NOT_IN_CI } from './checks/tools.ts';
import { runTests, testGroups } from './checks/run-tests.ts';
import { emptyTally, type Tally } from './checks/tally.ts';

const SKIPS_FORBIDDEN = process.env['TAILRACE_TEST_ALL'] === '1';

function parseOnly(args: readonly string[]): string | undefined {
  if (args.length === 0) return undefined;
  const [flag, value, ...rest] = args;
  if (flag !== '--only' || value === undefined || rest.length > 0) {
    console.error('usage: node scripts/test.ts [--only <part of a check or of a test file path>]');
    process.exit(2);
  }
  return value.replace(/^\.\//, '');
}

/** What a person has set for running Tailrace must not change what the tests see. */
function cleanEnvironment(): void {
  const kept = ['TAILRACE_TEST_ALL', 'TAILRACE_NATS_SERVER'];
  for (const name of Object.keys(process.env)) {
    if (/^(TAILRACE|OPENAI)_/.test(name) && !kept.includes(name)) delete process.env[name];
  }
}

async function runChecks(only: string | undefined, tally: Tally): Promise<void> {
  for (const check of checks) {
    if (only !== undefined && !check.name.includes(only)) continue;
    const startMs = performance.now();
    const problem = await check.run();
    const took = `${Math.round(performance.now() - startMs)} ms`;
    if (problem === undefined) {
      tally.passed += 1;
      console.log(`ok    ${check.name} (${took})`);
    } else {
      tally.failed += 1;
      console.log(`FAIL  ${check.name} (${took})\n${problem.trimEnd()}\n`);
      tally.failures.push(check.name);
    }
  }
}

function parted(all: readonly string[], meets: (one: string) => boolean): [string[], string[]] {
  return [all.filter(meets), all.filter((one) => !meets(one))];
}

const only = parseOnly(process.argv.slice(2));
const tally = emptyTally();
cleanEnvironment();
await runChecks(only, tally);
const groups = testGroups(only);
if (groups.length > 0) await fetchTools(SKIPS_FORBIDDEN);
for (const group of groups) await runTests(group, tally);

if (tally.passed + tally.failed + tally.skips.length === 0) {
  tally.failures.push(`nothing is called ${only ?? 'that'}`);
  tally.failed += 1;
}
if (tally.skips.length > 0) {
  console.log(`\nSKIPPED (${tally.skips.length}):`);
  for (const skip of tally.skips) console.log(`  SKIP  ${skip}`);
}
if (SKIPS_FORBIDDEN) {
  const [meant, missing] = parted(tally.skips, (skip) => skip.endsWith(NOT_IN_CI));
  tally.failed += missing.length;
  tally.failures.push(...missing.map((skip) => `skipped, and TAILRACE_TEST_ALL=1: ${skip}`));
  tally.skips = meant;
}
if (tally.failures.length > 0) {
  console.log(`\nFAILED (${tally.failures.length}):`);
  for (const failure of tally.failures) console.log(`  FAIL  ${failure}`);
}
const skipped = tally.skips.length > 0 ? `, ${tally.skips.length} skipped` : '';
console.log(`\n${tally.passed} passed, ${tally.failed} failed${skipped}`);
process.exit(tally.failed > 0 ? 1 : 0);
