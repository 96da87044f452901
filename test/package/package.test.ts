// What npm pack makes is what people install: it is in order by publint's and attw's rules, holds what it needs and no
// more, and runs by itself with nothing but its dependencies beside it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { natsServerProgram, temporaryFolder } from '../support/processes/nats.ts';
import { startProgram } from '../support/processes/cli.ts';
import { notInCi } from '../support/needs.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const NPM_MS = 110_000;
const folder = temporaryFolder();
/** As npm would have installed it: the package, and what it depends on as its neighbours. */
const installed = join(folder.path, 'node_modules/tailrace');
const bin = join(installed, 'bin/tailrace.mjs');
let tarball: string;

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
}

before(async () => {
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder.path], {
    cwd: ROOT,
    timeout: NPM_MS,
    // Its own npm: the Node of this test would otherwise be that of npm's scripts too.
    env: { ...process.env, npm_config_loglevel: 'error' },
  });
  const name = /tailrace-[\d.]+\.tgz/.exec(stdout)?.[0] ?? '';
  tarball = join(folder.path, name);
  await run('tar', ['-xzf', tarball, '-C', folder.path]);
  await mkdir(dirname(installed), { recursive: true });
  await cp(join(folder.path, 'package'), installed, { recursive: true });
  const { dependencies } = JSON.parse(
    readFileSync(join(installed, 'package.json'), 'utf8'),
  ) as Manifest;
  for (const name of Object.keys(dependencies)) {
    const place = join(folder.path, 'node_modules', name);
    await mkdir(dirname(place), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), place);
  }
});

after(() => folder[Symbol.dispose]());

test('publint and attw find nothing wrong with it', async () => {
  const tool = (name: string, args: readonly string[]) =>
    run(join(ROOT, 'node_modules/.bin', name), [...args], { cwd: ROOT });
  await tool('publint', ['run', tarball, '--strict']);
  const contract = (await readdir(join(installed, 'dist/gen/tailrace/v1')))
    .filter((file) => file.endsWith('.js'))
    .map((file) => `v1/${file.replace('.js', '')}`);
  assert.ok(contract.length > 5);
  await tool('attw', [tarball, '--profile', 'esm-only', '--entrypoints', ...contract]);
});

test('it holds compiled code with types, the contract and the set-up; no source, no tests, no lock file', () => {
  const there = (file: string) => existsSync(join(installed, file));
  for (const file of [
    'bin/tailrace.mjs',
    'demo/mills.sql',
    'demo/mills.txt',
    'dist/src/cli/tailrace.js',
    'dist/gen/tailrace/v1/event_pb.d.ts',
    'proto/tailrace/v1/event.proto',
    'vendor/proto/buf/validate/validate.proto',
    'scripts/setup.mjs',
    'LICENSE',
    'README.md',
    'THIRD_PARTY.md',
  ]) {
    assert.ok(there(file), `${file} is there`);
  }
  for (const file of ['src', 'test', 'bench', 'package-lock.json', '.cache', 'node_modules']) {
    assert.ok(!there(file), `${file} is not there`);
  }
});

test('it serves, answers and ends in an empty folder, with its dependencies alone beside it', async () => {
  await using model = await startModelServer();
  const env = { TAILRACE_LISTEN: '127.0.0.1:0', OPENAI_BASE_URL: model.url };
  const cwd = join(folder.path, 'empty');
  await mkdir(cwd);
  const server = startProgram(process.execPath, [bin, 'serve'], {
    cwd,
    env: { ...env, TAILRACE_NATS_SERVER: natsServerProgram() },
  });
  await server.seen(/Tailrace serves on \S+\n/);
  const address = /http:\S+/.exec(server.output())?.[0] ?? '';
  const client = startProgram(
    process.execPath,
    [bin, 'initiate', scripted({ text: ['Hello.'] }), '--follow', '--address', address],
    { cwd },
  );
  const { code, stdout, stderr } = await client.ended;
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'Hello.\n');
  server.signal('SIGTERM');
  assert.equal((await server.ended).code, 0);
  assert.deepEqual(await readdir(cwd), ['.tailrace']);
});

