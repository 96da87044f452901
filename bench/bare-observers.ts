// Observers that cost next to nothing, so that a thousand of them measure the server and not
// themselves: HTTP/2 by hand over a socket. Of each frame only its head and the stamps of the tokens
// in it are looked at; nothing is decoded, and nothing is allocated for a stream.
import { create, toBinary } from '@bufbuild/protobuf';
import { once } from 'node:events';
import net from 'node:net';
import {
  ChatStreamService,
  ObserveChatStreamRequestSchema,
} from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import { nowUs } from './load.ts';

export interface BareObservers extends Disposable {
  /** Resolves when each observer has had its first frame. */
  readonly attached: Promise<void>;
  /** Resolves when each stream has ended; rejects when the connection ends before. */
  readonly ended: Promise<void>;
}

const FRAME_HEAD_BYTES = 9;
const PREFIX_BYTES = 5;
const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const INITIAL_WINDOW_SIZE = 4;
/** All that a measure can bring: no window is ever in the way. */
const WINDOW = 2 ** 31 - 1;
const DEFAULT_WINDOW = 65_535;

const COLON = 0x3a;
const SPACE = 0x20;
const STAMP_DIGITS = 16;

/** An observer of each of these chats, over one connection. `onToken` gets when a token was sent. */
export async function bareObservers(
  url: string,
  streamIds: readonly string[],
  onToken: (sentUs: number, hereUs: number) => void,
): Promise<BareObservers> {
  const { hostname, port, host } = new URL(url);
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, 'connect');
  const attached = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  for (const each of [attached, ended]) each.promise.catch(() => undefined);
  const fail = (error: Error): void => {
    attached.reject(error);
    ended.reject(error);
  };
  const seen = new Set<number>();
  let over = 0;

  socket.on('error', fail);
  socket.on('close', () => fail(new Error('the connection was closed')));
  socket.write(preface());
  socket.write(Buffer.concat(streamIds.map((streamId, i) => call(2 * i + 1, host, streamId))));

  const take = (
    type: number,
    flags: number,
    stream: number,
    body: Buffer,
    hereUs: number,
  ): void => {
    if (type === DATA) {
      if (seen.size < streamIds.length) {
        seen.add(stream);
        if (seen.size === streamIds.length) attached.resolve();
      }
      findStamps(body, (sentUs) => onToken(sentUs, hereUs));
    } else if (type === SETTINGS && (flags & ACK) === 0) {
      socket.write(frame(SETTINGS, ACK, 0));
    } else if (type === PING && (flags & ACK) === 0) {
      socket.write(frame(PING, ACK, 0, body));
    } else if (type === RST_STREAM || type === GOAWAY) {
      fail(new Error(`the server ended stream ${stream} with frame type ${type}`));
    }
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) {
      over++;
      if (over === streamIds.length) ended.resolve();
    }
  };

  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    const hereUs = nowUs();
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const stream = bytes.readUInt32BE(at + 5) & WINDOW;
      const body = bytes.subarray(at + FRAME_HEAD_BYTES, end);
      take(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, stream, body, hereUs);
      at = end;
    }
    rest = bytes.subarray(at);
  });
  return {
    attached: attached.promise,
    ended: ended.promise,
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** How many observers each connection has. */
export function shared(observers: number, connections: number): number[] {
  return Array.from({ length: connections }, (_, i) => {
    return (
      Math.floor(((i + 1) * observers) / connections) - Math.floor((i * observers) / connections)
    );
  });
}

/** The test model server's `<n>:<16 digits of epoch µs> `. */
function findStamps(body: Buffer, found: (us: number) => void): void {
  for (let at = body.indexOf(COLON); at >= 0; at = body.indexOf(COLON, at + 1)) {
    const end = at + 1 + STAMP_DIGITS;
    if (body[end] !== SPACE) continue;
    const us = Number(body.toString('latin1', at + 1, end));
    if (us > 0) found(us);
  }
}

function frame(
  type: number,
  flags: number,
  stream: number,
  body: Uint8Array = Buffer.of(),
): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD_BYTES + body.length);
  bytes.writeUIntBE(body.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(body, FRAME_HEAD_BYTES);
  return bytes;
}

function preface(): Buffer {
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(INITIAL_WINDOW_SIZE, 0);
  settings.writeUInt32BE(WINDOW, 2);
  const more = Buffer.alloc(4);
  more.writeUInt32BE(WINDOW - DEFAULT_WINDOW);
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(SETTINGS, 0, 0, settings),
    frame(WINDOW_UPDATE, 0, 0, more),
  ]);
}

/** Headers as HPACK's static table has them, values as plain literals (RFC 7541, 6.2.2). */
function call(stream: number, host: string, streamId: string): Buffer {
  const request = create(ObserveChatStreamRequestSchema, { streamId });
  const message = toBinary(ObserveChatStreamRequestSchema, request);
  const literal = (text: string): Buffer =>
    Buffer.from(`${String.fromCharCode(text.length)}${text}`);
  const path = `/${ChatStreamService.typeName}/${ChatStreamService.method.observeChatStream.name}`;
  const headers = Buffer.concat([
    Buffer.of(0x83, 0x86), // :method POST, :scheme http
    Buffer.of(0x04),
    literal(path),
    Buffer.of(0x01),
    literal(host),
    Buffer.of(0x0f, 0x10), // content-type
    literal('application/grpc+proto'),
    Buffer.of(0x00),
    literal('te'),
    literal('trailers'),
  ]);
  const body = Buffer.alloc(PREFIX_BYTES + message.length);
  body.writeUInt32BE(message.length, 1);
  body.set(message, PREFIX_BYTES);
  return Buffer.concat([
    frame(HEADERS, END_HEADERS, stream, headers),
    frame(DATA, END_STREAM, stream, body),
  ]);
}
