// The service that Connect's conformance suite calls: it answers what the request says is to be answered.
import { create, createRegistry } from '@bufbuild/protobuf';
import { type Any, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import {
  type Code,
  ConnectError,
  type HandlerContext,
  type ServiceImpl,
} from '@connectrpc/connect';
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  type ConformanceService,
  type Error as ToldError,
  type Header,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from '../gen/connectrpc/conformance/v1/service_pb.ts';

const DETAILS = createRegistry(ConformancePayload_RequestInfoSchema);

/** What its answers hold as Any. */
export const HELD = createRegistry(
  UnaryRequestSchema,
  IdempotentUnaryRequestSchema,
  ClientStreamRequestSchema,
  ServerStreamRequestSchema,
  BidiStreamRequestSchema,
);

export const conformanceService: Omit<ServiceImpl<typeof ConformanceService>, 'unimplemented'> = {
  unary: (request, context) => {
    return unary(request.responseDefinition, [anyPack(UnaryRequestSchema, request)], context);
  },
  idempotentUnary: (request, context) => {
    const packed = anyPack(IdempotentUnaryRequestSchema, request);
    return unary(request.responseDefinition, [packed], context);
  },
  clientStream: async (requests, context) => {
    let asked: UnaryResponseDefinition | undefined;
    const packed: Any[] = [];
    for await (const request of requests) {
      asked ??= request.responseDefinition;
      packed.push(anyPack(ClientStreamRequestSchema, request));
    }
    return unary(asked, packed, context);
  },
  serverStream: async function* (request, context) {
    const packed = anyPack(ServerStreamRequestSchema, request);
    tellHeaders(request.responseDefinition, context);
    yield* rest(request.responseDefinition, 0, [packed], context);
  },
  bidiStream: async function* (requests, context) {
    let asked: StreamResponseDefinition | undefined;
    let inTurn = false;
    let answered = 0;
    let waiting: Any[] = [];
    for await (const request of requests) {
      if (asked === undefined) {
        asked = request.responseDefinition;
        inTurn = request.fullDuplex;
        tellHeaders(asked, context);
      }
      waiting.push(anyPack(BidiStreamRequestSchema, request));
      if (!inTurn) continue;
      const data = asked?.responseData[answered];
      if (data === undefined) break;
      await delay(asked?.responseDelayMs);
      yield { payload: { data, requestInfo: infoOf(context, waiting) } };
      answered++;
      waiting = [];
    }
    yield* rest(asked, answered, waiting, context);
  },
};

async function unary(
  asked: UnaryResponseDefinition | undefined,
  requests: readonly Any[],
  context: HandlerContext,
) {
  tellHeaders(asked, context);
  await delay(asked?.responseDelayMs);
  const requestInfo = infoOf(context, requests);
  const { response } = asked ?? {};
  if (response?.case === 'error') throw errorOf(response.value, requestInfo);
  const data = response?.case === 'responseData' ? response.value : new Uint8Array();
  return { payload: { requestInfo, data } };
}

/** What is still to be answered when no more is asked, and the error at its end. */
async function* rest(
  asked: StreamResponseDefinition | undefined,
  answered: number,
  requests: readonly Any[],
  context: HandlerContext,
) {
  const requestInfo = infoOf(context, requests);
  for (const [i, data] of (asked?.responseData ?? []).entries()) {
    if (i < answered) continue;
    await delay(asked?.responseDelayMs);
    yield { payload: i === 0 ? { data, requestInfo } : { data } };
  }
  if (!asked?.error) return;
  throw errorOf(asked.error, asked.responseData.length === 0 ? requestInfo : undefined);
}

function infoOf(context: HandlerContext, requests: readonly Any[]): ConformancePayload_RequestInfo {
  const timeoutMs = context.timeoutMs();
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: Array.from(context.requestHeader, ([name, value]) => ({
      name,
      value: [value],
    })),
    requests: [...requests],
    ...(timeoutMs === undefined ? {} : { timeoutMs: BigInt(Math.trunc(timeoutMs)) }),
  });
}

function tellHeaders(
  asked: Pick<UnaryResponseDefinition, 'responseHeaders' | 'responseTrailers'> | undefined,
  { responseHeader, responseTrailer }: HandlerContext,
): void {
  append(responseHeader, asked?.responseHeaders);
  append(responseTrailer, asked?.responseTrailers);
}

function append(to: Headers, headers: readonly Header[] = []): void {
  for (const { name, value } of headers) for (const one of value) to.append(name, one);
}

function errorOf(told: ToldError, info: ConformancePayload_RequestInfo | undefined): ConnectError {
  const desc = ConformancePayload_RequestInfoSchema;
  const given = told.details.map((detail) => anyUnpack(detail, DETAILS));
  const values = [...given, info].filter((value) => value !== undefined);
  const details = values.map((value) => ({ desc, value: value as ConformancePayload_RequestInfo }));
  return new ConnectError(told.message ?? '', told.code as unknown as Code, undefined, details);
}

async function delay(ms = 0): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
