// The environment, read once at the edge and checked by zod. An error names the variable, what was
// given and what would be right.
import { isAbsolute, resolve } from 'node:path';
import { z } from 'zod';
import {
  DEFAULT_WORKER_SLOTS,
  EMBEDDED_NATS_SYNC_MS,
  EMBEDDED_WORKER_SLOTS,
  HEARTBEAT_MS,
} from '../chat/limits.ts';
import { nearest } from '../chat/near-names.ts';
import { type AddressRange, addressRanges } from './address-ranges.ts';
import { parseSealKeys, type SealKey } from './seal-keys.ts';

export type Role = 'api' | 'worker';

export interface Config {
  readonly listen: { readonly host: string; readonly port: number };
  readonly dataDir: string;
  /** Undefined: the embedded nats-server. */
  readonly nats:
    | {
        readonly servers: readonly string[];
        readonly user: string | undefined;
        readonly password: string | undefined;
      }
    | undefined;
  readonly natsReplicas: number;
  /** What Tailrace may use of the store; undefined: what NATS and the disk give. */
  readonly storeMaxBytes: number | undefined;
  /** How often the embedded nats-server syncs its store to the disk, in ms; always: each write. */
  readonly natsSync: number | 'always';
  /** The program for the embedded nats-server; undefined: the one that set-up found. */
  readonly natsServerProgram: string | undefined;
  readonly roles: ReadonlySet<Role>;
  /** Undefined, and no modelsFile: the embedded model. */
  readonly modelServer:
    | { readonly baseUrl: string; readonly apiKey: string | undefined }
    | undefined;
  /** Undefined: what the model server lists. */
  readonly models: readonly string[] | undefined;
  readonly defaultModel: string | undefined;
  /** Servers and models; then none of the four above is given. */
  readonly modelsFile: string | undefined;
  /** The operator's default prompt as a template. */
  readonly defaultPromptFile: string | undefined;
  /** MCP servers that requests may name without an address. */
  readonly mcpFile: string | undefined;
  readonly tokensFile: string | undefined;
  /** What secrets are sealed with: the first seals, all open. */
  readonly sealKeys: readonly SealKey[];
  readonly corsOrigins: readonly string[];
  /** Whether browsers get a page at `/`. */
  readonly page: boolean;
  /** Where may be fetched from besides public addresses. */
  readonly fetchAllow: readonly AddressRange[];
  /** Where files of SQLite that requests name may lie. */
  readonly sqliteFolders: readonly string[];
  readonly workerSlots: number;
  readonly heartbeatMs: number;
  readonly logLevel: LogLevel;
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const OPENAI_BASE_URL = 'https://api.openai.com/v1';

const listen = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    context.addIssue('host:port, for example 127.0.0.1:8080, [::1]:8080 or 127.0.0.1:0');
    return z.NEVER;
  }
  return { host, port };
});

const commaList = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

const roles = commaList.transform((names, context): ReadonlySet<Role> => {
  const found = new Set<Role>();
  for (const name of names) {
    if (name === 'api' || name === 'worker') found.add(name);
    else context.addIssue('api, worker or api,worker');
  }
  if (found.size === 0) context.addIssue('api, worker or api,worker');
  return found;
});

const natsServers = commaList.transform((urls, context) => {
  const servers: string[] = [];
  let user: string | undefined;
  let password: string | undefined;
  for (const each of urls) {
    const url = URL.parse(each.includes('://') ? each : `nats://${each}`);
    if (url === null || !['nats:', 'tls:'].includes(url.protocol) || url.hostname === '') {
      context.addIssue('nats://host:port, or several with commas between');
      return z.NEVER;
    }
    if (url.username !== '') user = decodeURIComponent(url.username);
    if (url.password !== '') password = decodeURIComponent(url.password);
    servers.push(`${url.hostname}:${url.port === '' ? '4222' : url.port}`);
  }
  return { servers, user, password };
});

const httpUrl = z
  .string()
  .refine(
    (text) => ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? ''),
    'an http or https address, for example http://127.0.0.1:8000/v1',
  );

const wholeNumber = (least: number, most: number): z.ZodType<number, string> =>
  z.string().transform((text, context) => {
    const number = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    context.addIssue(`a whole number from ${least} to ${most}`);
    return z.NEVER;
  });

