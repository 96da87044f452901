// The operator's file of MCP servers, YAML or JSON. Secrets are not in it, only the names of the variables that
// hold them.
import { create } from '@bufbuild/protobuf';
import { z } from 'zod';
import {
  McpServerSchema,
  OAuthClientCredentialsSchema,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { MAX_MCP_COMMAND_CHARS, MAX_MCP_TIMEOUT_MS } from '../../chat/limits.ts';
import { serverViolations } from '../../chat/rules/mcp-rules.ts';
import { type Fault, readOperatorFile } from '../../operator/operator-file.ts';
import { HEADER_VALUE, variable } from '../../operator/settings.ts';
import type { Path } from '../../operator/yaml-file.ts';
import type { McpAddress, McpProgram, OwnMcpServer } from './own-servers.ts';

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000 } as const;
const TIMEOUT = `a time of at most ${MAX_MCP_TIMEOUT_MS / UNITS_MS.m}m, for example 500ms, 30s or 2m`;

const timeout = z.string(TIMEOUT).transform((text, context) => {
  const match = /^(\d{1,6})(ms|s|m)$/.exec(text);
  const ms = Number(match?.[1]) * UNITS_MS[(match?.[2] ?? 'ms') as keyof typeof UNITS_MS];
  if (ms >= 1 && ms <= MAX_MCP_TIMEOUT_MS) return ms;
  context.addIssue(TIMEOUT);
  return z.NEVER;
});

/** What a program needs to be found and to know its user; nothing of Tailrace's own, and no secret. */
const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];

/** As the system hands it to a program. */
const argument = z.string().regex(/^[^\0]*$/, 'a text without NUL');
const ENV_VALUE = z.union(
  [argument, z.strictObject({ env: variable })],
  'a text, or { env: the name of an environment variable }',
);

const Server = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/, 'a name of 1 to 64 characters of A–Z, a–z, 0–9, _ and -'),
  command: argument.min(1, 'the program to run, by its path or as PATH has it').optional(),
  args: z.array(argument).optional(),
  env: z.record(variable, ENV_VALUE).optional(),
  cwd: argument.min(1, 'a folder').optional(),
  url: z.string().min(1, 'an http or https address').optional(),
  headers: z.record(z.string(), HEADER_VALUE).optional(),
  bearer_token_env: variable.optional(),
  oauth_client_credentials: z
    .strictObject({
      token_url: z.string(),
      client_id: z.string().min(1, 'the id of the client'),
      client_secret_env: variable,
      scopes: z.array(z.string()).prefault([]),
    })
    .optional(),
  allowed_tools: z.array(z.string()).prefault([]),
  timeout: timeout.optional(),
  tenants: z
    .array(z.string().regex(/^[a-z0-9-]{1,63}$/, 'a tenant, 1 to 63 characters of a–z, 0–9 and -'))
    .min(1, 'at least one tenant, or left out for all of them')
    .optional(),
});
type Server = z.output<typeof Server>;

const McpFile = z.strictObject({ servers: z.array(Server).min(1, 'at least one server') });

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws an OperatorFileError that names every fault. */
export function readMcpFile(
  fileName: string,
  text: string,
  environment: Environment,
): readonly OwnMcpServer[] {
  const { servers } = readOperatorFile(fileName, text, McpFile, (file) => [
    ...namesTwice(file.servers),
    ...file.servers.flatMap((server, i) => faultsOf(server, ['servers', i], environment)),
  ]);
  return servers.map((server) => ({
    name: server.name,
    tenants: server.tenants,
    allowedTools: server.allowed_tools,
    timeoutMs: server.timeout,
    reach:
      server.command === undefined ? address(server, environment) : program(server, environment),
  }));
}

function namesTwice(servers: readonly Server[]): Fault[] {
  const names = new Set<string>();
  return servers.flatMap(({ name }, i) => {
    const twice = names.has(name);
    names.add(name);
    const path = ['servers', i, 'name'];
    return twice ? [{ path, wanted: `is "${name}", as another server's` }] : [];
  });
}

const OF_A_PROGRAM = ['args', 'env', 'cwd'] as const;
const OF_AN_ADDRESS = ['headers', 'bearer_token_env', 'oauth_client_credentials'] as const;

