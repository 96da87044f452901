// One cleartext port for HTTP/1.1 and HTTP/2. A connection's first bytes say which it speaks; it is
// then handed to node:http or node:http2, which never listen themselves. No rpc is known here.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import {
  H2_CLOSE_MS,
  H2_IDLE_MS,
  KEEP_ALIVE_MS,
  LISTEN_BACKLOG,
  MAX_CONNECTIONS,
  MAX_H2_SESSION_MIB,
  MAX_H2_STREAMS,
  MAX_HEADER_BYTES,
  REQUEST_BODY_TIMEOUT_MS,
  REQUEST_HEAD_TIMEOUT_MS,
  SHUTDOWN_GRACE_MS,
} from '../../chat/limits.ts';
import { peekProtocol } from './preface.ts';

/** The request and response objects of node:http and node:http2 alike. */
export type HttpRequest = Parameters<typeof universalRequestFromNodeRequest>[0];
export type HttpResponse = Parameters<typeof universalResponseToNodeResponse>[1];
export type HttpHandler = (req: HttpRequest, res: HttpResponse) => void;

export interface ListenOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly handler: HttpHandler;
  /** Gets what goes wrong with the port itself, for example too many open files. */
  readonly logError: (error: unknown) => void;
  readonly headTimeoutMs?: number;
  readonly h2IdleMs?: number;
}

export interface Listener extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** As a URL without a path. */
  readonly url: string;
  /**
   * Takes no more connections and calls, lets running calls end for `graceMs`, then cuts what is
   * left. Resolves when every connection is closed; may be called again.
   */
  close(graceMs?: number): Promise<void>;
}

export async function listen(options: ListenOptions): Promise<Listener> {
  const headTimeoutMs = options.headTimeoutMs ?? REQUEST_HEAD_TIMEOUT_MS;
  const h1 = http1Server(options.handler, headTimeoutMs);
  const h2 = http2Server(options.handler, headTimeoutMs, options.h2IdleMs ?? H2_IDLE_MS);
  const sockets = new Set<net.Socket>();
  const undecided = new Set<net.Socket>();
  // Half-open as in node:http: a client may end its side after the request and wants the answer.
  const port = net.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true });
  port.maxConnections = MAX_CONNECTIONS;
  port.on('connection', (socket) => {
    sockets.add(socket);
    undecided.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      undecided.delete(socket);
    });
    peekProtocol(socket, headTimeoutMs, (protocol) => {
      undecided.delete(socket);
      // An HTTP/2 session would not notice the end of a half-open socket.
      if (protocol === 'h2') {
        socket.allowHalfOpen = false;
        socket.once('finish', () => destroySoon(socket));
      }
      (protocol === 'h2' ? h2.server : h1.server).emit('connection', socket);
    });
  });
  port.listen({ host: options.host, port: options.port, backlog: LISTEN_BACKLOG });
  await once(port, 'listening');
  port.on('error', options.logError);
  const address = port.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP port');

  let closed: Promise<void> | undefined;
  async function shut(graceMs: number): Promise<void> {
    const gone = once(port, 'close');
    port.close();
    for (const socket of undecided) socket.destroy();
    h1.drain();
    h2.drain();
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, graceMs);
    await gone;
    clearTimeout(cut);
  }
  function close(graceMs = SHUTDOWN_GRACE_MS): Promise<void> {
    closed ??= shut(graceMs);
    return closed;
  }
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    host: address.address,
    port: address.port,
    url: `http://${shown}:${address.port}`,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

function http1Server(handler: HttpHandler, headTimeoutMs: number) {
  let draining = false;
  const server = http.createServer({
    headersTimeout: headTimeoutMs,
    requestTimeout: headTimeoutMs + REQUEST_BODY_TIMEOUT_MS,
    connectionsCheckingInterval: Math.min(1_000, headTimeoutMs),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  function onRequest(req: http.IncomingMessage, res: http.ServerResponse): void {
    if (draining) res.setHeader('connection', 'close');
    // An answer whose head had left before the drain began did not say "close".
    res.once('finish', () => {
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
    handler(req, res);
  }
  server.on('request', onRequest);
  // The handler asks for a body that waits to be asked for when it knows who sends it.
  server.on('checkContinue', onRequest);
  // A server that never listens checks its head and request timeouts only from this event on.
  server.emit('listening');
  return {
    server,
    drain() {
      draining = true;
      server.close(() => {});
    },
  };
}

function http2Server(handler: HttpHandler, headTimeoutMs: number, idleMs: number) {
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer({
    maxSessionMemory: MAX_H2_SESSION_MIB,
    settings: { maxConcurrentStreams: MAX_H2_STREAMS, maxHeaderListSize: MAX_HEADER_BYTES },
  });
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    closeWhenIdle(session, headTimeoutMs, idleMs);
  });
  // A peer that breaks the protocol or vanishes ends its own session, nothing else.
  server.on('sessionError', () => {});
  server.on('request', handler);
  server.on('checkContinue', handler);
  return {
    server,
    drain() {
      for (const session of sessions) session.close();
    },
  };
}

/**
 * A session that is over has said so to its peer. One that does not close its own side then would keep
 * the connection, and with it a server that is stopping.
 */
function destroySoon(socket: net.Socket): void {
  const timer = setTimeout(() => socket.destroy(), H2_CLOSE_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** node:http2 keeps a session for ever, whether it ever says anything or not. */
function closeWhenIdle(
  session: http2.ServerHttp2Session,
  headTimeoutMs: number,
  idleMs: number,
): void {
  let calls = 0;
  let timer = setTimeout(() => session.destroy(), headTimeoutMs);
  function wait(): void {
    clearTimeout(timer);
    if (calls === 0 && !session.closed) timer = setTimeout(() => session.close(), idleMs);
  }
  session.once('remoteSettings', wait);
  session.on('stream', (stream) => {
    calls += 1;
    clearTimeout(timer);
    stream.once('close', () => {
      calls -= 1;
      wait();
    });
  });
  session.once('close', () => clearTimeout(timer));
}