const UNITS = { '': 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
/** Less than that is used up by a handful of chats. */
const LEAST_STORE_BYTES = UNITS.MiB;

const byteCount = z.string().transform((text, context) => {
  const match = /^(\d{1,15}) ?(KiB|MiB|GiB|TiB|)$/.exec(text);
  const bytes = Number(match?.[1]) * UNITS[(match?.[2] ?? '') as keyof typeof UNITS];
  if (bytes >= LEAST_STORE_BYTES && Number.isSafeInteger(bytes)) return bytes;
  context.addIssue('a number of bytes, at least 1MiB, for example 20GiB or 500MiB');
  return z.NEVER;
});

const SYNC_UNITS = { ms: 1, s: 1_000, m: 60_000 } as const;
const LEAST_SYNC_MS = 100;
const MOST_SYNC_MS = 10 * SYNC_UNITS.m;

const syncInterval = z.string().transform((text, context): number | 'always' => {
  if (text === 'always') return text;
  const match = /^(\d{1,6})(ms|s|m)$/.exec(text);
  const ms = Number(match?.[1]) * SYNC_UNITS[(match?.[2] ?? 'ms') as keyof typeof SYNC_UNITS];
  if (ms >= LEAST_SYNC_MS && ms <= MOST_SYNC_MS) return ms;
  context.addIssue('always, or a time from 100ms to 10m, for example 1s');
  return z.NEVER;
});

const sealKeys = z.string().transform((text, context) => {
  const keys = parseSealKeys(text);
  if (!('fault' in keys)) return keys;
  context.addIssue(keys.fault);
  return z.NEVER;
});

const folders = commaList.transform((paths, context) => {
  for (const each of paths) {
    if (!isAbsolute(each) || resolve(each) === resolve('/')) {
      context.addIssue('whole paths of folders with commas between, such as /srv/databases, not /');
    }
  }
  return paths.map((each) => resolve(each));
});

const origin = commaList.transform((origins, context) => {
  for (const each of origins) {
    if (each !== '*' && URL.parse(each)?.origin !== each) {
      context.addIssue('origins such as https://app.example.com with commas between, or *');
    }
  }
  return origins;
});

const Environment = z.object({
  TAILRACE_LISTEN: listen.prefault('127.0.0.1:8080'),
  TAILRACE_DATA_DIR: z.string().prefault('.tailrace'),
  TAILRACE_NATS_URL: natsServers.optional(),
  TAILRACE_NATS_REPLICAS: wholeNumber(1, 5).prefault('1'),
  TAILRACE_NATS_SERVER: z.string().optional(),
  TAILRACE_STORE_MAX_BYTES: byteCount.optional(),
  TAILRACE_NATS_SYNC: syncInterval.optional(),
  TAILRACE_ROLES: roles.prefault('api,worker'),
  TAILRACE_MODELS: commaList.optional(),
  TAILRACE_DEFAULT_MODEL: z.string().optional(),
  TAILRACE_MODELS_FILE: z.string().optional(),
  TAILRACE_DEFAULT_PROMPT_FILE: z.string().optional(),
  TAILRACE_MCP_FILE: z.string().optional(),
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: httpUrl.optional(),
  TAILRACE_TOKENS_FILE: z.string().optional(),
  TAILRACE_SEAL_KEYS: sealKeys.optional(),
  TAILRACE_CORS_ORIGINS: origin.prefault(''),
  TAILRACE_PAGE: z.enum(['on', 'off']).prefault('on'),
  TAILRACE_FETCH_ALLOW: addressRanges.prefault(''),
  TAILRACE_SQLITE_FOLDERS: folders.prefault(''),
  TAILRACE_WORKER_SLOTS: wholeNumber(1, 10_000).optional(),
  TAILRACE_HEARTBEAT_MS: wholeNumber(100, 600_000).prefault(String(HEARTBEAT_MS)),
  TAILRACE_LOG_LEVEL: z.enum(LOG_LEVELS).prefault('info'),
});

export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

const SECRETS: ReadonlySet<string> = new Set([
  'OPENAI_API_KEY',
  'TAILRACE_NATS_URL',
  'TAILRACE_SEAL_KEYS',
]);

/** Empty variables count as unset. Throws a ConfigError that names every wrong one. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    Object.keys(Environment.shape)
      .map((name) => [name, env[name]?.trim()] as const)
      .filter(([, value]) => value !== undefined && value !== ''),
  );
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith('TAILRACE_') && !KNOWN.has(name),
  );
  const parsed = Environment.safeParse(given);
  const faults = parsed.success
    ? []
    : parsed.error.issues.map((issue) => {
        const name = String(issue.path[0]);
        const value = SECRETS.has(name) ? 'a value that is not shown' : `"${env[name] ?? ''}"`;
        return `${name} is ${value}; it must be ${wanted(issue)}`;
      });
  for (const name of unknown) {
    const names = Object.keys(Environment.shape);
    const meant = nearest(name, names);
    const which =
      meant === undefined ? `those there are: ${names.join(', ')}` : `did you mean ${meant}?`;
    faults.push(`${name} is not a setting of Tailrace; ${which}`);
  }
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults.join('\n'));
  const e = parsed.data;

  const oneServer = e.OPENAI_API_KEY !== undefined || e.OPENAI_BASE_URL !== undefined;
  const embeddedModel = !oneServer && e.TAILRACE_MODELS_FILE === undefined;
  const config: Config = {
    listen: e.TAILRACE_LISTEN,
    dataDir: resolve(e.TAILRACE_DATA_DIR),
    nats: e.TAILRACE_NATS_URL,
    natsReplicas: e.TAILRACE_NATS_REPLICAS,
    storeMaxBytes: e.TAILRACE_STORE_MAX_BYTES,
    natsSync: e.TAILRACE_NATS_SYNC ?? EMBEDDED_NATS_SYNC_MS,
    natsServerProgram: e.TAILRACE_NATS_SERVER,
    roles: e.TAILRACE_ROLES,
    modelServer: oneServer
      ? { baseUrl: e.OPENAI_BASE_URL ?? OPENAI_BASE_URL, apiKey: e.OPENAI_API_KEY }
      : undefined,
    models: e.TAILRACE_MODELS,
    defaultModel: e.TAILRACE_DEFAULT_MODEL,
    modelsFile: e.TAILRACE_MODELS_FILE,
    defaultPromptFile: e.TAILRACE_DEFAULT_PROMPT_FILE,
    mcpFile: e.TAILRACE_MCP_FILE,
    tokensFile: e.TAILRACE_TOKENS_FILE,
    sealKeys: e.TAILRACE_SEAL_KEYS ?? [],
    corsOrigins: e.TAILRACE_CORS_ORIGINS,
    page: e.TAILRACE_PAGE === 'on',
    fetchAllow: e.TAILRACE_FETCH_ALLOW,
    sqliteFolders: e.TAILRACE_SQLITE_FOLDERS,
    workerSlots:
      e.TAILRACE_WORKER_SLOTS ?? (embeddedModel ? EMBEDDED_WORKER_SLOTS : DEFAULT_WORKER_SLOTS),
    heartbeatMs: e.TAILRACE_HEARTBEAT_MS,
    logLevel: e.TAILRACE_LOG_LEVEL,
  };
  checkTogether(config);
  if (e.TAILRACE_NATS_SYNC !== undefined && config.nats !== undefined) {
    throw new ConfigError(
      'TAILRACE_NATS_SYNC is for the embedded nats-server, and TAILRACE_NATS_URL is set. Set sync_interval in the configuration of your own nats-servers, and leave TAILRACE_NATS_SYNC out.',
    );
  }
  return config;
}

/** Read elsewhere: by the command line, by set-up and by the tests. */
const KNOWN: ReadonlySet<string> = new Set([
  ...Object.keys(Environment.shape),
  'TAILRACE_ADDRESS',
  'TAILRACE_CACHE_DIR',
  'TAILRACE_TEST_ALL',
  'TAILRACE_TOKEN',
]);

const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|::1|localhost)$/;

