// Connection strings: what is taken, and what is refused at the door in words that repeat nothing of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  type DatabaseAddress,
  readConnectionString,
} from '../../src/tools/databases/connection-string.ts';

function taken(text: string): DatabaseAddress {
  const read = readConnectionString(text);
  assert.ok(read.ok, read.ok ? '' : read.why);
  return read.address;
}

test('addresses of servers are read with what they have percent-encoded', () => {
  assert.deepEqual(taken('postgres://app:p%40ss%2Fw%C3%B6rd@DB.example.com/shop%20one'), {
    kind: 'postgres',
    host: 'db.example.com',
    port: 5432,
    user: 'app',
    password: 'p@ss/wörd',
    database: 'shop one',
    tls: undefined,
  });
  assert.deepEqual(taken('mariadb://app@[2001:db8::1]:3307/shop?ssl-mode=REQUIRED'), {
    kind: 'mysql',
    host: '2001:db8::1',
    port: 3307,
    user: 'app',
    password: '',
    database: 'shop',
    tls: 'encrypted',
  });
  const modes = ['disable', 'require', 'verify-full'].map((mode) => {
    const address = taken(`postgresql://u:p@h:80/d?sslmode=${mode}`);
    return address.kind === 'sqlite' ? undefined : [address.tls, address.port];
  });
  assert.deepEqual(modes, [
    ['none', 80],
    ['encrypted', 80],
    ['verified', 80],
  ]);
  assert.deepEqual(taken('mysql://u:p@h/d?ssl-mode=VERIFY_IDENTITY'), {
    ...taken('mysql://u:p@h/d'),
    tls: 'verified',
  });
});

test('every spelling of an address of numbers is the one that is looked at', () => {
  for (const host of ['0x7f000001', '2130706433', '0177.1', '127.1', '127.0.0.1']) {
    const address = taken(`postgres://u:p@${host}/d`);
    assert.equal(address.kind === 'sqlite' ? '' : address.host, '127.0.0.1', host);
  }
});

test('files of SQLite are read by their whole path', () => {
  assert.deepEqual(taken('sqlite:///srv/data/shop%20one.db'), {
    kind: 'sqlite',
    file: '/srv/data/shop one.db',
  });
  assert.deepEqual(taken('sqlite:/srv/shop.db'), { kind: 'sqlite', file: '/srv/shop.db' });
});

/** hush is in each of them where the secret would be. */
const REFUSED: readonly (readonly [given: string, said: RegExp])[] = [
  ['hush', /must be an address such as postgres:\/\//],
  ['oracle://u:hush@h/d', /must be an address such as/],
  ['postgres:hush', /must be an address such as/],
  ['postgres://u:hush@h', /must name one database/],
  ['postgres://u:hush@h/', /must name one database/],
  ['postgres://u:hush@h/a/b', /must name one database/],
  ['postgres://h/hush', /names no user/],
  ['postgres://u:hush@/d', /names no host/],
  ['postgres://u:hush@%2Fvar%2Frun/d', /names no host/],
  ['postgres:///hush?host=/var/run', /names no host/],
  ['postgres://u:hush@h1,h2/d', /several hosts/],
  ['postgres://u:hush@h1:1,h2:2/d', /several hosts/],
  ['postgres://u:hush@h:99999/d', /cannot be read as an address/],
  ['postgres://u:hush@a b/d', /cannot be read as an address/],
  ['postgres://u:hu#sh@h/d', /percent-encoded|has a #|must name|names no user/],
  ['postgres://u:hush@h/d#x', /%23/],
  ['postgres://u:hush%zz@h/d', /the password in it is not percent-encoded/],
  ['postgres://u:hush%00@h/d', /has a NUL/],
  ['postgres://u:p@h/d?options=-c%20hush', /sets options/],
  ['postgres://u:hush@h/d?host=other', /sets host/],
  ['postgres://u:hush@h/d?hostaddr=10.0.0.1', /sets hostaddr/],
  ['postgres://u:p@h/d?sslrootcert=/hush', /sets sslrootcert/],
  ['postgres://u:p@h/d?sslkey=/hush', /sets sslkey/],
  ['postgres://u:p@h/d?passfile=/hush', /sets passfile/],
  ['postgres://u:p@h/d?service=hush', /sets service/],
  ['postgres://u:p@h/d?hush=1', /sets something behind its \?/],
  ['postgres://u:hush@h/d?sslmode=prefer', /disable, require or verify-full/],
  ['postgres://u:hush@h/d?sslmode=disable&sslmode=require', /disable, require or verify-full/],
  ['postgres://u:hush@h/d?ssl-mode=REQUIRED', /sets ssl-mode/],
  ['mysql://u:hush@h/d?sslmode=disable', /sets sslmode/],
  ['mysql://u:hush@h/d?ssl-mode=PREFERRED', /DISABLED, REQUIRED or VERIFY_IDENTITY/],
  ['mysql://u:hush@h/d?multipleStatements=true', /sets multipleStatements/],
  ['mysql://u:hush@h/d?flags=LOCAL_FILES', /sets flags/],
  ['mysql://u:hush@h/d?allowLoadLocalInfile=1', /sets allowLoadLocalInfile/],
  ['mysql://u:hush@h/d?socketPath=/tmp/s', /sets socketPath/],
  ['sqlite:hush.db', /whole path/],
  ['sqlite://hush/a.db', /too few slashes or a host/],
  ['sqlite::memory:hush', /whole path/],
  ['sqlite:///srv/../hush', /without \/\/, \. and \.\./],
  ['sqlite:///srv/%2e%2e/hush', /without \/\/, \. and \.\./],
  ['sqlite:////hush', /without/],
  ['sqlite:///srv/./hush', /without/],
  ['sqlite:///hush?mode=rwc', /no settings/],
  ['sqlite:///hush/', /whole path/],
  ['file:///hush.db', /begin with sqlite:/],
];

test('what cannot be taken is refused with what would be right, and none of it is repeated', () => {
  for (const [given, said] of REFUSED) {
    const read = readConnectionString(given);
    assert.ok(!read.ok, given);
    assert.match(read.why, said, given);
    assert.ok(!read.why.includes('hush'), `${given}: ${read.why}`);
  }
});

test('whatever is given, nothing of it comes back that is not a setting’s name', () => {
  const word = fc.stringMatching(/^[a-z0-9%@:/?#&=.,]{12,20}$/);
  fc.assert(
    fc.property(
      word,
      fc.constantFrom('postgres://', 'mysql://u:', 'sqlite:///', ''),
      (text, head) => {
        const read = readConnectionString(head + text);
        if (!read.ok) assert.ok(!read.why.includes(text), read.why);
      },
    ),
  );
});
