// The guarded fetch: nothing is sent to an address that is not allowed, however it is written, named or
// reached, and nothing that comes back costs more than its bound. Real servers on loopback: 127.0.0.1 is what
// the operator allows here, 127.0.0.2 and all else on it is not.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, BlockList, createServer as createTcpServer } from 'node:net';
import { after, before, test } from 'node:test';
import { brotliCompressSync, createGzip, deflateSync, gzipSync } from 'node:zlib';
import type { HostLookup } from '../../src/tools/address-guard.ts';
import { FetchFailure } from '../../src/tools/fetch-failure.ts';
import {
  createGuardedFetch,
  type Fetched,
  type GuardedFetchOptions,
} from '../../src/tools/guarded-fetch.ts';
import { CERTIFICATE } from './certificate.ts';

const NEVER = new AbortController().signal;
const HOME = '127.0.0.1';
const FORBIDDEN = /may not be fetched: its host is not known, or is not at a public address/;

const allowed = new BlockList();
allowed.addAddress(HOME);

let pages: Readonly<Record<string, RequestListener>> = {};
let home: Server;
let secret: Server;
let port: number;
const reached: string[] = [];

before(async () => {
  home = createServer((request, response) => {
    const page = pages[request.url ?? ''];
    if (page === undefined) response.writeHead(404).end();
    else page(request, response);
  });
  await once(home.listen(0, HOME), 'listening');
  ({ port } = home.address() as AddressInfo);
  // The same port, so that only the address tells them apart.
  secret = createServer((request, response) => {
    reached.push(request.url ?? '');
    response.end('secret');
  });
  await once(secret.listen(port, '127.0.0.2'), 'listening');
});

after(() => {
  for (const server of [home, secret]) {
    server.closeAllConnections();
    server.close();
  }
});

const noNames: HostLookup = (name) => Promise.reject(new Error(`${name} was looked up`));

function fetched(
  url: string,
  options: GuardedFetchOptions = {},
  signal: AbortSignal = NEVER,
): Promise<Fetched> {
  const fetch = createGuardedFetch(allowed, { lookup: noNames, ...options });
  return fetch(url, () => undefined, signal);
}

async function words(fetching: Promise<unknown>): Promise<string> {
  const error = await fetching.then(
    () => assert.fail('it was fetched'),
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof FetchFailure, String(error));
  return error.message;
}

function at(path: string): string {
  return `http://${HOME}:${port}${path}`;
}

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
    const url = template.replace('{port}', String(port));
    assert.match(await words(fetched(url)), FORBIDDEN);
    assert.deepEqual(reached, []);
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
    const said = await words(fetched(`http://evil.example:${port}/`, { lookup }));
    assert.match(said, FORBIDDEN);
    assert.deepEqual(reached, []);
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
    const fetching = localhost(`http://${name}:${port}/`, () => undefined, NEVER);
    assert.equal(await words(fetching), inner);
  }
});

test('a name is resolved once, and what was checked is what is connected to (DNS rebinding)', async () => {
  pages = { '/': (request, response) => response.end(`at home as ${request.headers.host}`) };
  let asked = 0;
  const rebinding: HostLookup = async () => {
    asked++;
    return Promise.resolve([{ address: asked === 1 ? HOME : '127.0.0.2', family: 4 }]);
  };
  const { data } = await fetched(`http://rebind.example:${port}/`, { lookup: rebinding });
  assert.equal(data.toString(), `at home as rebind.example:${port}`);
  assert.equal(asked, 1);
  assert.deepEqual(reached, []);
});

test('a name that turns between two redirects is checked again', async () => {
  pages = { '/': (_, response) => response.writeHead(302, { location: '/again' }).end() };
  let asked = 0;
  const turning: HostLookup = async () =>
    Promise.resolve([{ address: asked++ === 0 ? HOME : '127.0.0.2', family: 4 }]);
  const said = await words(fetched(`http://turn.example:${port}/`, { lookup: turning }));
  assert.match(said, /^redirects to an address that may not be fetched/);
  assert.equal(asked, 2);
  assert.deepEqual(reached, []);
});

test('every redirect is checked again, whatever its status and spelling', async () => {
  const targets = [
    `http://127.0.0.2:${port}/`,
    `//127.0.0.2:${port}/`,
    `http://2130706434:${port}/`,
    `http://[::ffff:7f00:2]:${port}/`,
    'http://169.254.169.254/latest/meta-data/',
  ];
  for (const status of [301, 302, 303, 307, 308]) {
    for (const location of targets) {
      pages = { '/': (_, response) => response.writeHead(status, { location }).end() };
      assert.match(
        await words(fetched(at('/'))),
        /^redirects to an address that may not be fetched/,
      );
    }
  }
  for (const [location, said] of [
    ['file:///etc/passwd', /^redirects to an address that is no http or https address/],
    [`http://me:secret@${HOME}:${port}/`, /^redirects to an address that has a user name/],
    ['http://[', /^redirects to an address that is no http/],
    ['/gone', /^redirects to an address that answered with status 404/],
  ] as const) {
    pages = { '/': (_, response) => response.writeHead(302, { location }).end() };
    assert.match(await words(fetched(at('/'))), said);
  }
  assert.deepEqual(reached, []);
});

