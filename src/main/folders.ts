// Where this package lies, and where it keeps what was fetched for it.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

type Environment = Readonly<Record<string, string | undefined>>;

/** The checkout, or the folder of the published package, whose code lies one floor deeper. */
export const ROOT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url),
);

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
