// The guarded fetch: nothing is sent to an address that is not allowed, however it is written, named or
// reached. Real servers on loopback: 127.0.0.1 is what the operator allows here, 127.0.0.2 and all else on it
// is not. What comes back is in guarded-fetch-answers.test.ts.
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import type { RequestListener } from 'node:http';
import type { HostLookup } from '../../src/tools/fetch/address-guard.ts';
import { createGuardedFetch } from '../../src/tools/fetch/guarded-fetch.ts';
import {
  allowed,
  fetched,
  HOME,
  NEVER,
  startFetchSite,
  words,
} from '../support/servers/fetch-site.ts';
import { forAllTests } from '../support/for-all-tests.ts';

const FORBIDDEN = /may not be fetched: its host is not known, or is not at a public address/;

const site = await forAllTests(startFetchSite());
const at = (path: string): string => site.at(path);

/** Each way to write an address that is not public; with {port} where our own secret server would answer. */
const LITERALS: readonly (readonly [trick: string, url: string])[] = [
  ['loopback', 'http://127.0.0.2:{port}/'],
  ['anywhere in 127.0.0.0/8', 'http://127.255.255.254:{port}/'],
  ['one decimal number', 'http://2130706434:{port}/'],
  ['one hexadecimal number', 'http://0x7f000002:{port}/'],
  ['one octal number', 'http://017700000002:{port}/'],
  ['octal parts', 'http://0177.0.0.02:{port}/'],
  ['hexadecimal parts', 'http://0x7f.0x0.0x0.0x2:{port}/'],
  ['parts of mixed bases', 'http://0x7f.0.000.2:{port}/'],
  ['two parts', 'http://127.2:{port}/'],
  ['three parts', 'http://127.0.2:{port}/'],
  ['a trailing dot', 'http://127.0.0.2.:{port}/'],
  ['full-width digits and dots', 'http://１２７。０。０。２:{port}/'],
  ['circled digits', 'http://①②⑦.⓪.⓪.②:{port}/'],
  ['percent-encoded', 'http://%31%32%37.0.0.2:{port}/'],
  ['a soft hyphen', 'http://127.0.0.2\u00AD:{port}/'],
  ['no slashes', 'http:127.0.0.2:{port}/'],
  ['backslashes', 'http:\\\\127.0.0.2:{port}\\'],
  ['too many slashes', 'http:////127.0.0.2:{port}/'],
  ['a tab and a line feed', 'http://127.0.\t0.\n2:{port}/'],
  ['an empty user name', 'http://@127.0.0.2:{port}/'],
  ['a fragment that looks like a host', 'http://127.0.0.2:{port}#@example.com/'],
  ['a query that looks like a host', 'http://127.0.0.2:{port}?@example.com/'],
  ['IPv6 loopback', 'http://[::1]:{port}/'],
  ['IPv6 loopback in full', 'http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/'],
  ['IPv4-mapped', 'http://[::ffff:127.0.0.2]:{port}/'],
  ['IPv4-mapped in hexadecimal', 'http://[::ffff:7f00:2]:{port}/'],
  ['IPv4-mapped in full', 'http://[0:0:0:0:0:ffff:7f00:0002]:{port}/'],
  ['IPv4-compatible', 'http://[::127.0.0.2]:{port}/'],
  ['IPv4-translated', 'http://[::ffff:0:127.0.0.2]/'],
  ['IPv4-mapped private', 'http://[::ffff:10.0.0.1]/'],
  ['NAT64', 'http://[64:ff9b::127.0.0.2]/'],
  ['NAT64 of a private address', 'http://[64:ff9b::10.0.0.1]/'],
  ['local-use NAT64', 'http://[64:ff9b:1::a00:1]/'],
  ['6to4 of a private address', 'http://[2002:a00:1::]/'],
  ['6to4 of loopback', 'http://[2002:7f00:1::1]/'],
  ['Teredo', 'http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/'],
  ['ISATAP of a private address', 'http://[fe80::5efe:10.0.0.1]/'],
  ['unspecified', 'http://0.0.0.0:{port}/'],
  ['unspecified as a number', 'http://0:{port}/'],
  ['anywhere in 0.0.0.0/8', 'http://0.1.2.3/'],
  ['IPv6 unspecified', 'http://[::]:{port}/'],
  ['private 10', 'http://10.0.0.1/'],
  ['private 172.16', 'http://172.16.0.1/'],
  ['the end of private 172.16', 'http://172.31.255.254/'],
  ['private 192.168', 'http://192.168.0.1/'],
  ['unique-local', 'http://[fd00::1]/'],
  ['unique-local fc', 'http://[fc00::1]/'],
  ['site-local, of old', 'http://[fec0::1]/'],
  ['link-local', 'http://169.254.0.1/'],
  ['IPv6 link-local', 'http://[fe80::1]/'],
  ['carrier-grade NAT', 'http://100.64.0.1/'],
  ['multicast', 'http://224.0.0.1/'],
  ['IPv6 multicast', 'http://[ff02::1]/'],
  ['broadcast', 'http://255.255.255.255/'],
  ['reserved', 'http://240.0.0.1/'],
  ['IETF protocol assignments', 'http://192.0.0.8/'],
  ['documentation 1', 'http://192.0.2.1/'],
  ['documentation 2', 'http://198.51.100.1/'],
  ['documentation 3', 'http://203.0.113.1/'],
  ['IPv6 documentation', 'http://[2001:db8::1]/'],
  ['newer IPv6 documentation', 'http://[3fff::1]/'],
  ['benchmarking', 'http://198.18.0.1/'],
  ['IPv6 benchmarking', 'http://[2001:2::1]/'],
  ['IPv6 discard', 'http://[100::1]/'],
  ['segment routing', 'http://[5f00::1]/'],
  ['6to4 relay', 'http://192.88.99.1/'],
  ['metadata of AWS, Azure, Google and others', 'http://169.254.169.254/latest/meta-data/'],
  ['metadata as a number', 'http://2852039166/latest/meta-data/'],
  ['metadata in hexadecimal', 'http://0xA9FEA9FE/'],
  ['metadata in octal', 'http://0251.0376.0251.0376/'],
  ['metadata IPv4-mapped', 'http://[::ffff:a9fe:a9fe]/'],
  ['metadata of AWS over IPv6', 'http://[fd00:ec2::254]/'],
  ['metadata of Google over IPv6', 'http://[fd20:ce::254]/'],
  ['credentials of ECS tasks', 'http://169.254.170.2/'],
  ['metadata of Alibaba', 'http://100.100.100.200/'],
  ['metadata of Oracle', 'http://192.0.0.192/'],
  ['the host of Azure', 'http://168.63.129.16/'],
];