test('redirects are followed, relative ones too, and only so many', async () => {
  const hop = (location: string): RequestListener => {
    return (_, response) => response.writeHead(302, { location }).end('moved');
  };
  pages = {
    '/a/0': hop('1'),
    '/a/1': hop('/b'),
    '/b': hop(Buffer.from('/käse').toString('latin1')),
    '/k%C3%A4se': hop(`http://${HOME}:${port}/end#part`),
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
  pages = { '/': (_, response) => response.end('hi') };
  const fetch = createGuardedFetch(allowed);
  for (const host of [HOME, '2130706433', '127.1', '[::ffff:127.0.0.1]']) {
    const { data, contentType } = await fetch(`http://${host}:${port}/`, () => undefined, NEVER);
    assert.deepEqual([data.toString(), contentType], ['hi', '']);
  }
  const closed = createGuardedFetch(new BlockList());
  assert.match(await words(closed(at('/'), () => undefined, NEVER)), FORBIDDEN);
});

test('a status that is no success and a type that is not wanted end it before the body', async () => {
  pages = {
    '/500': (_, response) => response.writeHead(500).end('<stack trace>'),
    '/png': (_, response) => {
      // Never ends: whoever reads it waits for ever.
      response.writeHead(200, { 'content-type': 'image/png' }).write('x');
    },
  };
  assert.equal(await words(fetched(at('/500'))), 'answered with status 500');
  const fetch = createGuardedFetch(allowed);
  const picky = fetch(at('/png'), (type) => `is ${type}`, NEVER);
  assert.equal(await words(picky), 'is image/png');
});

test('compressed bodies are unpacked; one that is not what it says is refused', async () => {
  const text = 'the river '.repeat(1_000);
  const packed = (encoding: string, body: Buffer): RequestListener => {
    return (_, response) => response.writeHead(200, { 'content-encoding': encoding }).end(body);
  };
  pages = {
    '/gzip': packed('gzip', gzipSync(text)),
    '/deflate': packed('deflate', deflateSync(text)),
    '/br': packed('BR', brotliCompressSync(text)),
    '/plain': packed('identity', Buffer.from(text)),
    '/lie': packed('gzip', Buffer.from(text)),
    '/cut': packed('gzip', gzipSync(text).subarray(0, 40)),
    '/brlie': packed('br', Buffer.from(text)),
    '/odd': packed('gzip, gzip', gzipSync(gzipSync(text))),
  };
  for (const path of ['/gzip', '/deflate', '/br', '/plain']) {
    assert.equal((await fetched(at(path))).data.toString(), text);
  }
  for (const path of ['/lie', '/cut', '/brlie']) {
    assert.match(
      await words(fetched(at(path))),
      /^answered with a body that is no (?:gzip|br), as/,
    );
  }
  assert.match(
    await words(fetched(at('/odd'))),
    /Content-Encoding "gzip, gzip"; gzip, deflate and/,
  );
});

function pour(response: ServerResponse, chunk: Buffer): void {
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}

test('a giant body ends at its bound, said or not said, compressed or not', async () => {
  const maxBytes = 100_000;
  const bomb = gzipSync(Buffer.alloc(maxBytes + 1));
  assert.ok(bomb.length < 1_000);
  // Each member unpacks to nothing.
  const nothing = Buffer.concat(Array.from({ length: 100 }, () => gzipSync('')));
  const ends: Promise<unknown>[] = [];
  const endless = (
    head: Readonly<Record<string, string | number>>,
    chunk: Buffer,
  ): RequestListener => {
    return (_, response) => {
      ends.push(once(response, 'close'));
      response.writeHead(200, head);
      pour(response, chunk);
    };
  };
  pages = {
    '/said': (_, response) =>
      response.writeHead(200, { 'content-length': maxBytes + 1 }).write('x'),
    '/endless': endless({}, Buffer.alloc(10_000, 'a')),
    '/bytes': (_, response) => {
      for (let i = 0; i < 3_000; i++) response.write('a');
      response.end();
    },
    '/bomb': (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb),
    '/zeros': (_, response) => {
      ends.push(once(response, 'close'));
      response.writeHead(200, { 'content-encoding': 'gzip' });
      const gzip = createGzip();
      gzip.on('error', () => undefined).pipe(response);
      response.once('close', () => gzip.destroy());
      const more = (): void => {
        while (!gzip.destroyed && gzip.write(Buffer.alloc(64 * 1_024)));
      };
      gzip.on('drain', more);
      more();
    },
    '/nothing': endless({ 'content-encoding': 'gzip' }, nothing),
    '/fits': (_, response) => response.end(Buffer.alloc(maxBytes, 'a')),
  };
  for (const path of ['/said', '/endless', '/bomb', '/zeros', '/nothing']) {
    assert.equal(
      await words(fetched(at(path), { maxBytes })),
      'has more than 100000 bytes, the most that are fetched',
      path,
    );
  }
  // Nobody goes on sending: the connections are closed.
  await Promise.all(ends);
  assert.equal((await fetched(at('/fits'), { maxBytes })).data.length, maxBytes);
  assert.equal((await fetched(at('/bytes'), { maxBytes })).data.length, 3_000);
});

test('whoever is slow ends by its time: a silent server, a slow body, a name server that does not answer', async () => {
  const closed: Promise<unknown>[] = [];
  pages = {
    '/silent': (_, response) => void closed.push(once(response, 'close')),
    '/slow': (_, response) => {
      closed.push(once(response, 'close'));
      response.write('a');
    },
    '/drip': (_, response) => {
      const timer = setInterval(() => response.write('a'), 5);
      closed.push(once(response, 'close').then(() => clearInterval(timer)));
    },
  };
  const slow = { timeoutMs: 100 };
  for (const path of ['/silent', '/slow', '/drip']) {
    const said = await words(fetched(at(path), slow));
    assert.equal(said, 'took longer than 0.1 s, the most that it may', path);
  }
  await Promise.all(closed);
  const stuck: HostLookup = () => new Promise(() => undefined);
  const said = await words(fetched('http://stuck.example/', { ...slow, lookup: stuck }));
  assert.match(said, /^took longer than 0\.1 s/);
});

test('a caller that leaves ends it with its own reason, also while a name is looked up', async () => {
  const left = new Error('left');
  const leaving = new AbortController();
  pages = { '/': () => leaving.abort(left) };
  await assert.rejects(fetched(at('/'), {}, leaving.signal), left);
  await assert.rejects(fetched(at('/'), {}, AbortSignal.abort(left)), left);
  const looking = new AbortController();
  const stuck: HostLookup = () => {
    looking.abort(left);
    return new Promise(() => undefined);
  };
  await assert.rejects(fetched('http://stuck.example/', { lookup: stuck }, looking.signal), left);
});

test('what is no HTTP, too many headers, an upgrade, a cut and a closed port have their words', async () => {
  pages = {
    '/headers': (_, response) => response.writeHead(200, { x: 'a'.repeat(40_000) }).end(),
    '/upgrade': (request) =>
      request.socket.end(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
      ),
    '/cut': (_, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('a', () => response.destroy());
    },
  };
  const telnet = createTcpServer((socket) =>
    socket
      .on('error', () => undefined)
      .resume()
      .end('220 hello\r\n'),
  );
  await once(telnet.listen(0, HOME), 'listening');
  const { port: other } = telnet.address() as AddressInfo;
  assert.equal(
    await words(fetched(at('/headers'))),
    'answered with more than 32768 bytes of headers',
  );
  assert.equal(await words(fetched(at('/upgrade'))), 'cannot be reached');
  assert.equal(await words(fetched(at('/cut'))), 'broke off');
  assert.equal(await words(fetched(`http://${HOME}:${other}/`)), 'answered with what is no HTTP');
  telnet.close();
  await once(telnet, 'close');
  assert.equal(await words(fetched(`http://${HOME}:${other}/`)), 'cannot be reached');
});

test('a certificate that nobody signed is refused', async () => {
  const server = createHttpsServer(CERTIFICATE, (_, response) => response.end('hi'));
  await once(server.listen(0, HOME), 'listening');
  const { port: secure } = server.address() as AddressInfo;
  const said = await words(fetched(`https://${HOME}:${secure}/`));
  assert.equal(said, 'has no certificate that can be trusted');
  server.closeAllConnections();
  server.close();
});

test('nothing of ours is sent along: no cookie, no authorization, no proxy, a connection for each', async () => {
  const seen: NodeJS.Dict<string | string[]>[] = [];
  pages = {
    '/': (request, response) => {
      seen.push(request.headers);
      response.writeHead(302, { location: '/next', 'set-cookie': 'a=b' }).end();
    },
    '/next': (request, response) => {
      seen.push(request.headers);
      response.end();
    },
  };
  await fetched(at('/'));
  for (const headers of seen) {
    assert.deepEqual(Object.keys(headers).toSorted(), [
      'accept',
      'accept-encoding',
      'connection',
      'host',
      'user-agent',
    ]);
    assert.equal(headers['connection'], 'close');
  }
});
