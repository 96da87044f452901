// What every step of the set-up stands on: where things are, how it speaks, how it runs a program.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** A published package is given a folder of its user's by src/main/parts.ts; tests look in the checkout. */
const named = process.argv.includes('--for-tests') ? '' : process.env.TAILRACE_CACHE_DIR;
export const CACHE = path.resolve(ROOT, named || '.cache');
export const EXE = process.platform === 'win32' ? '.exe' : '';

/** A reason to stop that a person can act on: printed as it is, without a stack. */
export class SetupError extends Error {}

export function say(line) {
  console.log(`setup: ${line}`);
}

export function exists(file) {
  return fs.existsSync(file);
}

export function fromRoot(file) {
  const relative = path.relative(ROOT, file);
  return relative.startsWith('..') || path.isAbsolute(relative)
    ? file
    : relative.split(path.sep).join('/');
}

export function seconds(sinceMs) {
  return `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`;
}

export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

export async function sha256(file) {
  const hash = createHash('sha256');
  for await (const chunk of fs.createReadStream(file, { highWaterMark: 1 << 20 }))
    hash.update(chunk);
  return hash.digest('hex');
}

export function folderBytes(folder) {
  let total = 0;
  try {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const inner = path.join(folder, entry.name);
      total += entry.isDirectory() ? folderBytes(inner) : fs.statSync(inner).size;
    }
  } catch {
    // A file that went away while we looked counts as nothing.
  }
  return total;
}

/** The machine's PATH without the project's own programs, which an install takes away under our feet. */
export function machinePath() {
  const parts = (process.env.PATH ?? '').split(path.delimiter);
  return parts.filter((part) => !part.includes('node_modules')).join(path.delimiter);
}

/** Runs a program to its end. Says every few seconds that it is still at work; `progress` may say how far. */
export function run(
  program,
  args,
  { env = {}, cwd = ROOT, progress = () => '', label = program } = {},
) {
  return new Promise((resolve) => {
    const startMs = Date.now();
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-20_000);
    };
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, PATH: machinePath(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ticker = setInterval(() => say(`${label} … ${seconds(startMs)}${progress()}`), 5_000);
    const stop = () => child.kill('SIGTERM');
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
    const end = (ok) => {
      clearInterval(ticker);
      process.off('SIGTERM', stop);
      process.off('SIGINT', stop);
      resolve({ ok, output: output.trim() });
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => {
      output += `${error.message}`;
      end(false);
    });
    child.on('close', (code, signal) => {
      if (signal === 'SIGTERM' || signal === 'SIGINT') process.exit(130);
      end(code === 0);
    });
  });
}

export function lastLines(text, count = 6) {
  return text.split('\n').slice(-count).join('\n    ');
}

/** A new empty folder on the same file system as its goal, so that a rename into place is atomic. */
export function stagingFolder(name) {
  const folder = path.join(
    CACHE,
    'staging',
    `${name}-${process.pid}-${randomBytes(4).toString('hex')}`,
  );
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

export function place(from, to) {
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.renameSync(from, to);
}
