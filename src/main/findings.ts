// What scripts/setup.mjs found or fetched on this machine, and where it keeps that.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** The checkout, or the folder of the published package, whose code lies one floor deeper. */
export const ROOT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url),
);

const Findings = z.object({
  natsServer: z.string().nullable(),
  model: z.string().nullable(),
  engine: z.string().nullable().optional(),
});

export interface SetupFindings {
  /** The nats-server program. */
  readonly natsServer: string | undefined;
  /** The embedded model's file. */
  readonly model: string | undefined;
  /** The module node-llama-cpp, where it is no neighbour of this package. */
  readonly engine?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function readFindings(environment: Environment = process.env): SetupFindings {
  let text: string;
  try {
    text = readFileSync(join(cacheDir(environment), 'setup.json'), 'utf8');
  } catch {
    // Set-up has not run: what is missing is said where it is needed.
    return { natsServer: undefined, model: undefined };
  }
  const { natsServer, model, engine } = Findings.parse(JSON.parse(text));
  return { natsServer: there(natsServer), model: there(model), engine: there(engine ?? null) };
}

/** Relative to the root in a checkout, which may be moved. What has gone meanwhile was not found. */
function there(file: string | null): string | undefined {
  const path = file === null ? undefined : resolve(ROOT, file);
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** A checkout keeps it to itself. The package's own folder may be read-only, and goes with an update. */
export function cacheDir(environment: Environment): string {
  const named = environment['TAILRACE_CACHE_DIR']?.trim();
  if (named !== undefined && named !== '') return resolve(named);
  return isCheckout() ? join(ROOT, '.cache') : join(userCache(environment), 'tailrace');
}

/** No package is published with a lock file. */
export function isCheckout(): boolean {
  return existsSync(join(ROOT, 'package-lock.json'));
}

function userCache(environment: Environment): string {
  switch (process.platform) {
    case 'darwin':
      return join(homedir(), 'Library/Caches');
    case 'win32':
      return environment['LOCALAPPDATA'] ?? join(homedir(), 'AppData/Local');
    default: {
      const named = environment['XDG_CACHE_HOME'];
      return named === undefined || named === '' ? join(homedir(), '.cache') : named;
    }
  }
}
