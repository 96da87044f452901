// The rpcs that Connect answers: the contract's, health and reflection, each behind the edge's interceptor.
import type { DescMethod, Registry } from '@bufbuild/protobuf';
import { type ConnectRouter, createConnectRouter, type ServiceImpl } from '@connectrpc/connect';
import { file_google_rpc_error_details } from '../../gen/google/rpc/error_details_pb.ts';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { file_tailrace_v1_error } from '../../gen/tailrace/v1/error_pb.ts';
import { ChatError } from '../chat/errors.ts';
import { MAX_CONTROL_REQUEST_BYTES } from '../chat/limits.ts';
import { toConnectError } from './edge/errors.ts';
import { healthService, type ServingStatus } from './health.ts';
import { edgeInterceptor, refusalGate } from './interceptor.ts';
import { shuttingDown } from './observe/observe-wire.ts';
import { descriptorIndex, reflectionV1, reflectionV1Alpha } from './reflection.ts';
import { COMPRESSIONS } from './request/request-reader.ts';

/** The handlers there are; rpcs without one answer UNIMPLEMENTED. They throw ChatErrors. */
export type ChatStreamHandlers = Partial<
  Omit<ServiceImpl<typeof ChatStreamService>, 'observeChatStream'>
>;

export interface RouteOptions {
  readonly handlers: ChatStreamHandlers;
  readonly serving: ServingStatus;
  /** Services beside these, and what their messages hold as Any: for the protocols' conformance suite. */
  readonly more?: {
    readonly register: (router: ConnectRouter) => void;
    readonly registry: Registry;
  };
  /** Gets defects and causes, which callers are not told, and the rpc's name. */
  readonly logError: (error: unknown, rpc: string) => void;
  /** Ends observations and watches, and aborts the handlers' signals. */
  readonly shutdownSignal: AbortSignal;
}

export type Route = ConnectRouter['handlers'][number];

export function connectRoutes(options: RouteOptions): readonly Route[] {
  const stopping = new AbortController();
  function stop(): void {
    stopping.abort(toConnectError(shuttingDown(), () => {}));
  }
  if (options.shutdownSignal.aborted) stop();
  options.shutdownSignal.addEventListener('abort', stop);
  const router = createConnectRouter({
    acceptCompression: COMPRESSIONS,
    interceptors: [edgeInterceptor(options.logError)],
    requestGate: refusalGate,
    shutdownSignal: stopping.signal,
    readMaxBytes: MAX_CONTROL_REQUEST_BYTES,
    ...(options.more && { jsonOptions: { registry: options.more.registry } }),
  });
  const index = descriptorIndex(
    [ChatStreamService, Health, ServerReflection, ServerReflectionV1Alpha],
    [file_google_rpc_error_details, file_tailrace_v1_error],
  );
  router
    .service(ChatStreamService, { ...unimplemented(), ...options.handlers })
    .service(Health, healthService(options.serving))
    .service(ServerReflection, reflectionV1(index))
    .service(ServerReflectionV1Alpha, reflectionV1Alpha(index));
  options.more?.register(router);
  return router.handlers;
}

/** Answers the rpcs of the contract that have no handler yet. */
function unimplemented(): ServiceImpl<typeof ChatStreamService> {
  function refuse(method: DescMethod) {
    return () => {
      throw new ChatError(
        'NOT_IMPLEMENTED',
        `${method.name} is in the contract and not in this server yet.`,
      );
    };
  }
  const made = ChatStreamService.methods.map((method) => [method.localName, refuse(method)]);
  return Object.fromEntries(made) as ServiceImpl<typeof ChatStreamService>;
}
