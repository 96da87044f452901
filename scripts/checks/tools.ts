// Independent tools that some tests hold against us. They are looked for on PATH and in .cache/bin, which comes first;
// only TAILRACE_TEST_ALL=1 fetches what is missing. A test that lacks its tool skips (test/support/needs.ts).
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { makeGenerators, TOOLCHAINS } from '../clients/toolchains.ts';
import { CACHE, program } from './program.ts';

const BIN = join(CACHE, 'bin');

/** Set by .ci/run and by every CI. */
export const IN_CI = (process.env['CI'] ?? '') !== '';
/** The reason of skips that are no failure even with TAILRACE_TEST_ALL=1. */
export const NOT_IN_CI = 'not run in CI';

const BY_GO = {
  grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4',
  connectconformance: 'connectrpc.com/conformance/cmd/connectconformance@v1.0.7',
} as const;

const FOR_TESTS = ['grpcurl'] as const;
const GO_TRIES = 3;

/** By the machine's package manager: a browser is not to be had from a registry of a language. */
const BY_APT: readonly string[] = ['chromium'];

export async function fetchTools(install: boolean): Promise<void> {
  process.env['PATH'] = [BIN, process.env['PATH'] ?? ''].join(delimiter);
  if (!install) return;
  for (const name of FOR_TESTS) {
    try {
      await goTool(name);
    } catch (error) {
      console.log(`tools: ${name} could not be had, its tests will skip:\n${String(error)}`);
    }
  }
  if (IN_CI) return;
  for (const name of BY_APT) {
    if (onPath(name)) continue;
    console.log(`tools: apt-get install ${name} (about a minute) …`);
    const wait = ['-o', 'DPkg::Lock::Timeout=600'];
    await program('apt-get', [...wait, 'update', '-qq']);
    const install = [...wait, 'install', '-y', '-qq', '--no-install-recommends', name];
    const { ok, output } = await program('apt-get', install, { DEBIAN_FRONTEND: 'noninteractive' });
    if (!ok) console.log(`tools: ${name} could not be had, its tests will skip:\n${output}`);
  }
  const lacking = await makeGenerators();
  if (lacking !== undefined) console.log(`tools: clients' code cannot be made: ${lacking}`);
  for (const { name, there, make } of TOOLCHAINS) {
    if (!there()) {
      console.log(`tools: the client in ${name} and its driver (a minute or two, once) …`);
    }
    const made = await make();
    if ('reason' in made) console.log(`tools: not made, its tests will skip: ${made.reason}`);
  }
}

function onPath(name: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.some((folder) => existsSync(join(folder, name)));
}

/** The program in .cache/bin, fetched if it is not there. */
export async function goTool(name: keyof typeof BY_GO): Promise<string> {
  const path = join(BIN, name);
  if (existsSync(path)) return path;
  mkdirSync(BIN, { recursive: true });
  const module = BY_GO[name];
  console.log(`tools: go install ${module} (about a minute the first time) …`);
  for (let tries = 1; ; tries++) {
    const { ok, output } = await program('go', ['install', module], { GOBIN: BIN, GOFLAGS: '' });
    if (ok) return path;
    // Unlike npm and pip it does not try a download again by itself.
    if (tries === GO_TRIES) throw new Error(`go install ${module} failed:\n${output}`);
  }
}
