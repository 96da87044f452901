// A Tailrace for a demonstration: real parts on this machine, a store that goes with it, a free port.
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { readConfig } from '../ops/config.ts';
import { createLogger } from '../ops/logging.ts';
import { ROOT } from './folders.ts';
import { partsFor } from './parts.ts';
import { startTailrace } from './tailrace.ts';

export interface Demo extends AsyncDisposable {
  readonly url: string;
  /** Where the model is; undefined: the embedded one. */
  readonly modelServer: string | undefined;
  /** A small file of SQLite that requests may name. */
  readonly database: string;
  /** Short texts on the same matter. */
  readonly notes: readonly string[];
  /** It shows itself to browsers at `/`. */
  readonly page: boolean;
}

export async function startDemo(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Demo> {
  await using stack = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'tailrace-demo-'));
  stack.defer(() => rm(dataDir, { recursive: true, force: true }));
  const open = join(dataDir, 'open');
  await mkdir(open);
  const database = join(open, 'mills.db');
  await makeDatabase(database);
  const config = readConfig({
    ...environment,
    TAILRACE_LISTEN: '127.0.0.1:0',
    TAILRACE_DATA_DIR: dataDir,
    TAILRACE_ROLES: 'api,worker',
    TAILRACE_TOKENS_FILE: '',
    TAILRACE_SQLITE_FOLDERS: open,
    TAILRACE_LOG_LEVEL: environment['TAILRACE_LOG_LEVEL'] ?? 'warn',
  });
  const parts = await partsFor(config, environment);
  const logger = createLogger(config.logLevel);
  const tailrace = stack.use(await startTailrace(config, parts, logger, environment));
  const owned = stack.move();
  return {
    url: tailrace.url ?? '',
    modelServer: config.modelsFile ?? config.modelServer?.baseUrl,
    database,
    notes: (await material('mills.txt')).trim().split(/\n\n+/),
    page: config.page && parts.page !== undefined,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function makeDatabase(file: string): Promise<void> {
  const db = new DatabaseSync(file);
  try {
    db.exec(await material('mills.sql'));
  } finally {
    db.close();
  }
}

function material(name: string): Promise<string> {
  return readFile(join(ROOT, 'demo', name), 'utf8');
}
