// The lock on the data folder. nats-server's store has none: a second server on the same folder
// starts happily and ruins it. SQLite's exclusive lock is held by the kernel and goes with the process,
// however it dies.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface DataLock {
  readonly release: () => void;
}

export function lockDataDir(dataDir: string): DataLock {
  const holderFile = join(dataDir, 'lock.pid');
  const database = openLockFile(dataDir);
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
  } catch (cause) {
    database.close();
    const holder = readHolder(holderFile);
    throw new Error(
      `The data folder ${dataDir} is in use by another Tailrace${holder === undefined ? '' : ` (process ${holder})`}. Stop that one, or give this one a folder of its own in TAILRACE_DATA_DIR.`,
      { cause },
    );
  }
  writeFileSync(holderFile, `${process.pid}\n`);
  return {
    release: () => {
      if (database.isOpen) database.close();
    },
  };
}

function openLockFile(dataDir: string): DatabaseSync {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    return new DatabaseSync(join(dataDir, 'lock.sqlite'), { timeout: 0 });
  } catch (cause) {
    throw new Error(
      `The data folder ${dataDir} cannot be made or written to. Set TAILRACE_DATA_DIR to one that can.`,
      { cause },
    );
  }
}

function readHolder(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    // Only for the message: the lock itself does not depend on it.
    return undefined;
  }
}

/** Whether a Tailrace runs on the folder, without taking it. */
export function dataDirInUse(dataDir: string): { readonly holder: string | undefined } | false {
  const file = join(dataDir, 'lock.sqlite');
  if (!existsSync(file)) return false;
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE; ROLLBACK;');
    return false;
  } catch {
    return { holder: readHolder(join(dataDir, 'lock.pid')) };
  } finally {
    database.close();
  }
}
