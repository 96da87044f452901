// The house's rules that no compiler keeps: imports point down only, and each technology has one home.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '../..');

const ADAPTERS = ['nats', 'list', 'model', 'documents', 'tools', 'ops'];
/** What each floor may import besides itself and gen/. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  chat: [],
  operator: ['chat'],
  processes: ['chat'],
  nats: ['chat'],
  list: ['chat'],
  model: ['chat', 'operator'],
  documents: ['chat', 'processes'],
  tools: ['chat', 'operator', 'processes'],
  ops: ['chat'],
  rpc: ['chat', ...ADAPTERS],
  worker: ['chat', ...ADAPTERS],
  main: ['chat', 'operator', ...ADAPTERS, 'rpc', 'worker'],
  // A client: of the rest it knows main's entry points, bounds, and how YAML is read.
  cli: ['main', 'chat', 'operator'],
};

/** Packages with one home; the rest may be used on any floor but src/chat. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  '@nats-io/': ['nats'],
  openai: ['model'],
  'node-llama-cpp': ['model'],
  '@connectrpc/': ['rpc', 'main', 'cli'],
  commander: ['cli'],
  pino: ['ops'],
  '@opentelemetry/': ['ops'],
  'pdfjs-dist': ['documents'],
  mammoth: ['documents'],
  'html-to-text': ['documents'],
  fflate: ['documents'],
  'gpt-tokenizer': ['model'],
  '@modelcontextprotocol/': ['tools'],
  papaparse: ['tools'],
  yaml: ['operator'],
  pg: ['tools'],
  mysql2: ['tools'],
};
const CHAT_PACKAGES = ['@bufbuild/protobuf', '@bufbuild/protovalidate'];
/** Pure: computing, no reading, writing, waiting or asking the machine. */
const CHAT_BUILTINS = ['node:crypto', 'node:assert', 'node:buffer'];

interface Import {
  readonly file: string;
  readonly floor: string;
  readonly target: string;
}

interface Source {
  readonly file: string;
  readonly floor: string;
  readonly text: string;
}

function floorOf(file: string): string {
  return file.split('/')[1] ?? '';
}

/** Without comments, so that prose about imports is not taken for one; strings with `//` keep what is before it. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

const SOURCES: readonly Source[] = globSync('src/**/*.{ts,mts,js,mjs}', { cwd: ROOT })
  .map((found) => found.replaceAll('\\', '/'))
  .map((file) => ({
    file,
    floor: floorOf(file),
    text: withoutComments(readFileSync(join(ROOT, file), 'utf8')),
  }));

