// Reads a request's body within its bounds of size and time. By events, since leaving node's
// iterator early destroys the connection that the answer must still go through.
import { Code, ConnectError } from '@connectrpc/connect';
import { DROP_BODY_MS, REQUEST_BODY_TIMEOUT_MS } from '../../chat/limits.ts';
import { malformedRequest, requestTooLarge } from '../edge/errors.ts';
import type { HttpRequest } from '../edge/listener.ts';

/** The 5 bytes before each message of gRPC, gRPC-Web and Connect's streams. */
export const PREFIX_BYTES = 5;

/** No flags of a frame, but how JSON without a frame begins. */
const BRACE = 0x7b;

interface BodyBounds {
  /** Of the message; a frame's prefix comes on top. */
  readonly maxBytes: number;
  readonly framed: boolean;
  /** What is left of the call's own deadline. */
  readonly deadlineMs: number | undefined;
}

export function readBody(req: HttpRequest, bounds: BodyBounds): Promise<Uint8Array> {
  const limit = bounds.maxBytes + (bounds.framed ? PREFIX_BYTES : 0);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const byDeadline =
      bounds.deadlineMs !== undefined && bounds.deadlineMs < REQUEST_BODY_TIMEOUT_MS;
    const timer = setTimeout(
      () => refuse(byDeadline ? deadlineExceeded() : tooSlow()),
      byDeadline ? bounds.deadlineMs : REQUEST_BODY_TIMEOUT_MS,
    );
    if (Number(req.headers['content-length']) > limit) refuse(requestTooLarge(bounds.maxBytes));
    else {
      req.on('data', onData);
      req.on('end', onEnd);
      req.on('error', onGone);
      req.on('close', onGone);
      if (req.destroyed) onGone();
    }

    function onData(chunk: Buffer): void {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bounds.framed && chunks[0]?.[0] === BRACE) refuse(notFramed());
      else if (bytes > limit || declares(chunks) > bounds.maxBytes) {
        refuse(requestTooLarge(bounds.maxBytes));
      }
    }
    function declares(read: Buffer[]): number {
      const first = read[0];
      // A prefix that comes in pieces is judged by what follows it.
      return bounds.framed && first && first.byteLength >= PREFIX_BYTES ? first.readUInt32BE(1) : 0;
    }
    function onEnd(): void {
      stop();
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    }
    function onGone(): void {
      stop();
      reject(new ConnectError('The caller left before the request was there.', Code.Canceled));
    }
    function refuse(error: Error): void {
      stop();
      reject(error);
    }
    function stop(): void {
      clearTimeout(timer);
      req.off('data', onData);
      req.off('end', onEnd);
      req.off('error', onGone);
      req.off('close', onGone);
    }
  });
}

/**
 * Lets go of a body that nobody wants any more when its answer is written. It is read and dropped
 * for a while, since a connection that is closed with unread bytes takes the answer with it.
 */
export function dropBody(req: HttpRequest): void {
  if (req.complete || req.destroyed) return;
  req.on('error', () => {});
  const timer = setTimeout(() => cutOff(req), DROP_BODY_MS);
  req.once('end', () => clearTimeout(timer));
  req.once('close', () => clearTimeout(timer));
  req.resume();
}

/** Not every client ends a request of its own accord that was answered before its end. */
function cutOff(req: HttpRequest): void {
  // Destroying node's request object for HTTP/2 leaves its stream open for ever.
  if ('stream' in req) req.stream.destroy();
  else req.destroy();
}

function notFramed(): Error {
  return malformedRequest(
    'The request is JSON without a frame: on this content type a byte 0 and the length in 4 bytes, big-endian, come before the message.',
  );
}

/** The one message of a framed request; `refuse`: there is none, or more than one. */
export function onlyFrame(
  body: Uint8Array,
  trailingFlags: number,
  refuse: (sentence: string) => Error,
): { flags: number; data: Uint8Array } {
  if (body.byteLength === 0) {
    throw refuse('The request has no message; an empty one is five zero bytes.');
  }
  const first = frameAt(body, 0);
  let offset = first.end;
  while (offset < body.byteLength) {
    const next = frameAt(body, offset);
    // Trailers of gRPC-Web and the end of a Connect stream say nothing in a request.
    if ((next.flags & trailingFlags) === 0) {
      throw refuse('The request has more than one message; this rpc takes one.');
    }
    offset = next.end;
  }
  return { flags: first.flags, data: first.data };
}

function frameAt(body: Uint8Array, offset: number) {
  const left = body.byteLength - offset;
  if (left < PREFIX_BYTES) {
    throw malformedRequest(`The request ends after ${left} of the 5 bytes that begin a frame.`);
  }
  const view = new DataView(body.buffer, body.byteOffset + offset, left);
  const length = view.getUint32(1);
  if (length > left - PREFIX_BYTES) {
    throw malformedRequest(
      `The request’s frame says ${length} bytes, and ${left - PREFIX_BYTES} came.`,
    );
  }
  const start = offset + PREFIX_BYTES;
  return {
    flags: view.getUint8(0),
    data: body.subarray(start, start + length),
    end: start + length,
  };
}

export function deadlineExceeded(): ConnectError {
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}

function tooSlow(): Error {
  return malformedRequest(
    `The request’s body did not come within ${REQUEST_BODY_TIMEOUT_MS / 1_000} s.`,
  );
}
