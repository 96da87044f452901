// Runs test files with node:test, a process each, and reports them a line per file; failures in full.
import { globSync } from 'node:fs';
import { join, relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { ROOT } from './program.ts';
import type { Tally } from './tally.ts';

/** For each single test; node:test passes it on to the processes. */
const TEST_TIMEOUT_MS = 180_000;
/** Two cores: more would only measure each other. */
const PARALLEL_FILES = 2;
/** Most of these wait for leases and elections. */
const PARALLEL_IN: Readonly<Record<string, number>> = { laws: 3, faults: 3, nats: 3 };
/** From quick to slow; folders that are not named here come last. */
const ORDER = [
  'house',
  'chat',
  'list',
  'ops',
  'nats',
  'laws',
  'rpc',
  'cli',
  'e2e',
  'faults',
  'package',
];

interface TestGroup {
  readonly name: string;
  readonly files: readonly string[];
}

function folderOf(file: string): string {
  return file.split('/')[1] ?? '';
}

function rank(name: string): number {
  const at = ORDER.indexOf(name);
  return at === -1 ? ORDER.length : at;
}

export function testGroups(only: string | undefined): readonly TestGroup[] {
  const files = globSync('test/**/*.test.ts', { cwd: ROOT })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => only === undefined || file.includes(only))
    .toSorted();
  const groups = Map.groupBy(files, folderOf);
  return [...groups]
    .map(([name, inGroup]) => ({ name, files: inGroup }))
    .toSorted((a, b) => rank(a.name) - rank(b.name));
}

interface FileReport {
  passed: number;
  skipped: number;
  failures: string[];
  output: string;
  reported: boolean;
}

export async function runTests(group: TestGroup, tally: Tally): Promise<void> {
  const reports = new Map<string, FileReport>();
  const reportOf = (file: string | undefined): FileReport => {
    const name = relative(ROOT, file ?? group.name);
    let report = reports.get(name);
    if (report === undefined) {
      report = { passed: 0, skipped: 0, failures: [], output: '', reported: false };
      reports.set(name, report);
    }
    return report;
  };
  const events = run({
    cwd: ROOT,
    files: [...group.files],
    concurrency: PARALLEL_IN[group.name] ?? PARALLEL_FILES,
    timeout: TEST_TIMEOUT_MS,
    execArgv: ['--import', pathToFileURL(join(import.meta.dirname, 'watchdog.ts')).href],
  });
  const addOutput = (data: { file?: string | undefined; message: string }) => {
    reportOf(data.file).output += data.message;
  };
  events.on('test:stdout', addOutput);
  events.on('test:stderr', addOutput);
  events.on('test:pass', (data) => {
    if (data.details.type === 'suite') return;
    const skip = data.skip ?? data.todo;
    if (skip === undefined || skip === false) {
      reportOf(data.file).passed += 1;
      return;
    }
    reportOf(data.file).skipped += 1;
    const why = typeof skip === 'string' ? skip : 'no reason given';
    tally.skips.push(`${relative(ROOT, data.file ?? '')} › ${data.name}: ${why}`);
  });
  events.on('test:fail', (data) => {
    const error: unknown = data.details.error;
    // What fails only because of a test in it has been told by that test.
    if (error instanceof Error && 'failureType' in error && error.failureType === 'subtestsFailed')
      return;
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const at = data.line === undefined ? '' : ` (line ${data.line})`;
    reportOf(data.file).failures.push(`${data.name}${at}\n${inspect(cause, { depth: 6 })}`);
    tally.failures.push(`${relative(ROOT, data.file ?? '')} › ${data.name}`);
  });
  events.on('test:summary', (data) => {
    if (data.file !== undefined) {
      report(relative(ROOT, data.file), reportOf(data.file), data.duration_ms);
    }
  });
  await finished(events.resume());
  for (const [name, of] of reports) {
    // A process that died has no summary.
    if (!of.reported) report(name, of, undefined);
    tally.passed += of.passed;
    tally.failed += of.failures.length;
  }
}

function report(file: string, of: FileReport, tookMs: number | undefined): void {
  of.reported = true;
  const { passed, skipped, failures, output } = of;
  const took = tookMs === undefined ? '' : ` (${Math.round(tookMs)} ms)`;
  const counts = `${passed} passed${skipped > 0 ? `, ${skipped} SKIPPED` : ''}`;
  if (failures.length === 0) {
    console.log(`ok    ${file}: ${counts}${took}`);
    return;
  }
  console.log(`FAIL  ${file}: ${counts}, ${failures.length} failed${took}`);
  for (const failure of failures) console.log(failure.replaceAll(/^/gm, '      '));
  if (output !== '') console.log(`      what it printed:\n${output.replaceAll(/^/gm, '      | ')}`);
}
