// The tokens file: `<tenant> <sha256-hex of the token>` on each line, more columns allowed, `#`
// begins a comment. Read again when it changes; a file that cannot be read leaves the old one in force.
import { watch } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { TOKENS_POLL_MS } from '../../chat/limits.ts';
import { TENANT_PATTERN, type TokenRow } from './auth.ts';

const SETTLE_MS = 20;

interface TokensFile extends Disposable {
  rows(): readonly TokenRow[];
}

/** Rejects if the file cannot be read at first; later failures go to `logError`. */
export async function openTokensFile(
  file: string,
  logError: (error: unknown) => void,
  pollMs: number = TOKENS_POLL_MS,
): Promise<TokensFile> {
  // The state is taken before the text: what changes in between is seen as a change.
  let state = await stateOf(file);
  let rows = parseTokens(await readFile(file, 'utf8'), file);
  let reading: Promise<void> | undefined;

  async function reload(): Promise<void> {
    let now = await stateOf(file).catch(() => 'gone');
    if (now === state) return;
    // Who writes it may not be done: a file that is half there would refuse callers.
    do {
      state = now;
      await setTimeout(SETTLE_MS);
      now = await stateOf(file).catch(() => 'gone');
    } while (now !== state);
    try {
      rows = parseTokens(await readFile(file, 'utf8'), file);
    } catch (error) {
      logError(new Error(`${file} cannot be used; the tokens of before stay`, { cause: error }));
    }
  }
  function look(): void {
    reading ??= reload().finally(() => {
      reading = undefined;
    });
  }
  // The folder, since editors replace the file; the poll, since not every file system tells.
  const watcher = watch(dirname(file), { persistent: false }, (_event, name) => {
    if (name === null || name === basename(file)) look();
  });
  watcher.on('error', () => watcher.close());
  const poll = setInterval(look, pollMs).unref();
  return {
    rows: () => rows,
    [Symbol.dispose]() {
      watcher.close();
      clearInterval(poll);
    },
  };
}

/** Names the file, the line and what would be right. Never the line: it may hold a token. */
export function parseTokens(text: string, file: string): readonly TokenRow[] {
  const tenants = new Map<string, string>();
  for (const [index, line] of text.split('\n').entries()) {
    const [tenant, hash] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (tenant === undefined || tenant === '') continue;
    const where = `${file}, line ${index + 1}`;
    if (!TENANT_PATTERN.test(tenant)) {
      throw new Error(`${where}: the tenant must be 1 to 63 characters of a–z, 0–9 and -`);
    }
    if (hash === undefined || !/^[0-9a-f]{64}$/i.test(hash)) {
      throw new Error(
        `${where}: after the tenant must come the token’s SHA-256 as 64 hex digits; ` +
          `tailrace token ${tenant} makes such a line`,
      );
    }
    const other = tenants.get(hash.toLowerCase());
    if (other !== undefined && other !== tenant) {
      throw new Error(`${where}: the same token belongs to the tenant ${other}`);
    }
    tenants.set(hash.toLowerCase(), tenant);
  }
  return Array.from(tenants, ([hash, tenant]) => ({ tenant, hash: Buffer.from(hash, 'hex') }));
}

async function stateOf(file: string): Promise<string> {
  const { mtimeNs, size, ino } = await stat(file, { bigint: true });
  return `${mtimeNs} ${size} ${ino}`;
}
