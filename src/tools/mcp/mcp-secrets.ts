// What an MCP server was given in confidence, to be taken out of what it says: a server may repeat its headers, in
// an error or in a result, and that is neither for the log nor for the model.
import type { McpServer } from '../../../gen/tailrace/v1/chat_request_pb.ts';

/** A shorter one would be found in what has nothing to do with it. */
const SHORTEST_CHARS = 8;
const IN_ITS_PLACE = '[redacted]';

export interface Secrets {
  readonly add: (secret: string) => void;
  readonly hide: (text: string) => string;
  /** The same of a text that was cut: at its end may be the beginning of one. */
  readonly hideCut: (text: string) => string;
}

/** `more`: what it was given in other ways. */
export function createSecrets(
  { headers, bearerToken, oauthClientCredentials }: McpServer,
  more: readonly string[] = [],
): Secrets {
  const known = new Set<string>();
  const add = (secret: string): void => {
    // As it is, as it stands in JSON, and its lines, since a log is told line by line.
    for (const form of [secret, JSON.stringify(secret).slice(1, -1), ...secret.split(/\r?\n/)]) {
      if (form.length >= SHORTEST_CHARS) known.add(form);
    }
  };
  for (const value of Object.values(headers)) {
    add(value);
    // Of "Bearer …" and "Basic …", the part that is secret.
    add(value.slice(value.indexOf(' ') + 1));
  }
  for (const secret of more) add(secret);
  add(bearerToken);
  add(oauthClientCredentials?.clientSecret ?? '');
  const hide = (text: string): string => {
    let hidden = text;
    // Longest first: one may hold another.
    for (const secret of [...known].toSorted((a, b) => b.length - a.length)) {
      hidden = hidden.replaceAll(secret, IN_ITS_PLACE);
    }
    return hidden;
  };
  return {
    add,
    hide,
    hideCut: (text) => {
      const hidden = hide(text);
      const begun = Math.max(0, ...[...known].map((secret) => begunAtEnd(hidden, secret)));
      return begun === 0 ? hidden : `${hidden.slice(0, -begun)}${IN_ITS_PLACE}`;
    },
  };
}

/** How many characters of the secret's beginning the text ends with. */
function begunAtEnd(text: string, secret: string): number {
  let chars = Math.min(text.length, secret.length - 1);
  while (chars > 0 && !text.endsWith(secret.slice(0, chars))) chars--;
  return chars;
}
