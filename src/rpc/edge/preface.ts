// Tells HTTP/2 with prior knowledge (h2c) from HTTP/1.1 by a connection's first bytes.
import type { Socket } from 'node:net';

/** The start of the HTTP/2 preface (RFC 9113, 3.4). No HTTP/1.1 method begins like this. */
const PREFACE = Buffer.from('PRI ');

/**
 * Calls back once with what the socket speaks; the bytes are given back to it unread. They may come
 * one by one. A socket that does not say in time what it speaks is destroyed.
 */
export function peekProtocol(
  socket: Socket,
  timeoutMs: number,
  decided: (protocol: 'h1' | 'h2') => void,
): void {
  let seen = Buffer.alloc(0);
  // Neither http server has this socket yet: without these, a silent peer would stay for ever and
  // a reset one would be an uncaught error.
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  function read(): void {
    for (;;) {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      seen = Buffer.concat([seen, chunk]);
      const compared = Math.min(seen.length, PREFACE.length);
      const same = PREFACE.compare(seen, 0, compared, 0, compared) === 0;
      if (same && compared < PREFACE.length) continue;
      stop();
      socket.unshift(seen);
      decided(same ? 'h2' : 'h1');
      return;
    }
  }
  function leave(): void {
    stop();
    socket.destroy();
  }
  function stop(): void {
    clearTimeout(timer);
    socket.off('readable', read);
    socket.off('error', leave);
    socket.off('end', leave);
    socket.off('close', stop);
  }
  socket.on('readable', read);
  socket.on('error', leave);
  socket.on('end', leave);
  socket.on('close', stop);
}
