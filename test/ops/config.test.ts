// Configuration: each variable once wrong, and the error names it, what was given and what would be right.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listOf } from '../../src/ops/address-ranges.ts';
import { ConfigError, readConfig } from '../../src/ops/config.ts';

function wrong(env: Readonly<Record<string, string>>): string {
  try {
    readConfig(env);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return assert.fail(`accepted: ${JSON.stringify(env)}`);
}

test('nothing set is a configuration: loopback, both roles, everything embedded', () => {
  const config = readConfig({ PATH: '/bin', TAILRACE_MODELS: ' ', OPENAI_API_KEY: '' });
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 8080 });
  assert.deepEqual([...config.roles], ['api', 'worker']);
  assert.equal(config.nats, undefined);
  assert.equal(config.modelServer, undefined);
  assert.equal(config.models, undefined);
  assert.equal(config.workerSlots, 4);
  assert.equal(config.heartbeatMs, 15_000);
});

test('every fixed name is read', () => {
  const config = readConfig({
    TAILRACE_LISTEN: '[::1]:0',
    TAILRACE_DATA_DIR: '/data',
    TAILRACE_NATS_URL: 'nats://me:s%20cret@a:1, b',
    TAILRACE_ROLES: 'worker, api',
    TAILRACE_MODELS: 'one,two',
    TAILRACE_DEFAULT_MODEL: 'two',
    OPENAI_API_KEY: 'sk',
    OPENAI_BASE_URL: 'https://models.example.com/v1',
    TAILRACE_TOKENS_FILE: '/tokens',
    TAILRACE_CORS_ORIGINS: 'https://a.example.com, http://localhost:3000',
    TAILRACE_PAGE: 'off',
    TAILRACE_WORKER_SLOTS: '7',
    TAILRACE_HEARTBEAT_MS: '1000',
    TAILRACE_STORE_MAX_BYTES: '20GiB',
    TAILRACE_SEAL_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
  });
  assert.deepEqual(config.listen, { host: '::1', port: 0 });
  assert.equal(config.dataDir, '/data');
  assert.deepEqual(config.nats, { servers: ['a:1', 'b:4222'], user: 'me', password: 's cret' });
  assert.deepEqual([...config.roles].toSorted(), ['api', 'worker']);
  assert.deepEqual(config.models, ['one', 'two']);
  assert.equal(config.defaultModel, 'two');
  assert.deepEqual(config.modelServer, { baseUrl: 'https://models.example.com/v1', apiKey: 'sk' });
  assert.equal(config.tokensFile, '/tokens');
  assert.equal(config.page, false);
  assert.deepEqual(config.corsOrigins, ['https://a.example.com', 'http://localhost:3000']);
  assert.equal(config.workerSlots, 7);
  assert.equal(config.heartbeatMs, 1_000);
  assert.equal(config.storeMaxBytes, 20 * 2 ** 30);
  assert.deepEqual(config.sealKeys, [{ id: 'k1', bytes: Buffer.alloc(32, 1) }]);
});

test('the embedded nats-server syncs each second, as often as is said, or always', () => {
  assert.equal(readConfig({}).natsSync, 1_000);
  assert.equal(readConfig({ TAILRACE_NATS_SYNC: '500ms' }).natsSync, 500);
  assert.equal(readConfig({ TAILRACE_NATS_SYNC: '2m' }).natsSync, 120_000);
  assert.equal(readConfig({ TAILRACE_NATS_SYNC: 'always' }).natsSync, 'always');
});

test('the ranges that may be fetched from are those that are named, and none by default', () => {
  const { fetchAllow } = readConfig({
    TAILRACE_FETCH_ALLOW: '10.1.0.0/16, 192.168.1.7 ,fd00:1::/48, ::1',
  });
  const list = listOf(structuredClone(fetchAllow));
  for (const address of ['10.1.0.0', '10.1.255.255', '192.168.1.7']) {
    assert.ok(list.check(address, 'ipv4'), address);
  }
  for (const address of ['fd00:1::7', '::1', '::ffff:10.1.0.1']) {
    assert.ok(list.check(address, 'ipv6'), address);
  }
  for (const address of ['10.2.0.0', '192.168.1.8', '127.0.0.1']) {
    assert.ok(!list.check(address, 'ipv4'), address);
  }
  assert.deepEqual(readConfig({}).fetchAllow, []);
});

