// The body of an answer from anywhere: bounded as it comes, and again after decompression.
import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { FetchFailure } from './fetch-failure.ts';

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** Rejects with FetchFailure, and with what broke the connection. */
export async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const { headers } = response;
  if (Number(headers['content-length']) > maxBytes) throw tooLarge(maxBytes);
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? '';
  const body = createBody(maxBytes);
  if (encoding === '' || encoding === 'identity') {
    await pipeline(response, (source: AsyncIterable<Buffer>) => body.take(source));
    return body.bytes();
  }
  const decoder = DECODERS[encoding]?.();
  if (decoder === undefined) {
    throw new FetchFailure(
      `answered in the Content-Encoding "${encoding.slice(0, 40)}"; gzip, deflate and br can be read`,
    );
  }
  try {
    await pipeline(
      response,
      // Nothing bounds what decompresses to nothing.
      (source) => bounded(source, maxBytes),
      decoder,
      (source: AsyncIterable<Buffer>) => body.take(source),
    );
  } catch (error) {
    if (!isOfZlib(error)) throw error;
    throw new FetchFailure(`answered with a body that is no ${encoding}, as it said it is`, {
      cause: error,
    });
  }
  return body.bytes();
}

function isOfZlib(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^(?:Z_|ERR__)/.test(String(error.code));
}

async function* bounded(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
}

const FIRST_BYTES = 16 * 1024;

interface Body {
  readonly take: (source: AsyncIterable<Buffer>) => Promise<void>;
  readonly bytes: () => Buffer;
}

/** Copies: chunks of a byte each would cost a hundred times what is in them. */
function createBody(maxBytes: number): Body {
  let held = Buffer.allocUnsafe(Math.min(FIRST_BYTES, maxBytes));
  let size = 0;
  return {
    take: async (source) => {
      for await (const chunk of source) {
        const grown = size + chunk.length;
        if (grown > maxBytes) throw tooLarge(maxBytes);
        if (grown > held.length) {
          const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(grown, 2 * held.length)));
          held.copy(larger, 0, 0, size);
          held = larger;
        }
        chunk.copy(held, size);
        size = grown;
      }
    },
    bytes: () => held.subarray(0, size),
  };
}

function tooLarge(maxBytes: number): FetchFailure {
  return new FetchFailure(`has more than ${maxBytes} bytes, the most that are fetched`);
}
