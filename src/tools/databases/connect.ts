// Connecting to a server of databases: its addresses one after the other, within a time, with TLS as the request
// has it; and why it failed, in words that say nothing of where it is.
import { isIP } from 'node:net';
import { type ConnectionOptions, rootCertificates } from 'node:tls';
import { DATABASE_CONNECT_MS } from '../../chat/limits.ts';
import type { ServerTarget } from './database-protocol.ts';
import { SqlFailure } from './session.ts';

/** `open`: to one address, within so long. Rejects with SqlFailure. */
export async function connectTo<C>(
  target: ServerTarget,
  open: (address: string, withinMs: number) => Promise<C>,
  refusal: (error: unknown) => string | undefined,
): Promise<C> {
  const { addresses } = target;
  let last: unknown;
  for (const address of addresses) {
    try {
      return await open(address, Math.floor(DATABASE_CONNECT_MS / addresses.length));
    } catch (error) {
      last = error;
      // Whoever answered has decided.
      const refused = refusal(error);
      if (refused !== undefined) throw new SqlFailure(refused, { cause: error });
    }
  }
  throw new SqlFailure(`the database cannot be used: ${networkFailure(last, OFF[target.kind])}`, {
    cause: last,
  });
}

/** Undefined: without TLS. */
export function tlsOptions({ tls, host, trusted }: ServerTarget): ConnectionOptions | undefined {
  if (tls === 'none') return undefined;
  return {
    rejectUnauthorized: tls === 'verified',
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    ...(trusted.length === 0 ? {} : { ca: [...rootCertificates, ...trusted] }),
  };
}

/** How a connection string says that TLS is not wanted, and that its certificate is not to be looked at. */
const OFF = {
  postgres: { plain: 'sslmode=disable', unchecked: 'sslmode=require' },
  mysql: { plain: 'ssl-mode=DISABLED', unchecked: 'ssl-mode=REQUIRED' },
} as const;

function networkFailure(
  error: unknown,
  off: { readonly plain: string; readonly unchecked: string },
): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const said = error instanceof Error ? error.message : '';
  if (code === 'ECONNREFUSED') return 'nothing listens at its host and port';
  if (code === 'ETIMEDOUT' || /timeout|ETIMEDOUT/i.test(said)) return 'it does not answer in time';
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'its host cannot be reached';
  if (/does not support (?:SSL|secure)/i.test(said)) {
    return `it offers no TLS, and its connection string does not do without, as ${off.plain} would`;
  }
  if (/CERT|SIGNATURE|ALTNAME|SELF_SIGNED/.test(code)) {
    return `its certificate cannot be trusted or is for another host; ${off.unchecked} in its connection string would not look at it`;
  }
  if (/SSL|TLS/.test(code)) return 'TLS with it fails';
  return 'the connection broke off before it was there, or it is no such database';
}