const IMPORTS: readonly Import[] = SOURCES.flatMap(({ file, floor, text }) =>
  [
    ...text.matchAll(/\bfrom\s*['"]([^'"]+)['"]/g),
    ...text.matchAll(/\bimport\s*\(?\s*['"]([^'"]+)['"]/g),
  ].map((match) => ({ file, floor, target: match[1] ?? '' })),
);

function isRelative(target: string): boolean {
  return target.startsWith('.');
}

function resolved({ file, target }: Import): string {
  return normalize(join(dirname(file), target)).replaceAll('\\', '/');
}

function isOf(target: string, name: string): boolean {
  return name.endsWith('/')
    ? target.startsWith(name)
    : target === name || target.startsWith(`${name}/`);
}

function none(wrong: readonly string[], rule: string): void {
  assert.deepEqual(wrong, [], `${rule}:\n  ${wrong.join('\n  ')}\n`);
}

function told(found: readonly Import[]): readonly string[] {
  return found.map(({ file, target }) => `${file} imports ${target}`);
}

test('there is something to look at', () => {
  assert.ok(SOURCES.length > 0);
  assert.ok(IMPORTS.length > SOURCES.length / 2);
});

test('every folder of src/ is a known floor', () => {
  none(
    SOURCES.filter(({ floor }) => !(floor in BELOW)).map(({ file }) => file),
    'the floors are those of docs/ARCHITECTURE.md',
  );
});

test('imports point down only; adapters, rpc and worker do not know each other', () => {
  const wrong = IMPORTS.filter(({ target }) => isRelative(target)).filter((found) => {
    const to = resolved(found);
    if (to.startsWith('gen/')) return false;
    // The client library is the command line's as it is any client's.
    if (to.startsWith('clients/typescript/src/')) return found.floor !== 'cli';
    if (!to.startsWith('src/')) return true;
    const floor = floorOf(to);
    return floor !== found.floor && !BELOW[found.floor]?.includes(floor);
  });
  none(
    told(wrong),
    'chat ← processes ← {nats, list, model, documents, tools, ops} ← {rpc, worker} ← main ← cli',
  );
});

/** Of files or of folders: what imports what, and none comes back to where it began. */
function assertNoCircle(edges: readonly (readonly [string, string])[]): void {
  const targets = Map.groupBy(edges, ([from]) => from);
  const done = new Set<string>();
  const walk = (at: string, way: readonly string[]): void => {
    const begin = way.indexOf(at);
    if (begin !== -1) assert.fail(`a circle: ${[...way.slice(begin), at].join(' imports ')}`);
    if (done.has(at)) return;
    for (const [, next] of targets.get(at) ?? []) walk(next, [...way, at]);
    done.add(at);
  };
  for (const at of targets.keys()) walk(at, []);
}

test('no files import each other in a circle, and no folders of a floor', () => {
  const files = IMPORTS.filter(({ target }) => isRelative(target)).map(
    (found) => [found.file, resolved(found)] as const,
  );
  assertNoCircle(files);
  const inOneFloor = files.filter(([from, to]) => floorOf(from) === floorOf(to));
  const folders = inOneFloor.map(([from, to]) => [dirname(from), dirname(to)] as const);
  assertNoCircle(folders.filter(([from, to]) => from !== to));
});

test('relative imports name a file that is there, with its ending', () => {
  const wrong = IMPORTS.filter(
    (found) => isRelative(found.target) && !existsSync(join(ROOT, resolved(found))),
  );
  none(told(wrong), 'type stripping resolves nothing');
});

test('each technology is known to its own floor alone', () => {
  const wrong = IMPORTS.filter(({ target, floor }) =>
    Object.entries(HOMES).some(([name, homes]) => isOf(target, name) && !homes.includes(floor)),
  );
  none(told(wrong), `homes: ${JSON.stringify(HOMES)}`);
});

test('src/chat is pure: no I/O, no package but protobuf and its validation', () => {
  const wrong = IMPORTS.filter(
    ({ floor, target }) => floor === 'chat' && !isRelative(target),
  ).filter(({ target }) =>
    isBuiltin(target)
      ? !CHAT_BUILTINS.includes(target)
      : !CHAT_PACKAGES.some((name) => isOf(target, name)),
  );
  none(told(wrong), 'the domain only computes');
});

test('Node modules are imported as node:…', () => {
  const wrong = IMPORTS.filter(({ target }) => isBuiltin(target) && !target.startsWith('node:'));
  none(told(wrong), 'a package could have that name');
});

test('the environment is read in src/ops/config.ts, src/main and src/cli, and by the model child', () => {
  const readers = /^src\/(main\/|cli\/|ops\/config\.ts$|model\/embedded\/child[^/]*\.ts$)/;
  none(
    SOURCES.filter(({ file, text }) => /process\.env\b/.test(text) && !readers.test(file)).map(
      ({ file }) => file,
    ),
    'configuration is read once, at the edge',
  );
});

test('no default exports, no barrels, no utils', () => {
  none(
    SOURCES.filter(({ text }) => /^export default\b|\bas default\b/m.test(text)).map(
      ({ file }) => file,
    ),
    'an export has one name everywhere',
  );
  none(
    SOURCES.filter(({ file }) => /\/(index|utils?|helpers?|common|misc)\.\w+$/.test(file)).map(
      ({ file }) => file,
    ),
    'a file is named by its one idea',
  );
});
