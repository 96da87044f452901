// grpc.health.v1: whether this server can do its work now. Open to everybody.
import { Code, ConnectError, type ServiceImpl } from '@connectrpc/connect';
import {
  type Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';

export interface ServingStatus {
  /** False: calls would fail, for example since NATS is away or the server is stopping. */
  current(): boolean;
  /** Calls back after each change until the returned function is called. */
  subscribe(changed: () => void): () => void;
}

/** "" is the server as a whole. */
const SERVICES: readonly string[] = ['', ChatStreamService.typeName];

export function healthService(status: ServingStatus): ServiceImpl<typeof Health> {
  function now(): Serving {
    return status.current() ? Serving.SERVING : Serving.NOT_SERVING;
  }
  return {
    check(request) {
      if (!SERVICES.includes(request.service)) {
        throw new ConnectError(`There is no service "${request.service}".`, Code.NotFound);
      }
      return { status: now() };
    },
    list() {
      const serving = { status: now() };
      return { statuses: Object.fromEntries(SERVICES.map((service) => [service, serving])) };
    },
    async *watch(request, context) {
      const known = SERVICES.includes(request.service);
      let wake = Promise.withResolvers<void>();
      function changed(): void {
        wake.resolve();
      }
      const unsubscribe = status.subscribe(changed);
      context.signal.addEventListener('abort', changed);
      try {
        for (let said: Serving | undefined; ;) {
          context.signal.throwIfAborted();
          wake = Promise.withResolvers();
          // The protocol wants an unknown service to be watched too: it may come to be.
          const serving = known ? now() : Serving.SERVICE_UNKNOWN;
          if (serving !== said) yield { status: serving };
          else await wake.promise;
          said = serving;
        }
      } finally {
        unsubscribe();
        context.signal.removeEventListener('abort', changed);
      }
    },
  };
}