for (const [trick, template] of LITERALS) {
  test(`an address that is not public is refused: ${trick}`, async () => {
    const url = template.replace('{port}', String(site.port));
    assert.match(await words(fetched(url)), FORBIDDEN);
    assert.deepEqual(site.reached, []);
  });
}

const NOT_HTTP: readonly (readonly [trick: string, url: string, said: RegExp])[] = [
  ['file', 'file:///etc/passwd', /^is no http or https address$/],
  ['ftp', 'ftp://127.0.0.1/', /^is no http or https address$/],
  ['gopher', 'gopher://127.0.0.1:6379/_INFO', /^is no http or https address$/],
  ['data', 'data:text/plain,hi', /^is no http or https address$/],
  ['javascript', 'javascript:1', /^is no http or https address$/],
  ['no scheme', '//127.0.0.1/', /^is no http or https address$/],
  ['a zone id', 'http://[fe80::1%25eth0]/', /^is no http or https address$/],
  ['a zone id as it is', 'http://[fe80::1%eth0]/', /^is no http or https address$/],
  ['a number past 32 bits', 'http://4294967298/', /^is no http or https address$/],
  ['five parts', 'http://127.0.0.0.2/', /^is no http or https address$/],
  ['a port past 65535', 'http://127.0.0.1:65617/', /^is no http or https address$/],
  ['a user name', 'http://me@127.0.0.1/', /^has a user name or password in it/],
  ['a password', 'http://:p@127.0.0.1/', /^has a user name or password in it/],
  ['a host before the @', 'http://example.com@127.0.0.2/', /^has a user name or password in it/],
  ['two of them', 'http://1.1.1.1 &@127.0.0.2# @3.3.3.3/', /^has a user name or password in it/],
  ['an escaped one', 'http://example.com%2F@127.0.0.2/', /^has a user name or password in it/],
];

for (const [trick, url, said] of NOT_HTTP) {
  test(`what is no plain http or https address is refused: ${trick}`, async () => {
    assert.match(await words(fetched(url)), said);
  });
}

const NAMES: readonly (readonly [trick: string, addresses: readonly string[]])[] = [
  ['a name at a private address', ['10.0.0.7']],
  ['a name at loopback (localtest.me and its like)', ['127.0.0.2']],
  ['a name at the metadata', ['169.254.169.254']],
  ['a name at an IPv4-mapped one', ['::ffff:127.0.0.2']],
  ['a name at an address with a zone', ['fe80::1%lo']],
  ['an allowed address and a private one', [HOME, '127.0.0.2']],
  ['a public address and a private one', ['8.8.8.8', '::1']],
  ['no address', []],
];

