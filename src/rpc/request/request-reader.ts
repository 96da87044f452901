// One way for every rpc and protocol from an http request to a checked message: size, time,
// frame, compression, form, unknown fields, rules.
import type { DescMessage, DescMethod, JsonValue, MessageShape } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { Code, ConnectError } from '@connectrpc/connect';
import { compressionBrotli, compressionGzip } from '@connectrpc/connect-node';
import { compressedFlag, compressionNegotiate } from '@connectrpc/connect/protocol';
import * as connect from '@connectrpc/connect/protocol-connect';
import * as grpc from '@connectrpc/connect/protocol-grpc';
import * as grpcWeb from '@connectrpc/connect/protocol-grpc-web';
import { MAX_REQUEST_BYTES } from '../../chat/limits.ts';
import { malformedRequest, requestTooLarge } from '../edge/errors.ts';
import type { HttpRequest } from '../edge/listener.ts';
import { onlyFrame, readBody } from './request-body.ts';
import { messageFromBinary, messageFromJson } from './request-checks.ts';
import { boundBinaryValues, boundJsonValues } from './request-values.ts';
import { connectForm, type WireForm } from '../edge/wire-form.ts';

/** What setTimeout can wait; a longer deadline is none. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export const COMPRESSIONS = [compressionGzip, compressionBrotli];

/** How long the caller is willing to wait, from now; undefined: as long as it takes. */
export function timeoutMsOf(req: HttpRequest, form: WireForm): number | undefined {
  const name = form.protocol === 'connect' ? connect.headerTimeout : grpc.headerTimeout;
  const parse = form.protocol === 'connect' ? connect.parseTimeout : grpc.parseTimeout;
  const { timeoutMs, error } = parse(header(req, name), Number.MAX_SAFE_INTEGER);
  if (error) throw malformedRequest(`The header ${name} is no timeout: ${error.rawMessage}`);
  return timeoutMs;
}

export async function readRequest<I extends DescMessage>(
  method: DescMethod & { readonly input: I },
  req: HttpRequest,
  form: WireForm,
): Promise<MessageShape<I>> {
  const { body, encoding, compressed } =
    req.method === 'GET' ? fromQuery(req) : await fromBody(req, form);
  const { request: compression, error } = compressionNegotiate(
    COMPRESSIONS,
    encoding,
    null,
    'accept-encoding',
  );
  if (error) throw error;
  let data = body;
  if (compressed) {
    if (!compression) {
      const sentence = 'The message is marked as compressed and no header says how.';
      throw brokenCall(form, Code.Internal, sentence);
    }
    data = await decompressed(compression, body);
  }
  if (data.byteLength > MAX_REQUEST_BYTES) throw requestTooLarge();
  if (form.binary) {
    boundBinaryValues(method.input, data);
    return messageFromBinary(method.input, data);
  }
  boundJsonValues(data);
  return messageFromJson(method.input, parsedJson(data));
}

interface Payload {
  readonly body: Uint8Array;
  readonly encoding: string | null;
  readonly compressed: boolean;
}

async function fromBody(req: HttpRequest, form: WireForm): Promise<Payload> {
  const bytes = await readBody(req, {
    maxBytes: MAX_REQUEST_BYTES,
    framed: form.framed,
    deadlineMs: timeoutMsOf(req, form),
  });
  if (!form.framed) {
    const encoding = header(req, connect.headerUnaryEncoding);
    return { body: bytes, encoding, compressed: encoding !== null && encoding !== 'identity' };
  }
  const isConnect = form.protocol === 'connect';
  const encoding = header(req, isConnect ? connect.headerStreamEncoding : grpc.headerEncoding);
  const trailing = { grpc: 0, 'grpc-web': grpcWeb.trailerFlag, connect: connect.endStreamFlag };
  const { flags, data } = onlyFrame(bytes, trailing[form.protocol], (sentence) =>
    brokenCall(form, Code.Unimplemented, sentence),
  );
  return { body: data, encoding, compressed: (flags & compressedFlag) !== 0 };
}

/** gRPC has codes of its own for calls that are not what its method takes, and sends them bare. */
function brokenCall(form: WireForm, grpcCode: Code, sentence: string): Error {
  return form.protocol === 'connect'
    ? malformedRequest(sentence)
    : new ConnectError(sentence, grpcCode);
}

/** Connect's GET for rpcs without side effects. */
function fromQuery(req: HttpRequest): Payload {
  const query = queryOf(req);
  const message = query.get('message') ?? '';
  const encoding = query.get('compression');
  let body: Uint8Array;
  try {
    body = query.get('base64') === '1' ? base64Decode(message) : Buffer.from(message);
  } catch {
    throw malformedRequest('The query’s message is not base64.');
  }
  return { body, encoding, compressed: encoding !== null && encoding !== 'identity' };
}

/** The form of a GET, which has no content type; undefined if its query does not say it. */
export function formOfQuery(req: HttpRequest): WireForm | undefined {
  const encoding = queryOf(req).get('encoding');
  if (encoding !== 'json' && encoding !== 'proto') return undefined;
  return connectForm(false, encoding === 'proto');
}

function queryOf(req: HttpRequest): URLSearchParams {
  const url = req.url ?? '';
  const mark = url.indexOf('?');
  return new URLSearchParams(mark < 0 ? '' : url.slice(mark));
}

async function decompressed(
  compression: typeof compressionGzip,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  try {
    return await compression.decompress(bytes, MAX_REQUEST_BYTES);
  } catch (error) {
    if (ConnectError.from(error).code === Code.ResourceExhausted) throw requestTooLarge();
    throw malformedRequest(`The message cannot be decompressed as ${compression.name}.`);
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function parsedJson(bytes: Uint8Array): JsonValue {
  if (bytes.byteLength === 0) {
    throw malformedRequest('The body is empty; the smallest message in JSON is {}.');
  }
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch {
    throw malformedRequest('The body is not UTF-8.');
  }
  try {
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    // Only the place: the rest of the engine's words would repeat what the user wrote.
    const at = /at position \d+( \(line \d+ column \d+\))?/.exec(String(error))?.[0];
    throw malformedRequest(`The body is not JSON${at ? `: it breaks ${at}` : ''}.`);
  }
}

function header(req: HttpRequest, name: string): string | null {
  const value = req.headers[name.toLowerCase()];
  return typeof value === 'string' ? value : null;
}
