// Every request's way: CORS, front page, path, method, content type, token, body, and then Connect
// or, for ObserveChatStream, the frame writer of its own.
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError, createContextValues } from '@connectrpc/connect';
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node';
import { createAsyncIterable } from '@connectrpc/connect/protocol';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Tracer } from '../chat/ports/span.ts';
import { type Caller, setTenant, type Tenants } from './edge/auth.ts';
import { applyCors, tellOnce } from './edge/cors.ts';
import { connectRoutes, type Route, type RouteOptions } from './connect-routes.ts';
import { callerGone, callerLeft, grpcMessage, toConnectError } from './edge/errors.ts';
import { setReading } from './interceptor.ts';
import type { HttpHandler, HttpRequest, HttpResponse } from './edge/listener.ts';
import { handleObserve, type OpenObserve } from './observe/observe-wire.ts';
import { type Page, servePage } from './edge/page.ts';
import {
  badRequest,
  frontPage,
  unknownPath,
  wrongContentType,
  wrongMethod,
  wrongQuery,
} from './edge/plain-answers.ts';
import { dropBody } from './request/request-body.ts';
import { warmUpChecks } from './request/request-checks.ts';
import { beginRpcSpan, type RpcSpan, setSpan } from './edge/rpc-span.ts';
import { formOfQuery, MAX_TIMER_MS, readRequest, timeoutMsOf } from './request/request-reader.ts';
import { allowsGet, type WireForm, wireForm } from './edge/wire-form.ts';

export interface HttpHandlerOptions extends RouteOptions {
  readonly observe: OpenObserve;
  readonly tenants: Tenants;
  readonly tracer: Tracer;
  readonly corsOrigins: readonly string[];
  /** A page of this origin wanted to call, and may not; told of each once. */
  readonly onRefusedOrigin: (origin: string) => void;
  /** What browsers get at `/`. */
  readonly page: Page | undefined;
}

export function createHttpHandler(options: HttpHandlerOptions): HttpHandler {
  const { tenants, tracer, page, logError, shutdownSignal } = options;
  const routes = new Map(connectRoutes(options).map((route) => [route.requestPath, route]));
  const observePath = `/${ChatStreamService.typeName}/${ChatStreamService.method.observeChatStream.name}`;
  const observeDeps = {
    open: options.observe,
    logError: (error: unknown) => logError(error, 'ObserveChatStream'),
    shutdownSignal,
  };
  warmUpChecks(ChatStreamService.methods.map((method) => method.input));

  const refused = tellOnce(options.onRefusedOrigin);
  return function handle(req, res) {
    if (applyCors(req, res, options.corsOrigins, refused)) return;
    const path = (req.url ?? '').split('?', 1)[0] ?? '';
    const route = routes.get(path);
    if (!route) {
      if (page !== undefined && servePage(page, req, res)) return;
      if (path === '/' && (req.method === 'GET' || req.method === 'HEAD')) frontPage(req, res);
      else unknownPath(req, res);
      dropBody(req);
      return;
    }
    const form = formOf(route.method, req, res);
    if (!form) {
      dropBody(req);
      return;
    }
    if (req.method === 'GET') res.setHeader('cache-control', 'no-store');
    const caller = route.service === Health ? ANYBODY : callerOf(tenants, req);
    continueBody(req, res, caller);
    const span =
      route.service === ChatStreamService
        ? beginRpcSpan(tracer, route.method, form, caller, req)
        : undefined;
    if (path === observePath && span) void handleObserve(req, res, form, caller, span, observeDeps);
    else void handleByConnect(route, form, caller, span, req, res, logError);
  };
}

/** Undefined: answered, since the rpc cannot be called like this. */
function formOf(method: DescMethod, req: HttpRequest, res: HttpResponse): WireForm | undefined {
  const isGet = req.method === 'GET' && allowsGet(method);
  if (!isGet && req.method !== 'POST') {
    wrongMethod(method, res);
    return undefined;
  }
  const form = isGet ? formOfQuery(req) : wireForm(method, req.headers['content-type']);
  if (!form) (isGet ? wrongQuery : wrongContentType)(method, res);
  return form;
}