function faultsOf(server: Server, path: Path, environment: Environment): Fault[] {
  const { command, url } = server;
  if ((command === undefined) === (url === undefined)) {
    const wanted =
      url === undefined
        ? 'must have command, the program to run, or url, the address of the server'
        : 'has a command and a url; a server is the one or the other';
    return [{ path, wanted }];
  }
  const faults: Fault[] = [];
  for (const field of command === undefined ? OF_A_PROGRAM : OF_AN_ADDRESS) {
    if (server[field] === undefined) continue;
    const has = command === undefined ? 'url' : 'command';
    const wants = command === undefined ? 'command' : 'url';
    const wanted = `is for a server with ${wants}; this one has ${has}`;
    faults.push({ path: [...path, field], wanted });
  }
  for (const [at, name] of variablesOf(server)) {
    if ((environment[name] ?? '') !== '') continue;
    const wanted = `is "${name}", and that environment variable is not set`;
    faults.push({ path: [...path, ...at], wanted });
  }
  if (faults.length > 0) return faults;
  if (command !== undefined) {
    const { args, env } = program(server, environment);
    const chars = [command, ...args, ...Object.entries(env).flat()].join(' ').length;
    if (chars > MAX_MCP_COMMAND_CHARS) {
      const wanted = `has ${chars} characters with its args and env; at most ${MAX_MCP_COMMAND_CHARS} are taken`;
      faults.push({ path: [...path, 'command'], wanted });
    }
  }
  const asked = create(McpServerSchema, {
    name: server.name,
    allowedTools: server.allowed_tools,
    ...(command === undefined ? address(server, environment) : {}),
  });
  for (const { path: at, description } of serverViolations(asked, '')) {
    faults.push({ path: [...path, ...ownPath(at)], wanted: description });
  }
  return faults;
}

/** The contract's path as it is here: secrets stand in variables. */
function ownPath(path: string): Path {
  const parts = path
    .replaceAll(/\[(\d+)\]/g, '.$1')
    .split('.')
    .filter((part) => part !== '');
  return parts.map((part) => {
    if (/^\d+$/.test(part)) return Number(part);
    return part === 'bearer_token' || part === 'client_secret' ? `${part}_env` : part;
  });
}

/** The environment variables that are named, each with where. */
function variablesOf(server: Server): (readonly [Path, string])[] {
  const { env = {}, headers = {}, bearer_token_env, oauth_client_credentials: oauth } = server;
  const found: (readonly [Path, string])[] = [];
  for (const [field, values] of [['env', env] as const, ['headers', headers] as const]) {
    for (const [name, value] of Object.entries(values)) {
      if (typeof value !== 'string') found.push([[field, name, 'env'], value.env]);
    }
  }
  if (bearer_token_env !== undefined) found.push([['bearer_token_env'], bearer_token_env]);
  if (oauth !== undefined) {
    found.push([['oauth_client_credentials', 'client_secret_env'], oauth.client_secret_env]);
  }
  return found;
}

function program(
  { command = '', args = [], env = {}, cwd }: Server,
  from: Environment,
): McpProgram {
  const secrets = Object.values(env).flatMap((value) =>
    typeof value === 'string' ? [] : [from[value.env] ?? ''],
  );
  const inherited = Object.fromEntries(
    INHERITED.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])),
  );
  const all = { ...inherited, ...filled(env, from) };
  return { kind: 'program', command, args, env: all, secrets, cwd };
}

function address(server: Server, from: Environment): McpAddress {
  const { url = '', headers = {}, bearer_token_env, oauth_client_credentials: oauth } = server;
  return {
    kind: 'address',
    url,
    headers: filled(headers, from),
    bearerToken: bearer_token_env === undefined ? '' : (from[bearer_token_env] ?? ''),
    ...(oauth === undefined
      ? {}
      : {
          oauthClientCredentials: create(OAuthClientCredentialsSchema, {
            tokenUrl: oauth.token_url,
            clientId: oauth.client_id,
            clientSecret: from[oauth.client_secret_env] ?? '',
            scopes: oauth.scopes,
          }),
        }),
  };
}

function filled(
  values: Readonly<Record<string, string | { readonly env: string }>>,
  from: Environment,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : (from[value.env] ?? ''),
    ]),
  );
}