const WRONG: readonly (readonly [string, string, RegExp])[] = [
  ['TAILRACE_LISTEN', '8080', /host:port, for example 127\.0\.0\.1:8080/],
  ['TAILRACE_LISTEN', '127.0.0.1:65536', /host:port/],
  ['TAILRACE_LISTEN', '::1:8080', /\[::1\]:8080/],
  ['TAILRACE_NATS_REPLICAS', '0', /a whole number from 1 to 5/],
  ['TAILRACE_ROLES', 'api,boss', /api, worker or api,worker/],
  ['TAILRACE_ROLES', ',', /api, worker or api,worker/],
  ['OPENAI_BASE_URL', '127.0.0.1:8000/v1', /an http or https address, for example/],
  ['TAILRACE_CORS_ORIGINS', 'app.example.com', /origins such as https:\/\/app\.example\.com/],
  ['TAILRACE_CORS_ORIGINS', 'https://app.example.com/', /origins such as/],
  ['TAILRACE_SQLITE_FOLDERS', 'data', /whole paths of folders/],
  ['TAILRACE_SQLITE_FOLDERS', '/srv/a,/', /whole paths of folders/],
  ['TAILRACE_FETCH_ALLOW', '10.0.0.0/33', /ranges of addresses such as 10\.1\.0\.0\/16/],
  ['TAILRACE_FETCH_ALLOW', '::1/129', /ranges of addresses such as/],
  ['TAILRACE_FETCH_ALLOW', '10.0.0.0/8, inner.example.com', /ranges of addresses such as/],
  ['TAILRACE_FETCH_ALLOW', '10.0.0.0/', /ranges of addresses such as/],
  ['TAILRACE_FETCH_ALLOW', '10.1/16', /ranges of addresses such as/],
  ['TAILRACE_FETCH_ALLOW', '0x0a000001', /ranges of addresses such as/],
  ['TAILRACE_FETCH_ALLOW', 'fe80::1%eth0', /ranges of addresses such as/],
  ['TAILRACE_WORKER_SLOTS', '0', /a whole number from 1 to 10000/],
  ['TAILRACE_WORKER_SLOTS', 'many', /a whole number/],
  ['TAILRACE_HEARTBEAT_MS', '15s', /a whole number from 100 to 600000/],
  ['TAILRACE_STORE_MAX_BYTES', '20GB', /a number of bytes, at least 1MiB, for example 20GiB/],
  ['TAILRACE_STORE_MAX_BYTES', '1000', /at least 1MiB/],
  ['TAILRACE_NATS_SYNC', 'never', /always, or a time from 100ms to 10m/],
  ['TAILRACE_NATS_SYNC', '1ms', /from 100ms to 10m/],
  ['TAILRACE_PAGE', 'yes', /on, off/],
  ['TAILRACE_LOG_LEVEL', 'loud', /debug, info, warn, error, silent/],
];

for (const [name, value, right] of WRONG) {
  test(`${name}=${value}: the error names it, the value, and what would be right`, () => {
    const message = wrong({ [name]: value });
    assert.ok(message.startsWith(`${name} is "${value}"; it must be `), message);
    assert.match(message, right);
    assert.equal(message.split('\n').length, 1);
  });
}

test('a wrong secret is not shown', () => {
  const message = wrong({ TAILRACE_NATS_URL: 'http://me:s3cret@nats' });
  assert.match(
    message,
    /^TAILRACE_NATS_URL is a value that is not shown; it must be nats:\/\/host:port/,
  );
  assert.ok(!message.includes('s3cret'));
  const keys = wrong({ TAILRACE_SEAL_KEYS: 'k1:c2VjcmV0' });
  assert.match(
    keys,
    /^TAILRACE_SEAL_KEYS is a value that is not shown; it must be keys such as k1:<base64 of 32 bytes>.*openssl rand -base64 32/,
  );
  assert.ok(!keys.includes('c2VjcmV0'));
});

test('all wrong variables are named at once, unknown ones too', () => {
  const message = wrong({ TAILRACE_ROLES: 'x', TAILRACE_WORKER_SLOTS: 'x', TAILRACE_LISTENS: 'x' });
  for (const name of ['TAILRACE_ROLES', 'TAILRACE_WORKER_SLOTS', 'TAILRACE_LISTENS']) {
    assert.match(message, new RegExp(`^${name} is `, 'm'));
  }
});

test('what only fails together says what to set or to leave out', () => {
  assert.match(
    wrong({ TAILRACE_ROLES: 'api' }),
    /TAILRACE_ROLES is "api", and TAILRACE_NATS_URL is not set[\s\S]*Set TAILRACE_NATS_URL/,
  );
  assert.match(
    wrong({ TAILRACE_MODELS: 'one', TAILRACE_DEFAULT_MODEL: 'two' }),
    /TAILRACE_DEFAULT_MODEL is "two"; it must be one of TAILRACE_MODELS: one/,
  );
  assert.match(
    wrong({ TAILRACE_NATS_URL: 'nats://a', TAILRACE_NATS_SYNC: 'always' }),
    /TAILRACE_NATS_SYNC is for the embedded nats-server[\s\S]*sync_interval/,
  );
  assert.match(wrong({ TAILRACE_LISTEN: '0.0.0.0:80' }), /TAILRACE_TOKENS_FILE is not set/);
});
