// What an MCP server was given in confidence, to be taken out of what it says: a server may repeat its headers, in
// an error or in a result, and that is neither for the log nor for the model.
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';

/** A shorter one would be found in what has nothing to do with it. */
const SHORTEST_CHARS = 8;
const IN_ITS_PLACE = '[redacted]';

export interface Secrets {
  readonly add: (secret: string) => void;
  readonly hide: (text: string) => string;
}

/** `more`: what it was given in other ways. */
export function createSecrets(
  { headers, bearerToken, oauthClientCredentials }: McpServer,
  more: readonly string[] = [],
): Secrets {
  const known = new Set<string>();
  const add = (secret: string): void => {
    if (secret.length >= SHORTEST_CHARS) known.add(secret);
  };
  for (const value of Object.values(headers)) {
    add(value);
    // Of "Bearer …" and "Basic …", the part that is secret.
    add(value.slice(value.indexOf(' ') + 1));
  }
  for (const secret of more) add(secret);
  add(bearerToken);
  add(oauthClientCredentials?.clientSecret ?? '');
  return {
    add,
    hide: (text) => {
      let hidden = text;
      // Longest first: one may hold another.
      for (const secret of [...known].toSorted((a, b) => b.length - a.length)) {
        hidden = hidden.replaceAll(secret, IN_ITS_PLACE);
      }
      return hidden;
    },
  };
}
