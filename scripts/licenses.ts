// `npm run licenses`: writes THIRD_PARTY.md, what each package that is installed with this one may be used under.
// `--check`, in `npm test`: says what is not allowed, or that the file is not what this would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { init, type ModuleInfos } from 'license-checker-rseidelsohn';

const ROOT = join(import.meta.dirname, '..');
const FILE = join(ROOT, 'THIRD_PARTY.md');

/** Of those an Apache-2.0 program may depend on whatever it is used for. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
  'Zlib',
]);

/** Whose package.json does not say it in SPDX's words; read by a person. */
const READ: Readonly<Record<string, string>> = {
  // Its LICENSE has the two clauses; package.json says BSD.
  'duck@0.1.12': 'BSD-2-Clause',
};

interface LockEntry {
  readonly name?: string;
  readonly version?: string;
  readonly dev?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
}

/** What is installed everywhere with the package, as name@version: no build for one platform alone. */
function production(): Set<string> {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockEntry>>;
  };
  const names = Object.entries(lock.packages)
    .filter(([path, { dev, os, cpu }]) => path !== '' && dev !== true && !os && !cpu)
    .map(([path, { name, version }]) => `${name ?? path.split('node_modules/').at(-1)}@${version}`);
  return new Set(names);
}

function installed(): Promise<ModuleInfos> {
  return new Promise((resolve, reject) => {
    init({ start: ROOT, production: true }, (error, found) => {
      if (error === undefined || error === null) resolve(found);
      else reject(error);
    });
  });
}

/** "or" leaves the choice, "and" does not. */
function isAllowed(expression: string): boolean {
  return expression
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((each) => ALLOWED.has(each.trim())));
}

interface Row {
  readonly name: string;
  readonly license: string;
  readonly repository: string;
}

async function rows(): Promise<readonly Row[]> {
  const wanted = production();
  return Object.entries(await installed())
    .filter(([name]) => wanted.has(name))
    .map(([name, { licenses, repository }]) => ({
      name,
      license: READ[name] ?? [licenses ?? 'none'].flat().join(' AND '),
      repository: repository ?? '',
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name, 'en'));
}

function fileText(all: readonly Row[]): string {
  return `# What others wrote

Tailrace is Apache-2.0 ([LICENSE](LICENSE)). These npm packages are installed with it, none is part of it. Written by
\`npm run licenses\`; \`npm test\` fails where a licence is none of ${[...ALLOWED].join(', ')}.

| package | licence | where |
|---|---|---|
${all.map(({ name, license, repository }) => `| ${name} | ${license} | ${repository} |`).join('\n')}

Node itself, which the package \`node\` brings, is MIT with the licences of its parts. Fetched at the first start, where they
are wanted: nats-server (Apache-2.0), node-llama-cpp with llama.cpp (MIT) and SmolLM2-135M-Instruct (Apache-2.0).
The contract in \`vendor/proto\` has files of googleapis, grpc (Apache-2.0) and protovalidate (Apache-2.0).
`;
}

const all = await rows();
const refused = all.filter(({ license }) => !isAllowed(license));
for (const { name, license } of refused) {
  console.error(`${name} is ${license}, which is not on the list in scripts/licenses.ts`);
}
if (refused.length > 0) process.exitCode = 1;
const text = fileText(all);
if (!process.argv.includes('--check')) writeFileSync(FILE, text);
else if (readFileSync(FILE, 'utf8') !== text) {
  console.error('THIRD_PARTY.md is not what the packages say: run npm run licenses and commit it.');
  process.exitCode = 1;
}