function checkTogether(config: Config): void {
  const { host } = config.listen;
  if (config.roles.has('api') && config.tokensFile === undefined && !LOOPBACK.test(host)) {
    throw new ConfigError(
      `TAILRACE_LISTEN is "${host}:${config.listen.port}", which others can reach, and TAILRACE_TOKENS_FILE is not set, so anyone there could read and start chats. Set TAILRACE_TOKENS_FILE (tailrace token <tenant> makes a token), or listen on 127.0.0.1.`,
    );
  }
  if (config.roles.size < 2 && config.nats === undefined) {
    const only = [...config.roles].join('');
    throw new ConfigError(
      `TAILRACE_ROLES is "${only}", and TAILRACE_NATS_URL is not set: the embedded nats-server serves one process, which must have both roles. Set TAILRACE_NATS_URL, or leave TAILRACE_ROLES out.`,
    );
  }
  if (config.natsReplicas > 1 && config.nats === undefined) {
    throw new ConfigError(
      `TAILRACE_NATS_REPLICAS is "${config.natsReplicas}", and TAILRACE_NATS_URL is not set: the embedded nats-server is one server and keeps one copy. Set TAILRACE_NATS_URL to a cluster, or leave TAILRACE_NATS_REPLICAS out.`,
    );
  }
  const { models, defaultModel, modelsFile } = config;
  if (modelsFile !== undefined) {
    const beside = [
      config.modelServer === undefined ? '' : 'OPENAI_BASE_URL or OPENAI_API_KEY',
      models === undefined ? '' : 'TAILRACE_MODELS',
      defaultModel === undefined ? '' : 'TAILRACE_DEFAULT_MODEL',
    ].filter((name) => name !== '');
    if (beside.length > 0) {
      throw new ConfigError(
        `TAILRACE_MODELS_FILE is "${modelsFile}", which names the servers and models, and ${beside.join(' and ')} is set beside it. Set the one or the other; a key stands in the file as the name of its variable, api_key_env.`,
      );
    }
  }
  if (models !== undefined && defaultModel !== undefined && !models.includes(defaultModel)) {
    throw new ConfigError(
      `TAILRACE_DEFAULT_MODEL is "${defaultModel}"; it must be one of TAILRACE_MODELS: ${models.join(', ')}`,
    );
  }
}

function wanted(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`;
  return issue.message;
}
