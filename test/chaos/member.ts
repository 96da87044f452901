// One process of a cluster under test: started, killed, stopped, paused and started again under the same
// name. In a session of its own, so that its pause or death sends no signal to the others.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { WriteStream } from 'node:fs';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { endWithUs } from '../support/processes/left-behind.ts';
import { tellIfItFails } from '../support/tell.ts';
import { within } from '../support/until.ts';

const READY_MS = 60_000;
/** A worker hands its chats back and an api lets its calls end; then it is a finding. */
const STOP_MS = 25_000;

export interface MemberSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Each incarnation may have its own; they are numbered from 1. */
  readonly env: (incarnation: number) => Readonly<Record<string, string>>;
  /** The line, on stdout or stderr, by which it says that it is ready. */
  readonly ready: RegExp;
  readonly logFile: string;
  readonly onLine?: (line: string, incarnation: number) => void;
  /** It ended though nobody told it to. */
  readonly onDeath?: (said: string, incarnation: number) => void;
}

export interface Member extends AsyncDisposable {
  readonly name: string;
  readonly pid: () => number;
  /** The name of the running incarnation: `worker-1#3`. */
  readonly incarnation: () => string;
  readonly running: () => boolean;
  /** Resolves with its line when it is ready; one that is not there within a minute is a finding. */
  readonly start: () => Promise<string>;
  /** SIGKILL; resolves when it is gone. */
  readonly kill: () => Promise<void>;
  /** SIGTERM; resolves with the exit code when it is gone. */
  readonly stop: () => Promise<number | null>;
  readonly pause: () => void;
  readonly goOn: () => void;
}

const SAID_LINES = 20;

export function incarnationName(name: string, incarnation: number): string {
  return `${name}#${incarnation}`;
}

export function createMember(spec: MemberSpec): Member {
  const { name } = spec;
  const log: WriteStream = createWriteStream(spec.logFile, { flags: 'a' });
  let child: ChildProcess | undefined;
  let incarnation = 0;
  let told = false;

  const alive = (): boolean =>
    child !== undefined && child.exitCode === null && child.signalCode === null;

  const start = async (): Promise<string> => {
    if (alive()) throw new Error(`${name} runs already`);
    const mine = ++incarnation;
    told = false;
    const started = spawn(spec.command, [...spec.args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...kept(), ...spec.env(mine) },
    });
    child = started;
    // It is in a session of its own: no signal to this process's group reaches it.
    const ended = endWithUs(started.pid);
    // What it reads of its own stdin, if anything, is the end of this process.
    started.stdin.on('error', () => undefined);
    const ready = Promise.withResolvers<string>();
    ready.promise.catch(() => undefined);
    const said: string[] = [];
    tellIfItFails(incarnationName(name, mine), () => said);
    log.write(`--- ${incarnationName(name, mine)} pid ${started.pid ?? 0}\n`);
    for (const stream of [started.stdout, started.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.write(`${line}\n`);
        said.push(line);
        if (said.length > SAID_LINES) said.shift();
        if (spec.ready.test(line)) ready.resolve(line);
        spec.onLine?.(line, mine);
      });
    }
    started.once('error', ready.reject);
    started.once('exit', (code, signal) => {
      ended();
      const how = `${name} ended with ${code ?? signal}`;
      ready.reject(new Error(how));
      if (!told) spec.onDeath?.(`${how}: ${said.slice(-3).join(' | ')}`, mine);
    });
    return within(READY_MS, `${name} to be ready`, ready.promise);
  };

  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> => {
    const ending = child;
    if (ending === undefined || !alive()) return null;
    told = true;
    const exited = once(ending, 'exit');
    ending.kill(signal);
    await exited;
    return ending.exitCode;
  };

  return {
    name,
    pid: () => child?.pid ?? 0,
    incarnation: () => incarnationName(name, incarnation),
    running: alive,
    start,
    kill: async () => {
      await end('SIGKILL');
    },
    stop: async () => {
      const ending = child;
      try {
        return await within(STOP_MS, `${name} to stop`, end('SIGTERM'));
      } catch (error) {
        ending?.kill('SIGKILL');
        throw error;
      }
    },
    pause: () => child?.kill('SIGSTOP'),
    goOn: () => child?.kill('SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL');
      log.end();
    },
  };
}

/** What every process needs and no user has to say. */
function kept(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'LANG', 'NODE_COMPILE_CACHE']) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
