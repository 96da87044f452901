// The embedded default's own sealing key: a file in the data folder that only its owner may read, made
// once and never changed by Tailrace. With it lost, the secrets of stored chats are lost.
import { randomBytes, randomUUID } from 'node:crypto';
import { link, open, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SEAL_KEY_BYTES } from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import { ConfigError } from './config.ts';
import type { SealKey } from './seal-keys.ts';
import { parseSealKeys, sealKeyText } from './seal-keys.ts';

export const SEAL_KEYS_FILE = 'seal-keys';
const OWNER_ONLY = 0o600;
const OTHERS = 0o077;

/**
 * The keys of a data folder behind those of the environment. Without either one is made: of several
 * processes at once the first one's is everybody's.
 */
export async function sealKeysIn(
  dataDir: string,
  given: readonly SealKey[],
  logger: Logger,
): Promise<readonly SealKey[]> {
  const file = join(dataDir, SEAL_KEYS_FILE);
  let text = await textIn(file);
  if (text === undefined && given.length > 0) return given;
  if (text === undefined) {
    await makeKey(dataDir, file);
    text = await readFile(file, 'utf8');
  }
  if (((await stat(file)).mode & OTHERS) !== 0) {
    logger.warn({ file }, 'others may read the keys that secrets are sealed with: chmod 600 it');
  }
  const found = parseSealKeys(text);
  if ('fault' in found) {
    throw new ConfigError(
      `The file ${file} is not what it was made as; it must hold ${found.fault}`,
    );
  }
  const own = found.filter(
    (key) => !given.some((other) => sealKeyText(other) === sealKeyText(key)),
  );
  const twice = own.find(({ id }) => given.some((other) => other.id === id));
  if (twice !== undefined) {
    throw new ConfigError(
      `TAILRACE_SEAL_KEYS has a key "${twice.id}", and ${file} another one by that id. Give the one in TAILRACE_SEAL_KEYS another id.`,
    );
  }
  return [...given, ...own];
}

async function textIn(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole or not at all, and never in the place of another: linked under its name when it is on the disk. */
async function makeKey(dataDir: string, file: string): Promise<void> {
  const id = `k${randomBytes(4).toString('hex')}`;
  const key = { id, bytes: randomBytes(SEAL_KEY_BYTES) };
  const draft = `${file}.${randomUUID()}`;
  try {
    const handle = await open(draft, 'wx', OWNER_ONLY);
    try {
      await handle.writeFile(`${sealKeyText(key)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(draft, file).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  // The name too, or a power cut takes the key and leaves what it sealed.
  const folder = await open(dataDir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
