// Who calls. A bearer token picks the tenant; that is decided from the head of a request, before
// its body is read.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type ContextValues, createContextKey } from '@connectrpc/connect';
import { ChatError } from '../../chat/errors.ts';

export const DEFAULT_TENANT = 'default';
export const TENANT_PATTERN = /^[a-z0-9-]{1,63}$/;

export interface TokenRow {
  readonly tenant: string;
  /** SHA-256 of the token. */
  readonly hash: Uint8Array;
}

export interface Tenants {
  /** The caller's tenant by its Authorization header; throws TOKEN_MISSING or TOKEN_UNKNOWN. */
  tenantOf(authorization: string | undefined): string;
}

/** Who calls, or what they are told instead of an answer. */
export type Caller = { readonly tenant: string } | { readonly refusal: unknown };

/** Without a tokens file there is one tenant, and whoever reaches the port is in it. */
export const ONE_TENANT: Tenants = { tenantOf: () => DEFAULT_TENANT };

/** `rows` is asked for each call, so that a reloaded file counts at once. */
export function tenantsByToken(rows: () => readonly TokenRow[]): Tenants {
  return {
    tenantOf(authorization) {
      const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
      if (token === undefined) {
        throw new ChatError(
          'TOKEN_MISSING',
          'This server wants a token, as "Authorization: Bearer <token>".',
        );
      }
      const presented = hashOf(token);
      let tenant: string | undefined;
      // All rows, always: the time taken tells nothing about them.
      for (const row of rows()) {
        if (timingSafeEqual(row.hash, presented)) tenant = row.tenant;
      }
      if (tenant === undefined) {
        throw new ChatError('TOKEN_UNKNOWN', 'This server does not know that token.');
      }
      return tenant;
    },
  };
}

/** A new token and its line for the tokens file; the token itself is stored nowhere. */
export function makeToken(tenant: string): { readonly token: string; readonly line: string } {
  const token = `tr_${randomBytes(32).toString('base64url')}`;
  return { token, line: `${tenant} ${hashOf(token).toString('hex')}` };
}

const TENANT = createContextKey<string | undefined>(undefined, { description: 'tenant' });

export function setTenant(values: ContextValues, tenant: string): void {
  values.set(TENANT, tenant);
}

/** The tenant of a call: `tenantOf(context.values)` in a handler. */
export function tenantOf(values: ContextValues): string {
  const tenant = values.get(TENANT);
  if (tenant === undefined) throw new Error('a call without a tenant reached a handler');
  return tenant;
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
