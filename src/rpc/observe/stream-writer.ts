// Writes the answer of a server-streaming call in the form of its protocol: head, frames, and the
// end with or without an error.
import type { Http2ServerResponse } from 'node:http2';
import type { ConnectError } from '@connectrpc/connect';
import * as connect from '@connectrpc/connect/protocol-connect';
import * as grpc from '@connectrpc/connect/protocol-grpc';
import * as grpcWeb from '@connectrpc/connect/protocol-grpc-web';
import { grpcMessage } from '../edge/errors.ts';
import type { HttpResponse } from '../edge/listener.ts';
import { framed } from './observe-frames.ts';
import type { WireForm } from '../edge/wire-form.ts';

interface StreamWriter {
  /** Framed messages. False: write no more until `onceDrained` calls back. */
  write(frames: readonly Uint8Array[]): boolean;
  onceDrained(callback: () => void): void;
  end(error: ConnectError | undefined): void;
}

export function streamWriter(res: HttpResponse, form: WireForm): StreamWriter {
  // Past node's response object for HTTP/2, which costs as much per write as the stream itself.
  const h2 = 'stream' in res ? (res as Http2ServerResponse).stream : undefined;
  const out = h2 ?? res;
  let begun = false;

  function begin(): void {
    if (begun) return;
    begun = true;
    res.writeHead(200, { 'content-type': form.contentType });
  }
  function write(frames: readonly Uint8Array[]): boolean {
    begin();
    // Corked, an HTTP/1.1 response may say that it drained before anybody can listen.
    if (!h2) return out.write(frames.length === 1 && frames[0] ? frames[0] : Buffer.concat(frames));
    h2.cork();
    for (const frame of frames) h2.write(frame);
    h2.uncork();
    return !h2.writableNeedDrain;
  }
  function finish(flags: number, message: Uint8Array): void {
    write([framed(flags, message)]);
    out.end();
  }
  function end(error: ConnectError | undefined): void {
    if (out.destroyed || out.writableEnded) return;
    if (form.protocol === 'connect') {
      const said = JSON.stringify(connect.endStreamToJson(new Headers(), error, undefined));
      finish(connect.endStreamFlag, Buffer.from(said));
      return;
    }
    const status = grpc.setTrailerStatus(new Headers(), error);
    if (error) status.set(grpc.headerGrpcMessage, grpcMessage(error.rawMessage));
    if (form.protocol === 'grpc-web') {
      finish(grpcWeb.trailerFlag, grpcWeb.trailerSerialize(status));
    } else if (begun) {
      res.addTrailers(Object.fromEntries(status));
      out.end();
    } else {
      // A head that is also the trailer: by setHeader, or node sends two header blocks.
      res.statusCode = 200;
      res.setHeader('content-type', form.contentType);
      for (const [name, value] of status) res.setHeader(name, value);
      res.end();
    }
  }
  return {
    write,
    onceDrained: (callback) => {
      out.once('drain', callback);
    },
    end,
  };
}
