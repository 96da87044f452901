// The edge of the server with handlers made for a test, on a real port, and the clients that call it.
import assert from 'node:assert/strict';
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { Client, Transport } from '@connectrpc/connect';
import { ConnectError, createClient } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import * as grpcJs from '@grpc/grpc-js';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  ChatStreamService,
  InitiateChatStreamResponseSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { EventBatchSchema } from '../../gen/tailrace/v1/event_pb.ts';
import type { ChatError } from '../../src/chat/errors.ts';
import { UNTRACED } from '../../src/chat/ports/span.ts';
import { ONE_TENANT, tenantOf } from '../../src/rpc/edge/auth.ts';
import type { ChatStreamHandlers } from '../../src/rpc/connect-routes.ts';
import { createHttpHandler, type HttpHandlerOptions } from '../../src/rpc/http-handler.ts';
import { type Listener, listen } from '../../src/rpc/edge/listener.ts';
import { batchFrame, type Frame } from '../../src/rpc/observe/observe-frames.ts';
import type { ObserveSource } from '../../src/rpc/observe/observe-wire.ts';

export interface Edge extends AsyncDisposable {
  readonly url: string;
  readonly listener: Listener;
  readonly shutdown: AbortController;
  readonly logged: unknown[];
}

export const HANDLERS: ChatStreamHandlers = {
  initiateChatStream(request, context) {
    return create(InitiateChatStreamResponseSchema, {
      streamId: request.streamId ?? 'made',
      message: tenantOf(context.values),
      status: ChatStreamStatus.PENDING,
      created: true,
    });
  },
  getChatStream: (request) => ({ chatStream: { streamId: request.streamId } }),
};

export async function startEdge(more: Partial<HttpHandlerOptions> = {}): Promise<Edge> {
  const logged: unknown[] = [];
  const shutdown = new AbortController();
  const handler = createHttpHandler({
    handlers: HANDLERS,
    observe: () => Promise.reject(new Error('not in this test')),
    tenants: ONE_TENANT,
    tracer: UNTRACED,
    serving: { current: () => true, subscribe: () => () => {} },
    corsOrigins: [],
    onRefusedOrigin: () => undefined,
    page: undefined,
    logError: (error) => logged.push(error),
    shutdownSignal: shutdown.signal,
    ...more,
  });
  const logError = (error: unknown) => logged.push(error);
  const listener = await listen({ host: '127.0.0.1', port: 0, handler, logError });
  return {
    url: listener.url,
    listener,
    shutdown,
    logged,
    [Symbol.asyncDispose]: () => listener.close(0),
  };
}

export interface Way {
  readonly name: string;
  client(url: string): Client<typeof ChatStreamService>;
}

function ways(): readonly Way[] {
  const made: Way[] = [];
  function add(name: string, transport: (baseUrl: string) => Transport): void {
    made.push({ name, client: (url) => createClient(ChatStreamService, transport(url)) });
  }
  for (const httpVersion of ['1.1', '2'] as const) {
    for (const useBinaryFormat of [true, false]) {
      const form = `${useBinaryFormat ? 'proto' : 'json'} over HTTP/${httpVersion}`;
      const options = { httpVersion, useBinaryFormat };
      // gRPC is HTTP/2 alone.
      if (httpVersion === '2') {
        add(`gRPC, ${form}`, (baseUrl) => createGrpcTransport({ baseUrl, useBinaryFormat }));
      }
      add(`gRPC-Web, ${form}`, (baseUrl) => createGrpcWebTransport({ baseUrl, ...options }));
      add(`Connect, ${form}`, (baseUrl) => createConnectTransport({ baseUrl, ...options }));
    }
  }
  return made;
}

/** Every protocol, form and version of HTTP that connect-node speaks. */
export const WAYS = ways();

/** A client by the independent grpc-js; `call` gives bytes, so that they can be compared. */
export function grpcJsClient(url: string): grpcJs.Client {
  return new grpcJs.Client(new URL(url).host, grpcJs.credentials.createInsecure());
}

export function definitionOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (value: Uint8Array) => Buffer.from(value),
    deserialize: (bytes: Buffer) => new Uint8Array(bytes),
    encode: (value: MessageInitShape<I>) => toBinary(method.input, create(method.input, value)),
    decode: (bytes: Uint8Array) => fromBinary(method.output, bytes),
  };
}

export function saying(text: string): MessageInitShape<typeof ChatRequestSchema> {
  return { messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: text } }] }] };
}

export interface TestSource extends ObserveSource {
  readonly closed: Promise<void>;
  push(...frames: Frame[]): void;
  finish(error?: ChatError): void;
  /** Frames that were pulled. */
  readonly taken: number;
}

export function testSource(frames: readonly Frame[] = []): TestSource {
  const waiting = [...frames];
  const closed = Promise.withResolvers<void>();
  let end: { error?: ChatError } | undefined;
  let ready: (() => void) | undefined;
  let taken = 0;
  function wake(): void {
    const call = ready;
    ready = undefined;
    call?.();
  }
  return {
    correlationId: '',
    closed: closed.promise,
    get taken() {
      return taken;
    },
    get end() {
      return waiting.length === 0 ? end : undefined;
    },
    next() {
      const frame = waiting.shift();
      if (frame) taken += 1;
      return frame;
    },
    onReady(callback) {
      ready = callback;
    },
    close: () => closed.resolve(),
    push(...more) {
      waiting.push(...more);
      wake();
    },
    finish(error) {
      end = error ? { error } : {};
      wake();
    },
  };
}

/** A batch of one text delta, as it lies in the log. */
export function record(sequence: number, text = 'word'): Uint8Array {
  return toBinary(
    EventBatchSchema,
    create(EventBatchSchema, {
      events: [
        {
          sequence,
          attempt: 1,
          time: timestampFromMs(1_790_000_000_000 + sequence),
          payload: { case: 'textDelta', value: { index: 0, text } },
        },
      ],
    }),
  );
}

export function frame(sequence: number, text?: string): Frame {
  return batchFrame([record(sequence, text)], 1_790_000_000_123.25, 1_790_000_000_124);
}

/** For calls that must fail: `call.then(unexpected, connectError)`. */
export function unexpected(value: unknown): never {
  assert.fail(`an error was expected, not ${JSON.stringify(value)}`);
}

export function connectError(error: unknown): ConnectError {
  return ConnectError.from(error);
}