/** A Node on the machine that is older than what Tailrace runs on. */
async function olderNode(): Promise<string | undefined> {
  for (const at of (process.env['PATH'] ?? '').split(delimiter)) {
    const program = join(at, 'node');
    try {
      accessSync(program, constants.X_OK);
      const { stdout } = await run(program, ['--version']);
      if (Number.parseInt(stdout.slice(1), 10) < 24) return program;
    } catch {
      // Not here, or it does not run.
    }
  }
  return undefined;
}

async function runsOn(program: string): Promise<void> {
  const version = await startProgram(program, [bin, '--version'], {}).ended;
  assert.deepEqual([version.code, version.stderr], [0, '']);
  assert.equal((await startProgram(program, [bin, 'get'], {}).ended).code, 2);
  await using model = await startModelServer();
  const server = startProgram(program, [bin, 'serve'], {
    env: {
      TAILRACE_LISTEN: '127.0.0.1:0',
      TAILRACE_DATA_DIR: join(folder.path, 'older'),
      TAILRACE_NATS_SERVER: natsServerProgram(),
      OPENAI_BASE_URL: model.url,
    },
  });
  await server.seen('Tailrace serves on');
  server.signal('SIGTERM');
  assert.equal((await server.ended).code, 0);
}

const older = await olderNode();
if (older !== undefined) {
  test('on an older Node the one that the package node brings takes over, with arguments, exit code and signals', () =>
    runsOn(older));

  test('where there is none and it cannot be fetched, it is said what is needed', async () => {
    const place = await withoutNode('no-npm');
    const { code, stderr } = await startProgram(older, [place], {
      env: { PATH: join(folder.path, 'nothing') },
    }).ended;
    assert.equal(code, 1);
    assert.match(stderr, /npm on PATH, the network[\s\S]*Run tailrace with Node 24/);
  });
}

/** The program beside a package node whose install script was not run, as by npm from 12 on. */
async function withoutNode(name: string): Promise<string> {
  const place = join(folder.path, name);
  const node = join(place, 'node_modules/node');
  await mkdir(node, { recursive: true });
  await mkdir(join(place, 'bin'));
  await copyFile(bin, join(place, 'bin/tailrace.mjs'));
  const { version } = createRequire(import.meta.url)('node/package.json') as { version: string };
  await writeFile(join(node, 'package.json'), JSON.stringify({ name: 'node', version }));
  return join(place, 'bin/tailrace.mjs');
}

const skip =
  notInCi() || (process.env['TAILRACE_TEST_ALL'] !== '1' && 'takes two minutes and the registries');

function npx(cwd: string, args: readonly string[]) {
  return run('npx', ['--yes', '--package', tarball, 'tailrace', ...args], {
    cwd,
    timeout: NPM_MS,
    env: { ...process.env, TAILRACE_CACHE_DIR: join(folder.path, 'cache') },
  });
}

test(
  'on an older Node that no install script was run for, the first command fetches one',
  { skip: skip || (older === undefined && 'there is no older Node on PATH') },
  async () => {
    const place = await withoutNode('no-scripts');
    // What it is to run is not beside it: that it begins to is enough.
    const { stderr } = await startProgram(older ?? '', [place], {}).ended;
    assert.match(stderr, /fetching Node \d+\.\d+\.\d+ by npm, once …/);
    assert.match(stderr, /Cannot find module .*dist\/src\/cli\/tailrace\.js/);
  },
);

test('npx installs it in an empty folder, and leaves nothing there', { skip }, async () => {
  const cwd = join(folder.path, 'npx');
  await mkdir(cwd);
  assert.match((await npx(cwd, ['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
  assert.deepEqual(await readdir(cwd), []);
});

test(
  'the first start by npx fetches what it runs on, the embedded model too',
  { skip },
  async () => {
    const { stdout, stderr } = await npx(folder.path, ['demo']);
    assert.match(stdout, /^status +COMPLETED$/m);
    assert.match(stderr, /setup: node-llama-cpp \S+: done/);
  },
);
