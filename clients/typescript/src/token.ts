// The bearer token: asked for when first needed, kept, and asked for again when the server refuses it.
import { Code } from '@connectrpc/connect';
import { TailraceError } from './errors.ts';

export type TokenSource = string | (() => string | Promise<string>);

export interface Token {
  /** The headers of one call. */
  readonly headers: () => Promise<Headers>;
  /** Forgets the token that was sent with these. False where there is nobody to ask for another. */
  readonly refuse: (sent: Headers) => boolean;
}

export function tokenFrom(source: TokenSource | undefined): Token {
  // Calls that start together ask once.
  let asked: Promise<string> | undefined;
  let known: string | undefined = typeof source === 'string' ? source : undefined;

  async function ask(get: () => string | Promise<string>): Promise<string> {
    try {
      return (known = await get());
    } finally {
      asked = undefined;
    }
  }
  return {
    headers: async () => {
      const headers = new Headers();
      if (source === undefined) return headers;
      const token = known ?? (typeof source === 'string' ? source : await (asked ??= ask(source)));
      const authorization = bearer(token);
      if (authorization === null) return headers;
      try {
        headers.set('authorization', authorization);
      } catch {
        // What is thrown says the token.
        throw new TailraceError(
          'The token has a character that no header may have.',
          Code.Unauthenticated,
        );
      }
      return headers;
    },
    refuse: (sent) => {
      if (typeof source !== 'function') return false;
      // Another call may have brought a newer one already.
      if (sent.get('authorization') === bearer(known ?? '')) known = undefined;
      return true;
    },
  };
}

/** No token yet is none sent. */
function bearer(token: string): string | null {
  return token === '' ? null : `Bearer ${token}`;
}
