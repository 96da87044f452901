#!/usr/bin/env node
// What `tailrace` starts: the command line, on a Node that is new enough. Where the one that runs this is not, the
// one that the npm package "node" brings takes over. Plain old JavaScript: any Node since 18 must be able to read it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** `await using` and AsyncDisposableStack came with it. */
const NODE_MINIMUM = 24;

function newEnough(version) {
  return Number.parseInt(version, 10) >= NODE_MINIMUM;
}

/** The program of the npm package "node"; undefined where its install script was not allowed to fetch it. */
function ownNode() {
  try {
    const folder = path.dirname(module.createRequire(import.meta.url).resolve('node/package.json'));
    const program = path.join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(program) ? program : undefined;
  } catch {
    return undefined;
  }
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
  const program = ownNode();
  if (program !== undefined) startOn(program);
  else {
    console.error(
      `tailrace: this is Node ${process.versions.node}, and Tailrace needs Node ${NODE_MINIMUM} or newer.\n` +
        '  It brings one as the npm package "node", which is not there: its install script was not run.\n' +
        `  Run tailrace with Node ${NODE_MINIMUM}, or allow install scripts (npm config set ignore-scripts false) and install it again.`,
    );
    process.exitCode = 1;
  }
}