/** Watches and reflection are read by Connect; and probes may say more than this server knows. */
function readsItself({ method, service }: Route): boolean {
  return method.methodKind === 'unary' && service !== Health;
}

/** Health is open: who asks has no tenant. */
const ANYBODY: Caller = { tenant: '' };

function callerOf(tenants: Tenants, req: HttpRequest): Caller {
  try {
    return { tenant: tenants.tenantOf(req.headers.authorization) };
  } catch (refusal) {
    return { refusal };
  }
}

/** A body that waits to be asked for is asked for once its caller is known. */
function continueBody(req: HttpRequest, res: HttpResponse, caller: Caller): void {
  if (req.headers.expect?.toLowerCase() !== '100-continue') return;
  if ('tenant' in caller) res.writeContinue();
  else if (!('stream' in req)) res.setHeader('connection', 'close');
}

async function handleByConnect(
  route: Route,
  form: WireForm,
  caller: Caller,
  span: RpcSpan | undefined,
  req: HttpRequest,
  res: HttpResponse,
  logError: HttpHandlerOptions['logError'],
): Promise<void> {
  const values = createContextValues();
  if (span) {
    setSpan(values, span);
    // Connect's own promise of the answer never resolves.
    res.once('close', () => {
      if (!res.writableEnded) span.refused(callerGone());
      span.end();
    });
  }
  const log = (error: unknown) => logError(error, route.method.name);
  try {
    let call = requestOf(req, res, values);
    if (!call) {
      badRequest(res);
      return;
    }
    try {
      if ('refusal' in caller) throw caller.refusal;
      setTenant(values, caller.tenant);
      if ((timeoutMsOf(req, form) ?? 0) > MAX_TIMER_MS) {
        call.header.delete('grpc-timeout');
        call.header.delete('connect-timeout-ms');
      }
      if (readsItself(route)) {
        setReading(values, { message: await readRequest(route.method, req, form) });
        call = withoutBody(call, form);
      }
    } catch (error) {
      const refusal = toConnectError(error, log);
      span?.refused(refusal);
      setReading(values, { refusal });
      call = withoutBody(call, form);
      // At once: who is still sending takes in the answer when the body is through.
      dropBody(req);
    }
    if (call.signal.aborted) return;
    const answer = await route(call);
    await universalResponseToNodeResponse(withReadableMessage(answer), res);
  } catch (error) {
    // The caller left while it was answered.
    if (ConnectError.from(error).code !== Code.Aborted && !callerLeft(error)) log(error);
  } finally {
    dropBody(req);
  }
}

type UniversalResponse = Awaited<ReturnType<Route>>;

/** The trailer of a stream is what it is only when its body is through: it is looked at then. */
function withReadableMessage(answer: UniversalResponse): UniversalResponse {
  const { trailer } = answer;
  if (trailer === undefined) return answer;
  return {
    ...answer,
    get trailer() {
      const said = trailer.get('grpc-message');
      if (said) trailer.set('grpc-message', grpcMessage(decodeURIComponent(said)));
      return trailer;
    },
  };
}

type UniversalRequest = ReturnType<typeof universalRequestFromNodeRequest>;

function requestOf(
  req: HttpRequest,
  res: HttpResponse,
  values: ReturnType<typeof createContextValues>,
): UniversalRequest | undefined {
  try {
    return universalRequestFromNodeRequest(req, res, undefined, values);
  } catch {
    return undefined;
  }
}

/** The message is read already: Connect gets an empty one in its place. */
function withoutBody(call: UniversalRequest, form: WireForm): UniversalRequest {
  for (const name of ['content-length', 'content-encoding', 'grpc-encoding']) {
    call.header.delete(name);
  }
  const url = new URL(call.url);
  if (call.method === 'GET') {
    url.search = form.binary ? '?encoding=proto&message=' : '?encoding=json&message=%7B%7D';
  }
  const message = form.binary ? [] : [0x7b, 0x7d];
  const body = form.framed ? [0, 0, 0, 0, message.length, ...message] : message;
  return { ...call, url: url.href, body: createAsyncIterable([Uint8Array.from(body)]) };
}
