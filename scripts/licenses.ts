// `npm run licenses`: writes THIRD_PARTY.md, what each package that is installed with this one, or is in it, may be used
// under.
// `--check`, in `npm test`: says what is not allowed, or that the file is not what this would write.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
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

/** What others wrote that is part of the page at `/`, which is in the package: the files that esbuild takes into it. */
async function filesInPage(): Promise<readonly string[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    // As in scripts/setup/page.mjs.
    entryPoints: ['page/page.ts'],
    outfile: 'page.js',
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  return Object.values(metafile.outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .filter(([file, { bytesInOutput }]) => file.includes('node_modules/') && bytesInOutput > 0)
    .map(([file]) => file);
}

/** As name@version. */
function packagesOf(files: readonly string[]): Set<string> {
  const folders = files.map(
    (file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? file,
  );
  return new Set(
    [...new Set(folders)].map((folder) => {
      const said = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as {
        readonly name: string;
        readonly version: string;
      };
      return `${said.name}@${said.version}`;
    }),
  );
}

/** What stands on top of those of the files that ask for it to be told wherever they are. */
function noticesIn(files: readonly string[]): readonly string[] {
  const tops = files.map((file) => {
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
    const end = lines.findIndex((line) => !line.startsWith('//'));
    return lines
      .slice(0, end)
      .map((line) => line.slice(2).trim())
      .join('\n');
  });
  return [...new Set(tops)].filter((top) => top.includes('Redistributions in binary form'));
}

/** Those for development too: of them is what the page is made of. */
function installed(): Promise<ModuleInfos> {
  return new Promise((resolve, reject) => {
    init({ start: ROOT }, (error, found) => {
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

function rows(found: ModuleInfos, wanted: ReadonlySet<string>): readonly Row[] {
  return Object.entries(found)
    .filter(([name]) => wanted.has(name))
    .map(([name, { licenses, repository }]) => ({
      name,
      license: READ[name] ?? [licenses ?? 'none'].flat().join(' AND '),
      repository: repository ?? '',
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name, 'en'));
}

function table(of: readonly Row[]): string {
  return `| package | licence | where |
|---|---|---|
${of.map(({ name, license, repository }) => `| ${name} | ${license} | ${repository} |`).join('\n')}`;
}

function fileText(
  beside: readonly Row[],
  inPage: readonly Row[],
  notices: readonly string[],
): string {
  return `# What others wrote

Tailrace is Apache-2.0 ([LICENSE](LICENSE)). These npm packages are installed with it. Written by
\`npm run licenses\`; \`npm test\` fails where a licence is none of ${[...ALLOWED].join(', ')}.

${table(beside)}

Parts of these are in the page at \`/\`, and so in the package (\`dist/page/page.js\`):

${table(inPage)}

${notices.map((notice) => `\`\`\`text\n${notice}\n\`\`\``).join('\n\n')}

Node itself, which the package \`node\` brings, is MIT with the licences of its parts. Fetched at the first start, where they
are wanted: nats-server (Apache-2.0), node-llama-cpp with llama.cpp (MIT) and SmolLM2-135M-Instruct (Apache-2.0).
The contract in \`vendor/proto\` has files of googleapis, grpc (Apache-2.0) and protovalidate (Apache-2.0).
`;
}

const found = await installed();
const pageFiles = await filesInPage();
const beside = rows(found, production());
const inPage = rows(found, packagesOf(pageFiles));
const refused = [...beside, ...inPage].filter(({ license }) => !isAllowed(license));
for (const { name, license } of refused) {
  console.error(`${name} is ${license}, which is not on the list in scripts/licenses.ts`);
}
if (refused.length > 0) process.exitCode = 1;
const text = fileText(beside, inPage, noticesIn(pageFiles));
if (!process.argv.includes('--check')) writeFileSync(FILE, text);
else if (readFileSync(FILE, 'utf8') !== text) {
  console.error('THIRD_PARTY.md is not what the packages say: run npm run licenses and commit it.');
  process.exitCode = 1;
}
