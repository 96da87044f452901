// The rules of a request's MCP servers: each violation by its path, and none of them with a secret in it.
import { durationMs } from '@bufbuild/protobuf/wkt';
import type {
  ChatRequest,
  McpServer,
  OAuthClientCredentials,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Violation } from '../errors.ts';
import { MAX_MCP_HEADER_CHARS, MAX_MCP_TIMEOUT_MS } from '../limits.ts';

type Report = (path: string, description: string) => void;

/** `own`: the names of those that the operator has for the caller. */
export function mcpViolations(
  { mcpServers }: ChatRequest,
  own: readonly string[] = [],
): Violation[] {
  const found: Violation[] = [];
  const report: Report = (path, description) => void found.push({ path, description });
  const names = new Set<string>();
  for (const [i, server] of mcpServers.entries()) {
    const path = `request.mcp_servers[${i}]`;
    if (names.has(server.name)) {
      report(`${path}.name`, `another MCP server is called "${server.name}"`);
    }
    names.add(server.name);
    if (server.url === '') checkByName(server, own, path, report);
    checkServer(server, path, report);
  }
  return found;
}

/** Of a server with its address, wherever it was given. */
export function serverViolations(server: McpServer, path: string): Violation[] {
  const found: Violation[] = [];
  checkServer(server, path, (at, description) => void found.push({ path: at, description }));
  return found;
}

/** One of the operator's own, who gives it what it needs. */
function checkByName(
  { name, headers, bearerToken, oauthClientCredentials }: McpServer,
  own: readonly string[],
  path: string,
  report: Report,
): void {
  if (own.length === 0) {
    report(
      `${path}.url`,
      'must be the http or https address of the server: the operator has none of his own here that could be had by its name alone',
    );
  } else if (!own.includes(name)) {
    report(
      `${path}.name`,
      `is "${name}" without a url, and no MCP server of the operator’s; these are: ${own.join(', ')}. Give one of those names, or the url of your own`,
    );
  }
  for (const [field, given] of [
    ['headers', Object.keys(headers).length > 0],
    ['bearer_token', bearerToken !== ''],
    ['oauth_client_credentials', oauthClientCredentials !== undefined],
  ] as const) {
    if (!given) continue;
    report(
      `${path}.${field}`,
      'is for a server with a url; one by its name alone is the operator’s, who gives it what it needs',
    );
  }
}

function checkServer(server: McpServer, path: string, report: Report): void {
  const { url, allowedTools, timeout } = server;
  if (url !== '') {
    checkAddress(url, `${path}.url`, report);
    checkCredentials(server, path, report);
  }
  const allowed = new Set<string>();
  for (const [j, tool] of allowedTools.entries()) {
    const at = `${path}.allowed_tools[${j}]`;
    if (tool === '') report(at, 'must be the name that the server has for a tool');
    else if (allowed.has(tool)) report(at, 'is there already');
    allowed.add(tool);
  }
  if (timeout !== undefined && durationMs(timeout) > MAX_MCP_TIMEOUT_MS) {
    report(
      `${path}.timeout`,
      `is ${durationMs(timeout) / 1_000} s; this server allows at most ${MAX_MCP_TIMEOUT_MS / 1_000} s`,
    );
  }
}

function checkAddress(text: string, path: string, report: Report): void {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    report(path, 'must be an http or https address');
  } else if (url.username !== '' || url.password !== '') {
    report(path, 'has a user name or password in it, which is not sent; give headers instead');
  }
}

function checkCredentials(server: McpServer, path: string, report: Report): void {
  const { bearerToken, oauthClientCredentials: credentials, headers } = server;
  if (bearerToken !== '' && credentials !== undefined) {
    report(
      `${path}.bearer_token`,
      'does not go together with oauth_client_credentials, which gets one; give one of them',
    );
  }
  if (!VISIBLE.test(bearerToken)) {
    report(`${path}.bearer_token`, 'must be visible characters of ASCII without spaces');
  }
  const tokens = bearerToken !== '' || credentials !== undefined;
  checkHeaders(headers, tokens, `${path}.headers`, report);
  if (credentials !== undefined) {
    checkOAuth(credentials, `${path}.oauth_client_credentials`, report);
  }
}

const VISIBLE = /^[\x21-\x7E]*$/;
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
/** Nothing that ends a line; what is outside of ASCII is read differently by everyone. */
const HEADER_VALUE = /^(?:[\x21-\x7E](?:[\x20-\x7E\t]*[\x21-\x7E])?)?$/;
/** What the connection and the protocol are made of. */
const NOT_THE_CALLERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'last-event-id',
  'mcp-method',
  'mcp-name',
  'mcp-protocol-version',
  'mcp-session-id',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function checkHeaders(
  headers: Readonly<Record<string, string>>,
  tokens: boolean,
  path: string,
  report: Report,
): void {
  const names = new Set<string>();
  let chars = 0;
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase();
    chars += name.length + value.length;
    if (!HEADER_NAME.test(given)) report(path, 'has a name that is no name of an HTTP header');
    else if (NOT_THE_CALLERS.has(name)) {
      report(path, `has "${name}", which the protocol sets itself; leave it out`);
    } else if (name === 'authorization' && tokens) {
      report(path, 'has "authorization" beside a token of its own; give one of them');
    } else if (names.has(name)) report(path, 'has the same name twice, in other letters');
    else if (!HEADER_VALUE.test(value)) {
      report(
        path,
        'has a value with characters that no header takes: it may be of visible ASCII, with spaces between',
      );
    }
    names.add(name);
  }
  if (chars > MAX_MCP_HEADER_CHARS) {
    report(path, `has ${chars} characters; at most ${MAX_MCP_HEADER_CHARS} are sent`);
  }
}

function checkOAuth(
  { tokenUrl, clientSecret, scopes }: OAuthClientCredentials,
  path: string,
  report: Report,
): void {
  checkAddress(tokenUrl, `${path}.token_url`, report);
  if (clientSecret === '') report(`${path}.client_secret`, 'must be given');
  for (const [i, scope] of scopes.entries()) {
    if (SCOPE.test(scope)) continue;
    report(`${path}.scopes[${i}]`, 'must be one scope: visible ASCII without spaces, " and \\');
  }
}

/** RFC 6749, 3.3. */
const SCOPE = /^[\x21\x23-\x5B\x5D-\x7E]{1,1024}$/;
