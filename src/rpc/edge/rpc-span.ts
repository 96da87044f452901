// The span of one rpc, as its server sees it: in the caller's trace, or the first of a new one. It carries
// what a request or an answer says of the chat it is about, and nothing else of them.
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, type ConnectError, type ContextValues, createContextKey } from '@connectrpc/connect';
import type { Span, SpanFields, Tracer } from '../../chat/ports/span.ts';
import type { Caller } from './auth.ts';
import type { HttpRequest } from './listener.ts';
import type { WireForm } from './wire-form.ts';

export interface RpcSpan {
  readonly traceparent: string;
  /** What a message of the call tells of its chat. */
  readonly about: (message: object) => void;
  readonly refused: (error: ConnectError) => void;
  readonly end: () => void;
}

export function beginRpcSpan(
  tracer: Tracer,
  method: DescMethod,
  form: WireForm,
  caller: Caller,
  { headers }: HttpRequest,
): RpcSpan {
  const given = headers['traceparent'];
  const name = `${method.parent.typeName}/${method.name}`;
  const span: Span = tracer.begin(typeof given === 'string' ? given : undefined, name, 'server', {
    'rpc.system.name': form.protocol === 'connect' ? 'connectrpc' : 'grpc',
    'rpc.method': name,
    'tailrace.tenant': 'tenant' in caller ? caller.tenant : undefined,
  });
  let code: Code | undefined;
  return {
    traceparent: span.traceparent,
    about: (message) => span.set(chatIn(message)),
    refused: (error) => {
      code = error.code;
    },
    end: () => {
      const said = code === undefined ? 'OK' : wordOf(code);
      span.set({ 'rpc.response.status_code': said });
      span.end(code !== undefined && OURS.has(code) ? said : undefined);
    },
  };
}

const SPAN = createContextKey<RpcSpan | undefined>(undefined, { description: 'span' });

export function setSpan(values: ContextValues, span: RpcSpan): void {
  values.set(SPAN, span);
}

/** Undefined for health and reflection. */
export function spanOf(values: ContextValues): RpcSpan | undefined {
  return values.get(SPAN);
}

/** What the caller has not brought about. */
const OURS: ReadonlySet<Code> = new Set([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** As gRPC spells it, by whichever protocol the call came: INVALID_ARGUMENT. */
function wordOf(code: Code): string {
  if (code === Code.Canceled) return 'CANCELLED';
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

/** Every message of the contract calls these by the same names, or has a part that does. */
function chatIn(message: object): SpanFields {
  const parts = [message, partOf(message, 'request'), partOf(message, 'chatStream')];
  return {
    'tailrace.stream_id': textIn(parts, 'streamId'),
    'tailrace.correlation_id': textIn(parts, 'correlationId'),
  };
}

function partOf(message: object, name: string): object {
  const part: unknown = Reflect.get(message, name);
  return typeof part === 'object' && part !== null ? part : {};
}

function textIn(parts: readonly object[], name: string): string | undefined {
  for (const part of parts) {
    const text: unknown = Reflect.get(part, name);
    if (typeof text === 'string' && text !== '') return text;
  }
  return undefined;
}
