// The checks that are not tests: types, lint, format, the contract, unused code.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, program, ROOT } from './program.ts';

interface Check {
  readonly name: string;
  /** Nothing when all is well, otherwise what is wrong. */
  readonly run: () => Promise<string | undefined>;
}

function byProgram(name: string, command: string, args: readonly string[], remedy = ''): Check {
  return {
    name,
    run: async () => {
      const { ok, output } = await program(join(ROOT, 'node_modules/.bin', command), args);
      return ok ? undefined : `${output}\n${remedy}`;
    },
  };
}

function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted();
}

/** What is generated, and by which template. */
const GENERATED: readonly (readonly [folder: string, template: string])[] = [
  ['gen', 'buf.gen.yaml'],
  ['clients/typescript/src/gen', 'clients/typescript/buf.gen.yaml'],
  ['test/conformance/gen', 'test/conformance/buf.gen.yaml'],
];

async function genIsFresh(): Promise<string | undefined> {
  const made = join(CACHE, `gen-${process.pid}`);
  try {
    const stale: string[] = [];
    for (const [folder, template] of GENERATED) {
      const { ok, output } = await program(join(ROOT, 'node_modules/.bin/buf'), [
        'generate',
        '--template',
        template,
        '-o',
        made,
      ]);
      if (!ok) return output;
      stale.push(...differences(folder, join(made, folder), join(ROOT, folder)));
    }
    return stale.length === 0 ? undefined : `${stale.join('\n')}\nRun npm run gen and commit it.`;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function differences(name: string, made: string, committed: string): readonly string[] {
  const wanted = filesBelow(made);
  const found = filesBelow(committed);
  const same = (file: string) =>
    readFileSync(join(made, file)).equals(readFileSync(join(committed, file)));
  return [
    ...wanted.filter((file) => !found.includes(file)).map((file) => `${name}/${file} is missing`),
    ...found.filter((file) => !wanted.includes(file)).map((file) => `${name}/${file} is left over`),
    ...wanted
      .filter((file) => found.includes(file) && !same(file))
      .map((file) => `${name}/${file} is not what the protos make`),
  ];
}

async function nothingBreaks(): Promise<string | undefined> {
  if (!existsSync(join(ROOT, 'proto/baseline.binpb'))) {
    return 'proto/baseline.binpb is missing: run npm run proto:baseline and commit it.';
  }
  const buf = join(ROOT, 'node_modules/.bin/buf');
  const { ok, output } = await program(buf, [
    'breaking',
    'proto',
    '--against',
    'proto/baseline.binpb',
  ]);
  if (ok) return undefined;
  return `${output}\nIf it is meant: npm run proto:baseline, and a line in CHANGELOG.md.`;
}

export const checks: readonly Check[] = [
  byProgram('types: tsc', 'tsc', []),
  byProgram('types of the TypeScript client: tsc', 'tsc', ['-p', 'clients/typescript', '--noEmit']),
  byProgram('types of the page: tsc', 'tsc', ['-p', 'page']),
  byProgram('lint: oxlint', 'oxlint', ['--type-aware', '--deny-warnings']),
  byProgram('format: oxfmt', 'oxfmt', ['--check'], 'Run npm run format.'),
  byProgram('contract: buf lint', 'buf', ['lint']),
  byProgram(
    'contract: buf format',
    'buf',
    ['format', 'proto', '-d', '--exit-code'],
    'Run npm run format.',
  ),
  { name: 'contract: buf breaking', run: nothingBreaks },
  { name: 'contract: gen is fresh', run: genIsFresh },
  byProgram('unused: knip', 'knip', ['--no-progress']),
  byProgram('packages: licences', 'node', ['scripts/licenses.ts', '--check']),
  byProgram('packages: the lock file is whole', 'node', ['scripts/complete-lock.mjs', '--check']),
];
