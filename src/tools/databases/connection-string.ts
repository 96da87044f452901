// The address of a database as a request gives it: read, or refused in words that never repeat any of it, since
// all of it is a secret. What it does not take it refuses by name: files, sockets and settings of drivers.
import { isIP } from 'node:net';

/** none: plain. encrypted: whoever answers. verified: by a certificate for the host. */
export type Tls = 'none' | 'encrypted' | 'verified';

export interface ServerAddress {
  readonly kind: 'postgres' | 'mysql';
  /** A name or an address, as URLs have it; IPv6 without its brackets. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** Undefined: nothing is said of it. */
  readonly tls: Tls | undefined;
}

export interface FileAddress {
  readonly kind: 'sqlite';
  /** Absolute, without `.` and `..`. */
  readonly file: string;
}

export type DatabaseAddress = ServerAddress | FileAddress;

export type AddressReading =
  | { readonly ok: true; readonly address: DatabaseAddress }
  /** Goes on: "request.….connection_string: …". */
  | { readonly ok: false; readonly why: string };

class Unfit extends Error {}

export function readConnectionString(text: string): AddressReading {
  try {
    return { ok: true, address: read(text) };
  } catch (error) {
    if (error instanceof Unfit) return { ok: false, why: error.message };
    throw error;
  }
}

const FORMS =
  'postgres://user:password@host:5432/database, mysql://user:password@host:3306/database or sqlite:///folder/file.db';

function read(text: string): DatabaseAddress {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  switch (scheme) {
    case 'postgres':
    case 'postgresql':
      return server('postgres', 5432, text);
    case 'mysql':
    case 'mariadb':
      return server('mysql', 3306, text);
    case 'sqlite':
    case 'file':
      return file(text);
    default:
      throw new Unfit(`must be an address such as ${FORMS}`);
  }
}

function server(kind: ServerAddress['kind'], defaultPort: number, text: string): ServerAddress {
  const [, authority] = /^[^:]*:\/\/([^/?#]*)/.exec(text) ?? [];
  if (authority === undefined) throw new Unfit(`must be an address such as ${FORMS}`);
  const at = authority.lastIndexOf('@');
  if (authority.slice(at + 1).includes(',')) throw new Unfit('names several hosts; name one');
  // As a web address, so that every spelling of a host becomes one.
  const url = URL.parse(text.replace(/^[^:]*:/, 'http:'));
  if (/^(?:$|\/|%2f)/i.test(authority.slice(at + 1))) {
    throw new Unfit('names no host; sockets of a machine are not taken, and a host is');
  }
  if (url === null) {
    throw new Unfit(
      `cannot be read as an address; it must be such as ${FORMS}, with what is no letter or digit in the user and password percent-encoded`,
    );
  }
  if (url.hash !== '') {
    throw new Unfit('has a # in it; in a user, a password or a name it is written %23');
  }
  const port = /:(\d+)$/.exec(authority.slice(at + 1))?.[1];
  const database = decoded(url.pathname.slice(1), 'the name of the database');
  const user = decoded(url.username, 'the user');
  if (user === '') throw new Unfit('names no user; it must, in front of the host and an @');
  if (database === '' || database.includes('/') || database.includes('\0')) {
    throw new Unfit('must name one database behind the host and a /');
  }
  return {
    kind,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === undefined ? defaultPort : Number(port),
    user,
    password: decoded(url.password, 'the password'),
    database,
    tls: tlsOf(kind, url.searchParams),
  };
}

function decoded(text: string, what: string): string {
  let plain: string;
  try {
    plain = decodeURIComponent(text);
  } catch {
    throw new Unfit(`${what} in it is not percent-encoded as it must be; % itself is written %25`);
  }
  if (plain.includes('\0')) throw new Unfit(`${what} in it has a NUL, which no database takes`);
  return plain;
}

const TLS: Readonly<
  Record<ServerAddress['kind'], { readonly name: string; readonly values: Record<string, Tls> }>
> = {
  postgres: {
    name: 'sslmode',
    values: { disable: 'none', require: 'encrypted', 'verify-full': 'verified' },
  },
  mysql: {
    name: 'ssl-mode',
    values: { DISABLED: 'none', REQUIRED: 'encrypted', VERIFY_IDENTITY: 'verified' },
  },
};

function tlsOf(kind: ServerAddress['kind'], given: URLSearchParams): Tls | undefined {
  const { name, values } = TLS[kind];
  for (const key of given.keys()) {
    if (key === name) continue;
    // A name of ours, or of some driver; what is no such name may be a piece of a password.
    const known = REFUSED.has(key.toLowerCase()) ? `sets ${key}` : 'sets something behind its ?';
    throw new Unfit(
      `${known}, which is not taken; only ${name} is. In a user or a password ? is written %3F`,
    );
  }
  const [value, ...more] = given.getAll(name);
  if (value === undefined) return undefined;
  const found = Object.entries(values).find(([each]) => each === value)?.[1];
  if (found === undefined || more.length > 0) {
    throw new Unfit(`sets ${name} to what it does not take; it must be ${oneOf(values)}`);
  }
  return found;
}

function oneOf(values: Readonly<Record<string, unknown>>): string {
  return Object.keys(values)
    .join(', ')
    .replace(/, ([^,]*)$/, ' or $1');
}

/** Settings of the drivers and of libpq that read files, go elsewhere or change what is enforced here. */
const REFUSED: ReadonlySet<string> = new Set([
  'options',
  'host',
  'hostaddr',
  'port',
  'user',
  'password',
  'dbname',
  'service',
  'servicefile',
  'passfile',
  'sslmode',
  'ssl-mode',
  'ssl',
  'sslcert',
  'sslkey',
  'sslrootcert',
  'sslcrl',
  'sslnegotiation',
  'ssl-ca',
  'ssl-cert',
  'ssl-key',
  'target_session_attrs',
  'application_name',
  'connect_timeout',
  'client_encoding',
  'socket',
  'socketpath',
  'flags',
  'multiplestatements',
  'allowmultiqueries',
  'local-infile',
  'local_infile',
  'allowloadlocalinfile',
  'infilestreamfactory',
  'authplugins',
  'enablecleartextplugin',
  'charset',
  'timezone',
  'debug',
]);

function file(text: string): FileAddress {
  const [, scheme = '', authority, path = ''] = /^([^:]*):(?:\/\/([^/]*))?([^]*)$/.exec(text) ?? [];
  if (scheme.toLowerCase() !== 'sqlite') {
    throw new Unfit('must begin with sqlite: where it is a file, such as sqlite:///folder/file.db');
  }
  if (authority !== undefined && authority !== '') {
    throw new Unfit('has too few slashes or a host; the path of a file follows sqlite://');
  }
  if (/[?#]/.test(path)) {
    throw new Unfit(
      'has a ? or # in it; SQLite takes no settings here, and in a name they are %3F and %23',
    );
  }
  const plain = decoded(path, 'the path');
  if (!plain.startsWith('/') || plain.endsWith('/')) {
    throw new Unfit('must have the whole path of a file, which begins with /');
  }
  if (/\/\.{0,2}(?=\/|$)/.test(plain)) {
    throw new Unfit('must have a path without //, . and ..');
  }
  return { kind: 'sqlite', file: plain };
}

/** Whether a host is this machine by its very name, so that nobody is in between. */
export function isLoopback(address: string): boolean {
  return isIP(address) === 4 ? address.startsWith('127.') : address === '::1';
}