for (const [trick, addresses] of NAMES) {
  test(`a name is refused by all of its addresses: ${trick}`, async () => {
    const lookup: HostLookup = async () =>
      Promise.resolve(
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    const said = await words(fetched(`http://evil.example:${site.port}/`, { lookup }));
    assert.match(said, FORBIDDEN);
    assert.deepEqual(site.reached, []);
  });
}

test('a name that is not known and one that is inside are told alike, and no address is said', async () => {
  const of = (lookup: HostLookup) => words(fetched('http://inner.example/', { lookup }));
  const unknown = await of(() => Promise.reject(new Error('getaddrinfo ENOTFOUND')));
  const inner = await of(() => Promise.resolve([{ address: '10.20.30.40', family: 4 }]));
  assert.equal(unknown, inner);
  assert.doesNotMatch(inner, /10\.|inner/);
  const localhost = createGuardedFetch(new BlockList());
  for (const name of ['localhost', 'localhost.', 'LOCALHOST']) {
    const fetching = localhost(`http://${name}:${site.port}/`, () => undefined, NEVER);
    assert.equal(await words(fetching), inner);
  }
});

test('a name is resolved once, and what was checked is what is connected to (DNS rebinding)', async () => {
  site.pages = { '/': (request, response) => response.end(`at home as ${request.headers.host}`) };
  let asked = 0;
  const rebinding: HostLookup = async () => {
    asked++;
    return Promise.resolve([{ address: asked === 1 ? HOME : '127.0.0.2', family: 4 }]);
  };
  const { data } = await fetched(`http://rebind.example:${site.port}/`, { lookup: rebinding });
  assert.equal(data.toString(), `at home as rebind.example:${site.port}`);
  assert.equal(asked, 1);
  assert.deepEqual(site.reached, []);
});

test('a name that turns between two redirects is checked again', async () => {
  site.pages = { '/': (_, response) => response.writeHead(302, { location: '/again' }).end() };
  let asked = 0;
  const turning: HostLookup = async () =>
    Promise.resolve([{ address: asked++ === 0 ? HOME : '127.0.0.2', family: 4 }]);
  const said = await words(fetched(`http://turn.example:${site.port}/`, { lookup: turning }));
  assert.match(said, /^redirects to an address that may not be fetched/);
  assert.equal(asked, 2);
  assert.deepEqual(site.reached, []);
});

test('every redirect is checked again, whatever its status and spelling', async () => {
  const targets = [
    `http://127.0.0.2:${site.port}/`,
    `//127.0.0.2:${site.port}/`,
    `http://2130706434:${site.port}/`,
    `http://[::ffff:7f00:2]:${site.port}/`,
    'http://169.254.169.254/latest/meta-data/',
  ];
  for (const status of [301, 302, 303, 307, 308]) {
    for (const location of targets) {
      site.pages = { '/': (_, response) => response.writeHead(status, { location }).end() };
      assert.match(
        await words(fetched(at('/'))),
        /^redirects to an address that may not be fetched/,
      );
    }
  }
  for (const [location, said] of [
    ['file:///etc/passwd', /^redirects to an address that is no http or https address/],
    [`http://me:secret@${HOME}:${site.port}/`, /^redirects to an address that has a user name/],
    ['http://[', /^redirects to an address that is no http/],
    ['/gone', /^redirects to an address that answered with status 404/],
  ] as const) {
    site.pages = { '/': (_, response) => response.writeHead(302, { location }).end() };
    assert.match(await words(fetched(at('/'))), said);
  }
  assert.deepEqual(site.reached, []);
});

test('redirects are followed, relative ones too, and only so many', async () => {
  const hop = (location: string): RequestListener => {
    return (_, response) => response.writeHead(302, { location }).end('moved');
  };
  site.pages = {
    '/a/0': hop('1'),
    '/a/1': hop('/b'),
    '/b': hop(Buffer.from('/käse').toString('latin1')),
    '/k%C3%A4se': hop(`http://${HOME}:${site.port}/end#part`),
    '/end': (_, response) => response.end('there'),
    '/loop': hop('/loop'),
    '/nowhere': (_, response) => response.writeHead(302).end(),
  };
  const found = await fetched(at('/a/0'));
  assert.deepEqual([found.url, found.data.toString()], [at('/end'), 'there']);
  assert.equal(await words(fetched(at('/loop'))), 'is redirected again after 5 redirects');
  assert.match(await words(fetched(at('/nowhere'))), /status 302 and no Location/);
});

test('what the operator allows is fetched, however it is spelled, and nothing beside it', async () => {
  site.pages = { '/': (_, response) => response.end('hi') };
  const fetch = createGuardedFetch(allowed);
  for (const host of [HOME, '2130706433', '127.1', '[::ffff:127.0.0.1]']) {
    const { data, contentType } = await fetch(
      `http://${host}:${site.port}/`,
      () => undefined,
      NEVER,
    );
    assert.deepEqual([data.toString(), contentType], ['hi', '']);
  }
  const closed = createGuardedFetch(new BlockList());
  assert.match(await words(closed(at('/'), () => undefined, NEVER)), FORBIDDEN);
});
