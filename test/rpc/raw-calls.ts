// Calls of which a test chooses the bytes, and how what is refused is read.
import { once } from 'node:events';
import http2 from 'node:http2';
import { fromBinary } from '@bufbuild/protobuf';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { definitionOf, saying } from './edge.ts';

export const INITIATE = definitionOf(ChatStreamService.method.initiateChatStream);
export const OBSERVE = definitionOf(ChatStreamService.method.observeChatStream);
export const HI = saying('hi');
export const HI_JSON = '{"request":{"messages":[{"role":"ROLE_USER","content":[{"text":"hi"}]}]}}';

export interface JsonError {
  readonly code: string;
  readonly message: string;
  readonly details?: readonly {
    readonly debug: {
      readonly reason?: string;
      readonly fieldViolations?: readonly { field: string }[];
    };
  }[];
}

export function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  type = 'application/json',
  more = {},
) {
  const headers = { 'content-type': type, ...more };
  return fetch(url + INITIATE.path, { method: 'POST', headers, body });
}

export async function refused(
  answer: Response,
): Promise<JsonError & { reason: string | undefined }> {
  const error = (await answer.json()) as JsonError;
  return { ...error, reason: error.details?.[0]?.debug.reason };
}

export function framed(message: Uint8Array, flags = 0, length = message.byteLength): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** A gRPC call of which every byte is chosen; gives its status and reason. */
export async function rawGrpc(url: string, path: string, body: Uint8Array, more = {}) {
  const session = http2.connect(url, { maxSessionMemory: 100 });
  const call = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...more,
  });
  let head: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  call.on('response', (headers: http2.IncomingHttpHeaders) => {
    head = headers;
  });
  call.on('trailers', (headers: http2.IncomingHttpHeaders) => {
    trailers = headers;
  });
  call.on('error', () => {});
  call.end(body);
  call.resume();
  await once(call, 'close');
  session.close();
  const said = { ...head, ...trailers };
  const details = said['grpc-status-details-bin'];
  const status = details
    ? fromBinary(StatusSchema, Buffer.from(String(details), 'base64'))
    : undefined;
  const info = status?.details[0] && fromBinary(ErrorInfoSchema, status.details[0].value);
  return { http: said[':status'], status: Number(said['grpc-status']), reason: info?.reason, said };
}
