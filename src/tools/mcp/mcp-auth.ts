// The bearer token of an MCP server: the caller's own, or one by the OAuth 2 client credentials grant (RFC
// 6749, 4.4). The library finds the token's server out by asking the MCP server; here the request names it, and
// nobody else is given the secret. So this much is our own.
import type { AuthProvider, FetchLike } from '@modelcontextprotocol/client';
import { z } from 'zod';
import type {
  McpServer,
  OAuthClientCredentials,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { MAX_OAUTH_ANSWER_BYTES, OAUTH_EARLY_MS } from '../../chat/limits.ts';
import { FetchFailure } from '../fetch/fetch-failure.ts';

/** Undefined: nothing but the request's headers. `onToken`: hears of each token that came. */
export function authOf(
  server: McpServer,
  fetch: FetchLike,
  onToken: (token: string) => void,
): AuthProvider | undefined {
  const { bearerToken, oauthClientCredentials: credentials } = server;
  if (credentials !== undefined) return byClientCredentials(credentials, fetch, onToken);
  return bearerToken === '' ? undefined : { token: () => Promise.resolve(bearerToken) };
}

const Tokens = z.object({
  access_token: z.string().regex(/^[\x21-\x7E]+$/),
  token_type: z.string().regex(/^bearer$/i),
  expires_in: z.number().positive().optional(),
});

function byClientCredentials(
  credentials: OAuthClientCredentials,
  fetch: FetchLike,
  onToken: (token: string) => void,
): AuthProvider {
  let held: { readonly token: Promise<string>; untilMs: number } | undefined;
  const ask = async (): Promise<string> => {
    const { access_token: token, expires_in: seconds } = await tokenBy(credentials, fetch);
    if (held !== undefined && seconds !== undefined) {
      held.untilMs = performance.now() + Math.max(seconds * 1_000 - OAUTH_EARLY_MS, 0);
    }
    onToken(token);
    return token;
  };
  return {
    token: () => {
      if (held === undefined || performance.now() > held.untilMs) {
        const token = Promise.resolve().then(ask);
        const own = { token, untilMs: Infinity };
        held = own;
        token.catch(() => {
          if (held === own) held = undefined;
        });
      }
      return held.token;
    },
    // The next call of token() asks anew; the library tries once more.
    onUnauthorized: () => {
      held = undefined;
      return Promise.resolve();
    },
  };
}

async function tokenBy(
  { tokenUrl, clientId, clientSecret, scopes }: OAuthClientCredentials,
  fetch: FetchLike,
): Promise<z.output<typeof Tokens>> {
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  if (scopes.length > 0) form.set('scope', scopes.join(' '));
  const basic = Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`);
  const answer = await fetch(tokenUrl, {
    method: 'POST',
    headers: {
      authorization: `Basic ${basic.toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
      accept: 'application/json',
    },
    body: form,
  }).catch((error: unknown) => {
    throw new FetchFailure(`gets no token: its token_url ${whyOf(error)}`, { cause: error });
  });
  const text = await bodyOf(answer);
  if (!answer.ok) {
    throw new FetchFailure(`gets no token: its token_url answered with status ${answer.status}`);
  }
  const read = Tokens.safeParse(jsonOf(text));
  if (!read.success) {
    throw new FetchFailure('gets no token: its token_url answered with no bearer token');
  }
  return read.data;
}

/** What fails is no token; what is said of it must not be the server's own words. */
async function bodyOf(answer: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  try {
    for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > MAX_OAUTH_ANSWER_BYTES) return '';
      text += decoder.decode(chunk, { stream: true });
    }
    return text;
  } catch {
    return '';
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function whyOf(error: unknown): string {
  return error instanceof FetchFailure ? error.message : 'cannot be reached';
}

/** RFC 6749, 2.3.1: as in a form, before base64. */
function formEncoded(text: string): string {
  return new URLSearchParams({ t: text }).toString().slice('t='.length);
}
