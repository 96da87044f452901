// `tailrace` as its user calls it: a process with arguments, an environment, a stdin, on no terminal or on one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { endWithUs } from './left-behind.ts';
import { tellIfItFails } from '../tell.ts';
import { within } from '../until.ts';

const ROOT = join(import.meta.dirname, '../../..');
export const BIN = join(ROOT, 'bin/tailrace.mjs');
/** What ends a program that hangs before the runner ends its test. */
const RUN_MS = 150_000;

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
}

export interface Running {
  /** Of both, as it came. */
  readonly output: () => string;
  /** Resolves when the output has it, behind what was seen before. */
  readonly seen: (text: string | RegExp) => Promise<void>;
  readonly type: (keys: string) => void;
  /** The last of its stdin. */
  readonly end: (text: string) => void;
  readonly signal: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<Ran>;
}

function environment(env: CliOptions['env']): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_COMPILE_CACHE'];
  const own = kept.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(own), ...env };
}

/** Any program, in the same way. */
export function startProgram(
  program: string,
  args: readonly string[],
  options: CliOptions,
): Running {
  const child = spawn(program, args, {
    cwd: options.cwd ?? ROOT,
    env: environment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let from = 0;
  const said = { stdout: '', stderr: '' };
  tellIfItFails([program, ...args].join(' ').slice(-100), () => output.split('\n'));
  const waiters = new Set<() => void>();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
      output += text;
      for (const waiter of waiters) waiter();
    });
  }
  child.stdin.on('error', () => undefined);
  const gone = endWithUs(child.pid);
  const over = once(child, 'close').then((): Ran => {
    gone();
    return { code: child.exitCode, ...said };
  });
  const ended = within(RUN_MS, `the end of tailrace ${args.join(' ')}`, over).catch(
    (error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    },
  );
  ended.catch(() => undefined);
  return {
    output: () => output,
    seen: (text) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const look = (): void => {
        const since = output.slice(from);
        const found = typeof text === 'string' ? since.indexOf(text) : since.search(text);
        if (found < 0) return;
        const length = typeof text === 'string' ? text.length : (text.exec(since)?.[0].length ?? 0);
        from += found + length;
        waiters.delete(look);
        resolve();
      };
      waiters.add(look);
      look();
      const late = (): void => reject(new Error(`it ended without ${String(text)}:\n${output}`));
      ended.then(late, late);
      return within(RUN_MS, `${String(text)} in ${output}`, promise);
    },
    end: (text) => void child.stdin.end(text),
    type: (keys) => void child.stdin.write(keys),
    signal: (signal) => void child.kill(signal),
    ended,
  };
}

/** To its end. Without `stdin` there is nothing to read. */
export function tailrace(args: readonly string[], options: CliOptions = {}): Promise<Ran> {
  const { end, ended } = startProgram(process.execPath, [BIN, ...args], options);
  end(options.stdin ?? '');
  return ended;
}

/** As JSON, where it went well. */
export async function tailraceJson(
  args: readonly string[],
  options: CliOptions = {},
): Promise<unknown> {
  const { code, stdout, stderr } = await tailrace([...args, '--json'], options);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as unknown;
}

export function startCli(args: readonly string[], options: CliOptions = {}): Running {
  return startProgram(process.execPath, [BIN, ...args], options);
}

const ON_TERMINAL = `import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))`;

/** On a terminal of its own, by Python's pty; needs('python3'). */
export function startOnTerminal(args: readonly string[], options: CliOptions = {}): Running {
  return startProgramOnTerminal(process.execPath, [BIN, ...args], options);
}

/** Any program, in the same way. */
export function startProgramOnTerminal(
  program: string,
  args: readonly string[],
  options: CliOptions,
): Running {
  const env = { TERM: 'xterm', ...options.env };
  return startProgram('python3', ['-c', ON_TERMINAL, program, ...args], { ...options, env });
}
