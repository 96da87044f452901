// The operator's file of MCP servers: what is right is read, what is wrong is named with its line and path.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperatorFileError } from '../../src/operator/operator-file.ts';
import { readMcpFile } from '../../src/tools/mcp/mcp-file.ts';
import { namesFor } from '../../src/tools/mcp/own-servers.ts';

const ENV = {
  PATH: '/bin',
  TAILRACE_SEAL_KEYS: 'planted-key',
  FILES_KEY: 'planted-file-key',
  TICKETS_TOKEN: 'planted-token',
  BOOKS_SECRET: 'planted-secret',
};
const GOOD = `
servers:
  - name: files
    command: mcp-files
    args: [--root, /srv]
    env: { MODE: read, KEY: { env: FILES_KEY } }
    cwd: /srv
    allowed_tools: [read_file]
    timeout: 90s
    tenants: [acme]
  - name: tickets
    url: http://10.1.2.3/mcp
    headers: { x-team: chat, x-key: { env: FILES_KEY } }
    bearer_token_env: TICKETS_TOKEN
  - name: books
    url: https://books.example.com/mcp
    oauth_client_credentials:
      token_url: https://id.example.com/token
      client_id: me
      client_secret_env: BOOKS_SECRET
`;

test('programs and addresses are read, secrets by the names of their variables', () => {
  const [files, tickets, books] = readMcpFile('mcp.yaml', GOOD, ENV);
  assert.deepEqual(files, {
    name: 'files',
    tenants: ['acme'],
    allowedTools: ['read_file'],
    timeoutMs: 90_000,
    reach: {
      kind: 'program',
      command: 'mcp-files',
      args: ['--root', '/srv'],
      env: { PATH: '/bin', MODE: 'read', KEY: 'planted-file-key' },
      secrets: ['planted-file-key'],
      cwd: '/srv',
    },
  });
  assert.deepEqual(tickets?.reach, {
    kind: 'address',
    url: 'http://10.1.2.3/mcp',
    headers: { 'x-team': 'chat', 'x-key': 'planted-file-key' },
    bearerToken: 'planted-token',
  });
  assert.ok(books?.reach.kind === 'address');
  assert.equal(books.reach.oauthClientCredentials?.clientSecret, 'planted-secret');
});

test('a server with tenants is for them alone', () => {
  const own = readMcpFile('mcp.yaml', GOOD, ENV);
  assert.deepEqual(namesFor(own, 'acme'), ['files', 'tickets', 'books']);
  assert.deepEqual(namesFor(own, 'other'), ['tickets', 'books']);
});

const WRONG: readonly (readonly [what: string, change: (text: string) => string, says: RegExp])[] =
  [
    ['no YAML', () => 'servers: [', /^mcp\.yaml:1:\d+: is no YAML/],
    ['no server', () => 'servers: []', /^mcp\.yaml:1: servers must be at least one server/],
    [
      'a setting that there is not',
      (t) => t.replace('cwd:', 'folder:'),
      /^mcp\.yaml:7: servers\[0\]\.folder is not a setting here/,
    ],
    [
      'neither a program nor an address',
      (t) => t.replace('    command: mcp-files\n', ''),
      /^mcp\.yaml:3: servers\[0\] must have command, the program to run, or url/,
    ],
    [
      'a program at an address',
      (t) => t.replace('cwd: /srv', 'url: https://a.example.com'),
      /^mcp\.yaml:3: servers\[0\] has a command and a url/,
    ],
    [
      'a token for a program',
      (t) => t.replace('cwd: /srv', 'bearer_token_env: FILES_KEY'),
      /^mcp\.yaml:7: servers\[0\]\.bearer_token_env is for a server with url; this one has command/,
    ],
    [
      'arguments for an address',
      (t) => t.replace('bearer_token_env: TICKETS_TOKEN', 'args: [x]'),
      /^mcp\.yaml:14: servers\[1\]\.args is for a server with command; this one has url/,
    ],
    [
      'a variable that is not set',
      (t) => t.replace('KEY: { env: FILES_KEY }', 'KEY: { env: NO_KEY }'),
      /^mcp\.yaml:6: servers\[0\]\.env\.KEY\.env is "NO_KEY", and that environment variable is not set/,
    ],
    [
      'an address with a password',
      (t) => t.replace('http://10', 'http://me:planted@10'),
      /^mcp\.yaml:12: servers\[1\]\.url has a user name or password in it/,
    ],
    [
      'a header of the protocol',
      (t) => t.replace('x-team', 'mcp-session-id'),
      /^mcp\.yaml:13: servers\[1\]\.headers has "mcp-session-id"/,
    ],
    [
      'a scope with a space',
      (t) => `${t}      scopes: ["a b"]\n`,
      /^mcp\.yaml:21: servers\[2\]\.oauth_client_credentials\.scopes\[0\] must be one scope/,
    ],
    [
      'two of one name',
      (t) => t.replace('name: tickets', 'name: files'),
      /^mcp\.yaml:11: servers\[1\]\.name is "files", as another server's/,
    ],
    [
      'a timeout that is too long',
      (t) => t.replace('90s', '11m'),
      /^mcp\.yaml:9: servers\[0\]\.timeout must be a time of at most 10m, for example/,
    ],
    [
      'a tenant that is none',
      (t) => t.replace('[acme]', '[ACME]'),
      /^mcp\.yaml:10: servers\[0\]\.tenants\[0\] must be a tenant/,
    ],
    [
      'a name with a space',
      (t) => t.replace('name: files', 'name: my files'),
      /^mcp\.yaml:3: servers\[0\]\.name must be a name of 1 to 64 characters/,
    ],
  ];

for (const [what, change, says] of WRONG) {
  test(`in the file of MCP servers ${what} is named with its line and path`, () => {
    assert.throws(
      () => readMcpFile('mcp.yaml', change(GOOD), ENV),
      (error) => {
        assert.ok(error instanceof OperatorFileError);
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /planted/);
        return true;
      },
    );
  });
}
