// The package as its users get it: packed, small, on its own, and its README true.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import { startNats, type TestNats } from '../support/processes/nats.ts';
import { type PlainWords, startPlainWords } from '../support/plain-words.ts';
import { startTestTailrace, type TestTailrace } from '../support/processes/tailrace.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const CLIENT = join(ROOT, 'clients/typescript');
const TSC = join(ROOT, 'node_modules/.bin/tsc');
/** Below the project, so that the peers are found as beside an installed package. */
const PLACE = join(ROOT, `.cache/client-package-${process.pid}`);
const INSTALLED = join(PLACE, 'node_modules/@tailrace/client');
const MAX_GZIPPED_BYTES = 15_000;

interface Manifest {
  readonly files: readonly string[];
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(CLIENT, 'package.json'), 'utf8')) as Manifest;

before(async () => {
  mkdirSync(INSTALLED, { recursive: true });
  await run(TSC, ['-p', CLIENT, '--outDir', join(INSTALLED, 'dist')]);
  cpSync(join(CLIENT, 'package.json'), join(INSTALLED, 'package.json'));
});

after(() => rmSync(PLACE, { recursive: true, force: true }));

test('the compiled package imports its peers and nothing else, no Node built-in among it', () => {
  assert.deepEqual(manifest.files, ['dist']);
  assert.equal(manifest.dependencies, undefined);
  const peers = Object.keys(manifest.peerDependencies);
  const files = globSync('dist/**/*.{js,d.ts}', { cwd: INSTALLED });
  assert.ok(files.length > 20);
  const foreign = files.flatMap((file) => {
    const text = readFileSync(join(INSTALLED, file), 'utf8');
    return [...text.matchAll(/^(?:import|export)[^;]*?from ['"]([^'"]+)['"]/gm)]
      .map(([, target = '']) => target)
      .filter((target) => !target.startsWith('.'))
      .filter((target) => !peers.some((peer) => target === peer || target.startsWith(`${peer}/`)));
  });
  assert.deepEqual(foreign, []);
});

async function bundled(text: string): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents: text, resolveDir: PLACE },
    bundle: true,
    minify: true,
    format: 'esm',
    external: Object.keys(manifest.peerDependencies).flatMap((peer) => [peer, `${peer}/*`]),
    write: false,
  });
  return outputFiles[0]?.contents ?? new Uint8Array();
}

test(`the client weighs at most ${MAX_GZIPPED_BYTES} bytes gzipped, its runtime apart`, async (t) => {
  const whole = await bundled(`export { createTailraceClient } from '@tailrace/client'`);
  const bytes = gzipSync(whole, { level: 9 }).length;
  t.diagnostic(`${bytes} bytes gzipped`);
  assert.ok(bytes > 5_000, 'there is something in it');
  assert.ok(bytes <= MAX_GZIPPED_BYTES, `${bytes} bytes`);
});

test('what is not used is not in a bundle', async () => {
  const one = await bundled(`export { newStreamId } from '@tailrace/client'`);
  assert.ok(one.length < 1_000, `${one.length} bytes`);
});

const README = readFileSync(join(CLIENT, 'README.md'), 'utf8');
const EXAMPLES = README.split(/^(?=## )/m).flatMap((section) => {
  const title = /^## (.*)/.exec(section)?.[1] ?? '';
  return [...section.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = ''], nth) => ({
    title: nth === 0 ? title : `${title}, example ${nth + 1}`,
    code,
  }));
});

let nats: TestNats;
let model: ModelServer;
let translator: PlainWords;
let tailrace: TestTailrace;

before(async () => {
  nats = await startNats();
  model = await startModelServer();
  translator = await startPlainWords(model.url, SCRIPTS);
  tailrace = await startTestTailrace(nats.access, { OPENAI_BASE_URL: translator.url });
});

after(async () => {
  await tailrace[Symbol.asyncDispose]();
  await translator[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

/** What the examples ask, in the words of the test model server. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'What is the weather in Ghent?': scripted({
    tokens: 0,
    calls: [{ id: 'call-1', name: 'weather', input: '{"city":"Ghent"}' }],
    rounds: [{ text: ['It is sunny in Ghent.'] }],
  }),
  'Count to a million.': scripted({ tokens: 10_000, interval_ms: 10 }),
};

const fileOf = (at: number): string => join(PLACE, `example-${at + 1}.ts`);

test('the examples of the README compile as strictly as can be', async () => {
  assert.ok(EXAMPLES.length >= 8);
  for (const [at, { code }] of EXAMPLES.entries()) {
    const local = code.replaceAll('http://127.0.0.1:8080', tailrace.url);
    writeFileSync(fileOf(at), `${local}\nexport {};\n`);
  }
  writeFileSync(join(PLACE, 'package.json'), '{"type":"module"}');
  const compilerOptions = {
    target: 'es2023',
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    types: ['node'],
    noEmit: true,
  };
  writeFileSync(
    join(PLACE, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, include: ['*.ts'] }),
  );
  await run(TSC, ['-p', PLACE]).catch((error: Error & { stdout?: string }) => {
    assert.fail(error.stdout ?? error.message);
  });
});

/** What each prints, where it can be known. */
const SAYS: Readonly<Record<string, RegExp>> = {
  'Start a chat and watch it':
    /^Water that has done its work at the wheel leaves by the tailrace \.$/,
  'Start a chat and watch it, example 2': /test-model/,
  'What an observation gives': /Water that has done[\s\S]*true\n$/,
  'Only the result': /^Water that has done/,
  'Your own tools': /^It is sunny in Ghent\.\n$/,
  'Cancel, list, delete': /\[/,
  Tokens: /^2\n$/,
  Errors: /^true INVALID_REQUEST undefined\n[\s\S]*request\.messages[\s\S]*request\.temperature/,
};

for (const [at, { title }] of EXAMPLES.entries()) {
  test(`README: ${title}`, async () => {
    const { stdout } = await run(process.execPath, [fileOf(at)], { timeout: 120_000 });
    const said = SAYS[title];
    assert.ok(said !== undefined, `SAYS has nothing about "${title}"`);
    assert.match(stdout, said);
  });
}

test('who leaves observations of a finished chat leaves nothing behind that keeps the process', async () => {
  const file = join(PLACE, 'leaves.ts');
  writeFileSync(
    file,
    `import { createConnectTransport } from '@connectrpc/connect-node';
     import { createTailraceClient } from '@tailrace/client';
     const open = () =>
       createTailraceClient(createConnectTransport({ baseUrl: '${tailrace.url}', httpVersion: '2' }));
     const { streamId } = await open().initiate('hi');
     await open().wait(streamId);
     for (let i = 0; i < 20; i++) {
       const leave = new AbortController();
       try {
         for await (const { event } of open().observe(streamId, { signal: leave.signal })) {
           if (event?.sequence === 3 && i % 2 === 0) break;
           if (event?.sequence === 3) leave.abort();
         }
       } catch {}
     }`,
  );
  // It ends by itself, or this fails: an idle connection is kept for 15 minutes.
  await run(process.execPath, [file], { timeout: 120_000 });
});
