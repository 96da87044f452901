// How the bytes of an answer leave: plain, in odd pieces, or compressed.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { constants, createBrotliCompress, createGzip } from 'node:zlib';
import type { Script } from './script.ts';

export interface Wire {
  /** False: the client does not keep up; call `onDrain`. */
  readonly write: (text: string | Buffer) => boolean;
  readonly onDrain: (then: () => void) => void;
  /** Ends the answer properly. */
  readonly end: () => void;
  /** Closes the connection once all is written, without the end of the answer. */
  readonly cut: () => void;
}

const MAX_UNREAD_BYTES = 256 * 1024;

export function createWire(response: ServerResponse, socket: Socket, script: Script): Wire {
  if (script.encoding !== 'identity') return compressedWire(response, socket, script.encoding);
  if (script.split_bytes !== undefined) return splitWire(response, socket, script.split_bytes);
  return plainWire(response, socket);
}

/** Writes the chunks' framing itself: one write for a delta where node's own takes four. */
function plainWire(response: ServerResponse, socket: Socket): Wire {
  response.flushHeaders();
  return {
    write(text) {
      const bytes = Buffer.byteLength(text);
      if (typeof text === 'string') {
        // Deltas are ASCII but in a few tests, and latin1 is the cheapest way out.
        const ascii = bytes === text.length;
        socket.write(`${bytes.toString(16)}\r\n${text}\r\n`, ascii ? 'latin1' : 'utf8');
      } else {
        socket.write(`${bytes.toString(16)}\r\n`, 'latin1');
        socket.write(text);
        socket.write('\r\n', 'latin1');
      }
      return socket.writableLength < MAX_UNREAD_BYTES;
    },
    onDrain: (then) => socket.once('drain', then),
    end: () => response.end(),
    cut: () => socket.destroySoon(),
  };
}

function splitWire(response: ServerResponse, socket: Socket, pieceBytes: number): Wire {
  response.flushHeaders();
  let pieces: Buffer[] = [];
  let last: (() => void) | undefined;
  let running = false;

  function next(): void {
    const piece = pieces.shift();
    if (socket.destroyed) return;
    if (piece === undefined) {
      running = false;
      last?.();
      return;
    }
    response.write(piece);
    setImmediate(next);
  }
  function start(): void {
    if (running) return;
    running = true;
    setImmediate(next);
  }

  return {
    write(text) {
      const bytes = Buffer.concat([...pieces, Buffer.from(text)]);
      pieces = [];
      for (let from = 0; from < bytes.length; from += pieceBytes) {
        pieces.push(bytes.subarray(from, from + pieceBytes));
      }
      start();
      return true;
    },
    onDrain: (then) => void setImmediate(then),
    end() {
      last = () => response.end();
      start();
    },
    cut() {
      last = () => socket.destroySoon();
      start();
    },
  };
}

function compressedWire(response: ServerResponse, socket: Socket, encoding: 'gzip' | 'br'): Wire {
  const compress =
    encoding === 'gzip'
      ? createGzip({ flush: constants.Z_SYNC_FLUSH })
      : createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH });
  compress.pipe(response, { end: false });
  return {
    write: (text) => compress.write(text),
    onDrain: (then) => compress.once('drain', then),
    end() {
      compress.once('end', () => response.end());
      compress.end();
    },
    cut() {
      compress.flush(() => setImmediate(() => socket.destroySoon()));
    },
  };
}
