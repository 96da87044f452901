// Clients as users have them: connect-node in every protocol, form and version of HTTP, and grpc-js,
// which shares no code with the server, behind the same interface.
import { create, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { DescMethodStreaming, DescMethodUnary, MessageInitShape } from '@bufbuild/protobuf';
import type { Client, Interceptor, Transport } from '@connectrpc/connect';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';

export type ChatClient = Client<typeof ChatStreamService>;

export interface ClientOptions {
  /** Sent as Authorization: Bearer. */
  readonly token?: string;
}

export interface Way {
  readonly name: string;
  readonly transport: (url: string, options?: ClientOptions) => Transport & Disposable;
}

function withToken(token: string | undefined): Interceptor[] {
  if (token === undefined) return [];
  return [
    (next) => (request) => {
      request.header.set('authorization', `Bearer ${token}`);
      return next(request);
    },
  ];
}

const FACTORIES = {
  gRPC: createGrpcTransport,
  'gRPC-Web': createGrpcWebTransport,
  Connect: createConnectTransport,
} as const;

function connectWays(): Way[] {
  const ways: Way[] = [];
  for (const [protocol, factory] of Object.entries(FACTORIES)) {
    for (const httpVersion of ['1.1', '2'] as const) {
      for (const useBinaryFormat of [true, false]) {
        const form = useBinaryFormat ? 'proto' : 'JSON';
        ways.push({
          name: `${protocol}, ${form}, HTTP/${httpVersion}`,
          transport: (baseUrl, { token } = {}) => ({
            ...factory({ baseUrl, httpVersion, useBinaryFormat, interceptors: withToken(token) }),
            // Its sockets go with the server's.
            [Symbol.dispose]: () => undefined,
          }),
        });
      }
    }
  }
  return ways;
}

const GRPC_JS: Way = { name: 'grpc-js', transport: grpcJsTransport };

export const WAYS: readonly Way[] = [...connectWays(), GRPC_JS];

/** One of each protocol: where the version of HTTP makes no difference. */
export const PROTOCOLS: readonly Way[] = WAYS.filter(({ name }) =>
  [
    'Connect, JSON, HTTP/1.1',
    'Connect, proto, HTTP/2',
    'gRPC-Web, proto, HTTP/1.1',
    'grpc-js',
  ].includes(name),
);

export function chatClient(
  way: Way,
  url: string,
  options?: ClientOptions,
): ChatClient & Disposable {
  const transport = way.transport(url, options);
  return Object.assign(createClient(ChatStreamService, transport), {
    [Symbol.dispose]: () => transport[Symbol.dispose](),
  });
}

/** What most tests call by: gRPC over HTTP/2. */
export function grpcClient(url: string, options: ClientOptions = {}): ChatClient {
  const interceptors = withToken(options.token);
  return createClient(ChatStreamService, createGrpcTransport({ baseUrl: url, interceptors }));
}

export function grpcJsTransport(url: string, options: ClientOptions = {}): Transport & Disposable {
  const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    // A test that restarts its server does not wait for a backoff of seconds.
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 200,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  function metadata(): grpc.Metadata {
    const made = new grpc.Metadata();
    if (options.token !== undefined) made.set('authorization', `Bearer ${options.token}`);
    return made;
  }
  return {
    unary: (method, signal, timeoutMs, _header, input) => {
      return new Promise((done, fail) => {
        const call = client.makeUnaryRequest(
          pathOf(method),
          serializerOf(method),
          deserializerOf(method),
          create(method.input, input),
          metadata(),
          deadline(timeoutMs),
          (error, message) => {
            if (error !== null) fail(toConnectError(error));
            else if (message === undefined) fail(new Error('no answer and no error'));
            else {
              const { parent: service } = method;
              const header = new Headers();
              const trailer = new Headers();
              done({ stream: false, service, method, header, trailer, message });
            }
          },
        );
        signal?.addEventListener('abort', () => call.cancel(), { once: true });
      });
    },
    stream: async (method, signal, timeoutMs, _header, inputs) => {
      const input = await firstOf(inputs);
      const call = client.makeServerStreamRequest(
        pathOf(method),
        serializerOf(method),
        deserializerOf(method),
        create(method.input, input),
        metadata(),
        deadline(timeoutMs),
      );
      signal?.addEventListener('abort', () => call.cancel(), { once: true });
      const { parent: service } = method;
      const message = messagesOf(call);
      const header = new Headers();
      const trailer = new Headers();
      return { stream: true, service, method, header, trailer, message };
    },
    [Symbol.dispose]: () => client.close(),
  };
}

type Method<I extends DescMessage, O extends DescMessage> =
  | DescMethodUnary<I, O>
  | DescMethodStreaming<I, O>;

function pathOf(method: Method<DescMessage, DescMessage>): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function serializerOf<I extends DescMessage>(method: Method<I, DescMessage>) {
  return (message: MessageInitShape<I>) =>
    Buffer.from(toBinary(method.input, create(method.input, message)));
}

function deserializerOf<O extends DescMessage>(method: Method<DescMessage, O>) {
  return (bytes: Buffer) => fromBinary(method.output, bytes);
}

function deadline(timeoutMs: number | undefined): grpc.CallOptions {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

async function firstOf<T>(inputs: AsyncIterable<T>): Promise<T> {
  for await (const input of inputs) return input;
  throw new Error('a call without a request');
}

async function* messagesOf<T>(call: grpc.ClientReadableStream<T>): AsyncGenerator<T> {
  try {
    for await (const message of call as AsyncIterable<T>) yield message;
  } catch (error) {
    throw isServiceError(error) ? toConnectError(error) : error;
  } finally {
    call.cancel();
  }
}

function isServiceError(error: unknown): error is grpc.ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}

const CODES = Object.values(Code).filter((code) => typeof code === 'number');

function toConnectError(error: grpc.ServiceError): ConnectError {
  // The numbers are the same in both.
  const code = CODES.find((each) => String(each) === String(error.code));
  const made = new ConnectError(error.details, code);
  const [status] = error.metadata.get('grpc-status-details-bin');
  if (status instanceof Buffer) {
    made.details = fromBinary(StatusSchema, status).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
      value,
    }));
  }
  return made;
}
