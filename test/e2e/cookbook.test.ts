// docs/COOKBOOK.md: every recipe as it stands, its files written, its server started, its commands run.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { PYTHON, TOOLCHAINS } from '../../scripts/clients/toolchains.ts';
import { startBrowser } from '../browser/browser.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import { type DocBlock, differences, docBlocks, runInShell } from '../support/doc-blocks.ts';
import { freePort } from '../support/processes/free-port.ts';
import { needs, notInCi } from '../support/needs.ts';
import { type PlainWords, startPlainWords } from '../support/plain-words.ts';
import {
  startTailraceProcess,
  type TailraceProcess,
} from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const CLIENTS = join(ROOT, 'clients');
/** Below the project, so that the packages of the recipes are found as beside installed ones. */
const PLACE = join(ROOT, `.cache/cookbook-${process.pid}`);
const BIN = join(PLACE, 'node_modules/.bin');

interface Recipe {
  readonly title: string;
  readonly folder: string;
  readonly blocks: readonly DocBlock[];
}

const RECIPES: readonly Recipe[] = readFileSync(join(ROOT, 'docs/COOKBOOK.md'), 'utf8')
  .split(/^(?=## )/m)
  .slice(1)
  .map((section) => {
    const title = /^## (.*)/.exec(section)?.[1] ?? '';
    return { title, folder: join(PLACE, title.split('.')[0] ?? ''), blocks: docBlocks(section) };
  });

/** What the recipes ask, as the test model server's scripts. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'The Rhine, as data.': scripted({
    text: [
      '{"name": "Rhine", "lengthKm": 1230, ',
      '"countries": ["CH", "LI", "AT", "DE", "FR", "NL"]}',
    ],
  }),
  'Do I need an umbrella in Ghent?': scripted({
    tokens: 0,
    calls: [{ id: 'call-1', name: 'weather', input: '{"city":"Ghent"}' }],
    rounds: [{ text: ['Yes, it rains in Ghent.'] }],
  }),
  'When do my unused days of leave expire?': scripted({
    tokens: 0,
    calls: [{ id: 'call-1', name: 'document_search', input: '{"query":"unused days of leave"}' }],
    rounds: [
      { text: ['They expire in spring.[[d1: "Unused days expire', ' at the end of March."]]'] },
    ],
  }),
  'Which city has ordered most?': scripted({
    tokens: 0,
    calls: [
      {
        id: 'call-1',
        name: 'database_query',
        input: JSON.stringify({
          database: 'shop',
          sql: 'SELECT city, sum(amount) AS total FROM orders GROUP BY city ORDER BY total DESC LIMIT 1',
        }),
      },
    ],
    rounds: [{ text: ['Basel, with 35.'] }],
  }),
  'What are 19 and 23?': scripted({
    tokens: 0,
    calls: [{ id: 'call-1', name: 'everything__get-sum', input: '{"a":19,"b":23}' }],
    rounds: [{ text: ['They are 42.'] }],
  }),
  // Long enough for the others to stand in the line behind it.
  'Write a poem about a mill.': scripted({ tokens: 100, interval_ms: 15 }),
  'Count to a million.': scripted({ tokens: 100_000, interval_ms: 10 }),
};

let model: ModelServer;
let words: PlainWords;
let tailrace: TailraceProcess;

before(async () => {
  mkdirSync(BIN, { recursive: true });
  writeFileSync(join(PLACE, 'package.json'), '{"type": "module"}');
  symlinkSync(join(ROOT, 'bin/tailrace.mjs'), join(BIN, 'tailrace'));
  for (const name of ['esbuild', 'mcp-server-everything']) {
    symlinkSync(join(ROOT, 'node_modules/.bin', name), join(BIN, name));
  }
  // The client's sources in place of what is compiled of them: node does not strip types below node_modules, but these
  // are only linked there.
  const client = join(PLACE, 'node_modules/@tailrace/client');
  mkdirSync(client, { recursive: true });
  const manifest = { name: '@tailrace/client', type: 'module', exports: './src/tailrace.ts' };
  writeFileSync(join(client, 'package.json'), JSON.stringify(manifest));
  symlinkSync(join(CLIENTS, 'typescript/src'), join(client, 'src'));
  model = await startModelServer();
  words = await startPlainWords(model.url, SCRIPTS);
  tailrace = await serve(PLACE, {});
});

after(async () => {
  await tailrace?.[Symbol.asyncDispose]();
  await words?.[Symbol.asyncDispose]();
  await model?.[Symbol.asyncDispose]();
  rmSync(PLACE, { recursive: true, force: true, maxRetries: 3 });
});

/** Where the recipe starts it. */
function serve(cwd: string, env: Readonly<Record<string, string>>): Promise<TailraceProcess> {
  const own = { TAILRACE_DATA_DIR: join(cwd, 'data'), OPENAI_BASE_URL: words.url, PATH: PATHS };
  return startTailraceProcess({ ...own, ...env }, { cwd });
}

const PATHS = [BIN, dirname(PYTHON), dirname(process.execPath), process.env['PATH'] ?? ''].join(
  delimiter,
);

/** `look`: at what the recipe has left running, with the addresses that stand for those of the page. */
async function cook(
  { folder, blocks }: Recipe,
  look: (local: (text: string) => string) => Promise<void> = async () => undefined,
): Promise<void> {
  const [backend, page] = [await freePort(), await freePort()];
  let host = '127.0.0.1:0';
  const local = (text: string): string =>
    text
      .replaceAll('127.0.0.1:8080', host)
      .replaceAll('127.0.0.1:9000', `127.0.0.1:${backend}`)
      .replaceAll('127.0.0.1:3000', `127.0.0.1:${page}`)
      .replaceAll('/srv/shop', join(folder, 'shop'));
  const write = (): void => {
    for (const block of blocks) {
      if (block.kind === 'file') writeFileSync(join(folder, block.name), local(block.text));
    }
  };
  mkdirSync(join(folder, 'shop'), { recursive: true });
  // What the server reads, before it starts; what names its address, after.
  write();
  await using stack = new AsyncDisposableStack();
  const served = blocks.find((block) => block.kind === 'serve');
  let server = tailrace;
  if (served !== undefined) {
    const env = Object.entries(served.env).map(([name, value]) => [name, local(value)] as const);
    server = stack.use(await serve(folder, Object.fromEntries(env)));
  }
  host = new URL(server.url).host;
  write();
  const commands = blocks
    .filter((block) => block.kind === 'commands')
    .map((block) => ({ ...block, text: local(block.text) }));
  const shell = stack.use(
    runInShell(commands, {
      cwd: folder,
      env: {
        ...process.env,
        PATH: PATHS,
        PYTHONPATH: join(CLIENTS, 'python/src'),
        GOFLAGS: '',
        TAILRACE_ADDRESS: server.url,
      },
    }),
  );
  assert.equal(differences(commands, await shell.outcomes).join('\n\n'), '');
  await look(local);
}

function goModule(folder: string): void {
  mkdirSync(folder);
  const module = readFileSync(join(CLIENTS, 'go/go.mod'), 'utf8').replace(/^module .*$/m, '');
  writeFileSync(
    join(folder, 'go.mod'),
    `module backend\n${module}\nrequire tailrace.dev/go v0.0.0\nreplace tailrace.dev/go => ${join(CLIENTS, 'go')}\n`,
  );
  copyFileSync(join(CLIENTS, 'go/go.sum'), join(folder, 'go.sum'));
}

/** The chat, again after a reload, and what is said of an id that nobody has. */
async function lookAtPage(local: (text: string) => string): Promise<void> {
  await using browser = await startBrowser();
  const context = await browser.newContext();
  const page = await context.newPage();
  const shows = async (): Promise<void> => {
    await page.getByText('Water that has done its work').waitFor();
    await page.getByText('done', { exact: true }).waitFor();
  };
  const address = local('http://127.0.0.1:3000/');
  await until('the page', () =>
    fetch(address).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
  await page.goto(`${address}#river`);
  await shows();
  await page.reload();
  await shows();
  await page.goto(`${address}#nobody`);
  await page.reload();
  await page.getByText('There is no chat stream').waitFor();
}

/** The job ran twice. */
async function countAsked(): Promise<void> {
  const asked = model.requests.filter(({ body }) => JSON.stringify(body).includes('river number'));
  assert.equal(asked.length, 100, 'each prompt was asked once');
}

function lacks(client: string): string | false {
  const there = TOOLCHAINS.some(({ name, there }) => name === client && there());
  const short = client.split(',')[0] ?? client;
  return !there && (notInCi() || `the client in ${short} is not made: npm run interop makes it`);
}

interface Kitchen {
  readonly skip?: string | false;
  readonly prepare?: (folder: string) => void;
  readonly look?: (local: (text: string) => string) => Promise<void>;
}

const KITCHENS: Readonly<Record<string, Kitchen>> = {
  '1': { skip: lacks('Go') || needs('go') || needs('curl'), prepare: goModule },
  '2': { skip: notInCi() || needs('chromium'), look: lookAtPage },
  '3': { skip: lacks('Python, asyncio'), look: countAsked },
  '5': { skip: lacks('Python, sync') },
  '7': { skip: needs('python3') },
  '10': { skip: needs('curl') },
};

test('there are ten recipes at least, each in the table of the page', () => {
  assert.ok(RECIPES.length >= 10);
  const page = readFileSync(join(ROOT, 'docs/COOKBOOK.md'), 'utf8');
  const missing = RECIPES.filter(({ title }) => !page.includes(`| [${title}](#`));
  assert.deepEqual(missing, []);
});

for (const recipe of RECIPES) {
  const { skip = false, prepare, look } = KITCHENS[recipe.title.split('.')[0] ?? ''] ?? {};
  test(`cookbook: ${recipe.title}`, { skip }, async () => {
    prepare?.(recipe.folder);
    await cook(recipe, look);
  });
}

test('the requests in YAML are what InitiateChatStream takes', () => {
  const requests = RECIPES.flatMap(({ blocks }) =>
    blocks.flatMap((block) =>
      block.kind === 'file' && block.text.includes('\nrequest:') ? [block.text] : [],
    ),
  );
  assert.ok(requests.length >= 3);
  for (const text of requests) {
    fromJson(InitiateChatStreamRequestSchema, parse(text) as JsonValue);
  }
});

test('the recipes in TypeScript compile as strictly as can be', async () => {
  const files = RECIPES.flatMap(({ folder, blocks }) =>
    blocks.flatMap((block) =>
      block.kind === 'file' && block.name.endsWith('.ts')
        ? [{ path: join(folder, block.name), text: block.text }]
        : [],
    ),
  );
  assert.ok(files.length >= 5);
  for (const { path, text } of files) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023', 'dom', 'dom.iterable'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    types: ['node'],
    noEmit: true,
  };
  const config = { compilerOptions, files: files.map(({ path }) => path) };
  writeFileSync(join(PLACE, 'tsconfig.json'), JSON.stringify(config));
  await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', PLACE]).catch(
    (error: Error & { stdout?: string }) => assert.fail(error.stdout ?? error.message),
  );
});
