// npm run interop: every client, every scenario, one server; a table of what passed.
//
//   npm run interop -- --repeat 20                  so many times
//   npm run interop -- --client Go --client Java    only these (parts of their names do)
//   npm run interop -- --scenario cancel            only scenarios with this in their name
//
//   npm run interop -- --slow                       and what takes half a minute, once
//
// Exits 1 where something failed, and with TAILRACE_TEST_ALL=1 also where a client could not be run.
import { inspect } from 'node:util';
import { CANDIDATES, type Candidate } from './clients.ts';
import type { Client } from './client.ts';
import { emptyReport, median, openClient, type Report, runClient, SCENARIOS } from './suite.ts';
import { SLOW } from './scenarios/network.ts';
import { startWorld } from './world.ts';
import { flags, wrongUsage } from '../support/flags.ts';

/** From a cut to the next event, the median of each client. */
const RESUME_TARGET_MS = 1_000;

const USAGE = 'npm run interop [-- --repeat N --client NAME … --scenario NAME … --slow]';
const { values } = flags(USAGE, {
  options: {
    repeat: { type: 'string', default: '1' },
    client: { type: 'string', multiple: true, default: [] },
    scenario: { type: 'string', multiple: true, default: [] },
    slow: { type: 'boolean', default: false },
  },
});
const repeats = Number(values.repeat);
const chosen = (name: string, parts: readonly string[]): boolean =>
  parts.length === 0 || parts.some((part) => name.toLowerCase().includes(part.toLowerCase()));
const usual = SCENARIOS.filter(({ name }) => chosen(name, values.scenario));
const slow = values.slow ? SLOW.filter(({ name }) => chosen(name, values.scenario)) : [];
const scenarios = [...usual, ...slow];
const candidates = CANDIDATES.filter(({ name }) => chosen(name, values.client));
if (!Number.isInteger(repeats) || repeats < 1 || scenarios.length * candidates.length === 0) {
  wrongUsage(
    USAGE,
    `clients: ${CANDIDATES.map(({ name }) => name).join(' · ')}`,
    `scenarios: ${SCENARIOS.map(({ name }) => name).join(' · ')}`,
  );
}

const reports = new Map<string, Report>();
const missing = new Map<string, string>();
const failures: string[] = [];
{
  await using stack = new AsyncDisposableStack();
  const running: [Candidate, Client][] = [];
  for (const candidate of candidates) {
    const client = await openClient(candidate);
    if ('reason' in client) missing.set(candidate.name, client.reason);
    else running.push([candidate, stack.use(client)]);
  }
  const world = stack.use(await startWorld());
  for (let round = 1; round <= repeats; round++) {
    // At once: they share the server and nothing else.
    const ran = running.map(async ([candidate, client]) => {
      const report: Report = reports.get(candidate.name) ?? emptyReport();
      reports.set(candidate.name, report);
      const now = round === 1 ? scenarios : usual;
      await runClient(client, candidate, world, now, report);
      for (const [name, verdicts] of report.verdicts) {
        const last = verdicts[round - 1];
        if (last?.kind !== 'fail') continue;
        const told = `${candidate.name} › ${name}, run ${round}`;
        failures.push(told);
        console.log(
          `FAIL  ${told}\n${inspect(last.error, { depth: 4 }).replaceAll(/^/gm, '      ')}`,
        );
      }
    });
    await Promise.all(ran);
    if (repeats > 1) console.log(`run ${round} of ${repeats}: ${failures.length} failures so far`);
  }
}
printTable();
const late = [...reports].filter(([, { resumes }]) => (median(resumes) ?? 0) > RESUME_TARGET_MS);
for (const [name] of late) failures.push(`${name}: resuming took more than ${RESUME_TARGET_MS} ms`);
for (const [name, reason] of missing) console.log(`could not run  ${name}: ${reason}`);
for (const failure of failures) console.log(`FAIL  ${failure}`);
const passed = [...reports.values()].reduce((sum, report) => sum + count(report, 'pass'), 0);
const forbidden = process.env['TAILRACE_TEST_ALL'] === '1' ? missing.size : 0;
console.log(`\n${passed} passed, ${failures.length + forbidden} failed`);
process.exit(failures.length + forbidden > 0 ? 1 : 0);

function count(report: Report, kind: string): number {
  return [...report.verdicts.values()].flat().filter((verdict) => verdict.kind === kind).length;
}

function cell(report: Report | undefined, scenario: string): string {
  const verdicts = report?.verdicts.get(scenario) ?? [];
  const bad = verdicts.filter(({ kind }) => kind === 'fail').length;
  if (bad > 0) return verdicts.length === 1 ? 'FAIL' : `FAIL ${bad}/${verdicts.length}`;
  const last = verdicts.at(-1);
  if (last === undefined) return 'not run';
  return last.kind === 'pass' ? `pass ${seconds(last.tookMs)}` : '·';
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function printTable(): void {
  const names = candidates.map(({ name }) => name);
  const wide = Math.max(
    ...scenarios.map(({ name }) => name.length),
    'resumed after a cut, median'.length,
  );
  const row = (head: string, cells: readonly string[]): void => {
    const padded = cells.map((text, at) => text.padEnd(Math.max(names[at]?.length ?? 0, 10)));
    console.log(`${head.padEnd(wide)}  ${padded.join('  ')}`.trimEnd());
  };
  console.log('');
  row('', names);
  for (const { name } of scenarios)
    row(
      name,
      names.map((each) => cell(reports.get(each), name)),
    );
  row(
    'resumed after a cut, median',
    names.map((each) => {
      const ms = median(reports.get(each)?.resumes ?? []);
      return ms === undefined ? '–' : `${Math.round(ms)} ms`;
    }),
  );
  console.log('\n· not meant for a client that observes by hand');
}
