// Stands between Connect and the handlers: hands them the checked message, holds the deadline, and
// turns whatever they throw into what callers may see.
import type { Message } from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from '@connectrpc/connect';
import { type LogError, toConnectError } from './edge/errors.ts';
import { spanOf } from './edge/rpc-span.ts';

/** What became of a request before Connect saw it. */
export type Reading =
  | { readonly message: Message }
  /** The answer, whatever the handler would say. */
  | { readonly refusal: ConnectError };

const READING = createContextKey<Reading | undefined>(undefined, { description: 'reading' });

export function setReading(values: ContextValues, reading: Reading): void {
  values.set(READING, reading);
}

/** Connect's gate before it reads: refusals leave here, in the form of each protocol. */
export function refusalGate(context: HandlerContext): void {
  const reading = context.values.get(READING);
  if (reading && 'refusal' in reading) throw reading.refusal;
}

export function edgeInterceptor(logError: (error: unknown, rpc: string) => void): Interceptor {
  return (next) => async (req) => {
    const log: LogError = (error) => logError(error, req.method.name);
    try {
      if (req.stream) {
        const answer = await next(req);
        if (!answer.stream) return answer;
        return { ...answer, message: mapped(answer.message, log) };
      }
      const reading = req.contextValues.get(READING);
      const message = reading && 'message' in reading ? reading.message : req.message;
      spanOf(req.contextValues)?.about(message);
      const answer = await beforeDeadline(next({ ...req, message }), req.signal);
      if (!answer.stream) spanOf(req.contextValues)?.about(answer.message);
      return answer;
    } catch (error) {
      const told = toConnectError(error, log);
      spanOf(req.contextValues)?.refused(told);
      throw told;
    }
  };
}

async function* mapped<T>(messages: AsyncIterable<T>, log: LogError): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error, log);
  }
}

/** Connect only tells handlers that their time is over; callers are to hear it in time. */
async function beforeDeadline<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  function onAbort(): void {
    const reason: unknown = signal.reason;
    // Of what else ends a call, a stop of the server is the handler's to decide on.
    if (reason instanceof ConnectError && reason.code === Code.DeadlineExceeded) reject(reason);
  }
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([answer, late]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
