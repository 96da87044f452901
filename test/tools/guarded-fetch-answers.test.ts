// The guarded fetch: nothing that comes back costs more than its bound, in bytes or in time, and each way to fail
// has its words. Where it may fetch from is in guarded-fetch.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { brotliCompressSync, createGzip, deflateSync, gzipSync } from 'node:zlib';
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
import { CERTIFICATE } from './certificate.ts';

const site = await forAllTests(startFetchSite());
const at = (path: string): string => site.at(path);

test('a status that is no success and a type that is not wanted end it before the body', async () => {
  site.pages = {
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
  site.pages = {
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
  site.pages = {
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
  site.pages = {
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
  site.pages = { '/': () => leaving.abort(left) };
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
  site.pages = {
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
  site.pages = {
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
