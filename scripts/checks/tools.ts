// Independent tools that some tests hold against us. They are looked for on PATH and in .cache/bin, which comes first;
// only TAILRACE_TEST_ALL=1 fetches what is missing. A test that lacks its tool skips (test/support/needs.ts).
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { makeGenerators, TOOLCHAINS } from '../clients/toolchains.ts';
import { CACHE, program } from './program.ts';

const BIN = join(CACHE, 'bin');

const BY_GO: Readonly<Record<string, string>> = {
  grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4',
};

export async function fetchTools(install: boolean): Promise<void> {
  process.env['PATH'] = [BIN, process.env['PATH'] ?? ''].join(delimiter);
  if (!install) return;
  mkdirSync(BIN, { recursive: true });
  for (const [name, module] of Object.entries(BY_GO)) {
    if (existsSync(join(BIN, name))) continue;
    console.log(`tools: go install ${module} (about a minute the first time) …`);
    const { ok, output } = await program('go', ['install', module], { GOBIN: BIN, GOFLAGS: '' });
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
