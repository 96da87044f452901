// One life of the child process: from spawn over its report to its exit.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type ChildReport, type ChildSettings, parseChildReport } from './child-protocol.ts';
import { EmbeddedModelUnavailable, unavailable } from './unavailable.ts';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface EmbeddedChild {
  readonly pid: number;
  readonly port: number;
  readonly exited: Promise<ChildExit>;
}

/** A broken disk may be slow; a model that is not loaded after this time never will be. */
const START_TIMEOUT_MS = 60_000;
/** A batch that is being computed when the child is told to go takes a fraction of this. */
const STOP_TIMEOUT_MS = 2_000;
const MAX_LINE_CHARACTERS = 2_000;

// Type stripping runs child.ts; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './child.ts' : './child.js';
const childPath = fileURLToPath(new URL(entry, import.meta.url));

/**
 * Resolves when the child serves. Rejects when it could not start; by then it is gone. Aborting the
 * signal ends the child, now or later.
 */
export async function spawnEmbeddedChild(
  settings: ChildSettings,
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<EmbeddedChild> {
  signal.throwIfAborted();
  const child = spawn(process.execPath, [childPath, JSON.stringify(settings)], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: childEnvironment(),
  });
  const { promise: exited, resolve: onExit } = Promise.withResolvers<ChildExit>();
  const {
    promise: reported,
    resolve: onReport,
    reject: onNoReport,
  } = Promise.withResolvers<ChildReport>();

  // Its stdin is the child's life line; writing to a child that died is no news.
  child.stdin.on('error', () => undefined);
  const end = (): void => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.once('exit', () => clearTimeout(timer));
  };
  child.once('error', (error) => {
    onNoReport(error);
    onExit({ code: null, signal: null });
  });
  child.once('close', (code, killedBy) => {
    onNoReport(new Error(`it ended before it was ready (${killedBy ?? `exit code ${code}`})`));
    onExit({ code, signal: killedBy });
  });
  createInterface({ input: child.stdout }).once('line', (line) => {
    try {
      onReport(parseChildReport(line));
    } catch (error) {
      onNoReport(new Error('it did not say how its start went', { cause: error }));
    }
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    onLine(line.slice(0, MAX_LINE_CHARACTERS));
  });

  const timeout = setTimeout(() => {
    onNoReport(new Error(`it was not ready after ${START_TIMEOUT_MS / 1000} s`));
  }, START_TIMEOUT_MS);
  signal.addEventListener('abort', end, { once: true });
  void exited.then(() => signal.removeEventListener('abort', end));
  try {
    const report = await reported;
    signal.throwIfAborted();
    if (report.kind === 'failed') {
      throw unavailable(report.reason, report.message, settings.modelPath);
    }
    const { pid } = child;
    if (pid === undefined) throw new Error('it has no process id');
    return { pid, port: report.port, exited };
  } catch (error) {
    end();
    await exited;
    signal.throwIfAborted();
    if (error instanceof EmbeddedModelUnavailable) throw error;
    const detail = error instanceof Error ? error.message : String(error);
    throw unavailable('BROKEN', detail, settings.modelPath, error);
  } finally {
    clearTimeout(timeout);
  }
}

/** The child needs none of the parent's secrets, so it gets none. */
function childEnvironment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LD_LIBRARY_PATH', 'NODE_V8_COVERAGE'];
  return Object.fromEntries(names.map((name) => [name, process.env[name]]));
}
