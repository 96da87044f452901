import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { type HttpHandler, type ListenOptions, listen } from '../../src/rpc/edge/listener.ts';

function says(text: string): HttpHandler {
  return (req, res) => {
    req.resume();
    req.once('end', () => {
      res.writeHead(200, { 'content-type': 'text/plain' });
      res.end(`${text} over ${req.httpVersion}`);
    });
  };
}

function fail(error: unknown): never {
  throw error;
}

function start(handler: HttpHandler, more: Partial<ListenOptions> = {}) {
  return listen({ host: '127.0.0.1', port: 0, handler, logError: fail, ...more });
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  return socket;
}

test('one port answers HTTP/1.1 and HTTP/2', async () => {
  await using listener = await start(says('hello'));
  const answer = await fetch(listener.url);
  assert.equal(await answer.text(), 'hello over 1.1');
  const session = http2.connect(listener.url);
  assert.equal(await textOf(session.request({ ':path': '/' })), 'hello over 2.0');
  session.close();
});

test('an HTTP/2 preface may come byte by byte', async () => {
  await using listener = await start(says('hello'));
  await using proxy = await byteByByte(listener.port);
  const session = http2.connect(`http://127.0.0.1:${(proxy.address() as net.AddressInfo).port}`);
  assert.equal(await textOf(session.request({ ':path': '/' })), 'hello over 2.0');
  session.close();
});

test('an HTTP/1.1 request that begins like the preface is HTTP/1.1', async () => {
  await using listener = await start(says('hello'));
  const socket = await connect(listener.port);
  for (const piece of ['P', 'R', 'OPFIND / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n']) {
    await new Promise((sent) => socket.write(piece, sent));
  }
  assert.match(await textOf(socket), /^HTTP\/1\.1 200 OK.*hello over 1\.1/s);
});

test('a client that ends its side after the request gets the whole answer', async () => {
  await using listener = await start(says('hello'));
  const socket = await connect(listener.port);
  socket.end('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  assert.match(await textOf(socket), /hello over 1\.1/);
});

test('a peer that says nothing is cut off', async () => {
  await using listener = await start(says('hello'), { headTimeoutMs: 50 });
  const silent = await connect(listener.port);
  const half = await connect(listener.port);
  half.write('PR');
  await Promise.all([once(silent.resume(), 'close'), once(half.resume(), 'close')]);
});

test('a peer that never finishes its request’s head is cut off', async () => {
  await using listener = await start(says('hello'), { headTimeoutMs: 50 });
  const slow = await connect(listener.port);
  slow.write('POST / HTTP/1.1\r\nhost: x\r\n');
  assert.match(await textOf(slow), /^HTTP\/1\.1 408 /);
  const preface = await connect(listener.port);
  preface.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await once(preface.resume(), 'close');
});

test('a request’s head over the limit is refused', async () => {
  await using listener = await start(says('hello'));
  const answer = await fetch(listener.url, { headers: { 'x-long': 'x'.repeat(100_000) } });
  assert.equal(answer.status, 431);
  const session = http2.connect(listener.url);
  // The bound holds once the client has acknowledged the server's settings.
  await once(session, 'remoteSettings');
  await new Promise((done) => session.ping(done));
  const request = session.request({ ':path': '/', 'x-long': 'x'.repeat(60_000) });
  await assert.rejects(once(request, 'response'), /ENHANCE_YOUR_CALM/);
  session.close();
});

test('an HTTP/2 connection without calls is told to go away, one with a call is not', async () => {
  const running = Promise.withResolvers<void>();
  const handler: HttpHandler = (_req, res) => {
    res.writeHead(200);
    res.write('begun');
    void running.promise.then(() => res.end(' and done'));
  };
  await using listener = await start(handler, { h2IdleMs: 20 });
  const busy = http2.connect(listener.url);
  const request = busy.request({ ':path': '/' });
  await once(request, 'response');
  const idle = http2.connect(listener.url);
  await once(idle, 'goaway');
  assert.equal(busy.closed, false);
  running.resolve();
  assert.equal(await textOf(request), 'begun and done');
  await once(busy, 'goaway');
});

test('closing lets running calls end, sends GOAWAY and takes no new connection', async () => {
  const running = Promise.withResolvers<void>();
  let calls = 0;
  const two = Promise.withResolvers<void>();
  const handler: HttpHandler = (_req, res) => {
    res.writeHead(200);
    res.write('begun');
    calls += 1;
    if (calls === 2) two.resolve();
    void running.promise.then(() => res.end(' and done'));
  };
  const listener = await start(handler);
  const session = http2.connect(listener.url);
  const goaway = once(session, 'goaway');
  const h2 = textOf(session.request({ ':path': '/' }));
  const agent = new http.Agent({ keepAlive: true });
  const h1 = new Promise<string>((resolve, reject) => {
    http.get(listener.url, { agent }, (res) => resolve(textOf(res))).once('error', reject);
  });
  await two.promise;
  const closed = listener.close();
  await goaway;
  await assert.rejects(fetch(listener.url));
  running.resolve();
  assert.equal(await h2, 'begun and done');
  assert.equal(await h1, 'begun and done');
  await closed;
  agent.destroy();
});

test('closing does not wait for an HTTP/2 peer that never closes its own side', async () => {
  await using listener = await start(says('hello'));
  const socket = net.connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), emptySettings]));
  await once(socket, 'data');
  socket.resume();
  socket.on('error', () => undefined);
  const beganMs = performance.now();
  await listener.close(10_000);
  assert.ok(performance.now() - beganMs < 3_000, 'it took the whole grace');
  socket.destroy();
});

test('closing cuts what is left after the grace', async () => {
  const listener = await start((_req, res) => {
    res.writeHead(200);
    res.write('for ever');
  });
  const answer = await fetch(listener.url);
  const idle = await connect(listener.port);
  await Promise.all([listener.close(20), listener.close(20), once(idle.resume(), 'close')]);
  await assert.rejects(answer.text());
});

test('a port that is taken is an error that names it', async () => {
  await using listener = await start(says('hello'));
  await assert.rejects(start(says('second'), { port: listener.port }), /EADDRINUSE/);
});

/** A way to the port on which every byte that goes there goes alone. */
async function byteByByte(port: number): Promise<net.Server> {
  const proxy = net.createServer((client) => {
    const there = net.connect({ port, host: '127.0.0.1', noDelay: true });
    there.pipe(client);
    client.on('error', () => there.destroy());
    void (async () => {
      for await (const chunk of client) {
        for (const byte of chunk as Buffer) {
          await new Promise((sent) => there.write(Uint8Array.of(byte), sent));
        }
      }
      there.end();
    })().catch(() => there.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return proxy;
}
