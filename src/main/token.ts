// A new token for a tenant: shown once, and its line added to the tokens file if there is one.
import { open } from 'node:fs/promises';
import { makeToken, TENANT_PATTERN } from '../rpc/edge/auth.ts';

export interface NewToken {
  readonly token: string;
  /** For the tokens file. */
  readonly line: string;
}

export function isTenant(name: string): boolean {
  return TENANT_PATTERN.test(name);
}

/** `file`: undefined where the operator has to add the line. */
export async function newToken(tenant: string, file: string | undefined): Promise<NewToken> {
  const made = makeToken(tenant);
  if (file !== undefined) await append(file, made.line);
  return made;
}

async function append(name: string, added: string): Promise<void> {
  await using handle = await open(name, 'a+', 0o600);
  const { size } = await handle.stat();
  const last = size > 0 ? (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer : undefined;
  const gap = last && last.toString() !== '\n' ? '\n' : '';
  await handle.appendFile(`${gap}${added}\n`);
}
