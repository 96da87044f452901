// ObserveChatStream from the request's bytes to the last frame, without Connect: fifty observers of
// a chat get the same bytes, and none has anything buffered but what its socket holds.
import type { ConnectError } from '@connectrpc/connect';
import {
  ChatStreamService,
  type ObserveChatStreamRequest,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../../chat/errors.ts';
import type { Caller } from '../edge/auth.ts';
import { callerGone, type LogError, toConnectError } from '../edge/errors.ts';
import type { HttpRequest, HttpResponse } from '../edge/listener.ts';
import type { Frame } from './observe-frames.ts';
import { deadlineExceeded, dropBody } from '../request/request-body.ts';
import { MAX_TIMER_MS, readRequest, timeoutMsOf } from '../request/request-reader.ts';
import type { RpcSpan } from '../edge/rpc-span.ts';
import { streamWriter } from './stream-writer.ts';
import type { WireForm } from '../edge/wire-form.ts';

/** An observer's place in a chat. Frames are pulled from it as fast as the socket takes them. */
export interface ObserveSource {
  /** Of the chat; empty where it has none. */
  readonly correlationId: string;
  /** The next frame, or undefined: nothing now, or the end. */
  next(): Frame | undefined;
  /** Asked after `next` had nothing and `end` was not set: calls back once when that has changed. */
  onReady(callback: () => void): void;
  /** Set when nothing more will come; with an error unless the chat's terminal event was seen. */
  readonly end: { readonly error?: ChatError } | undefined;
  /** The observer is gone or has everything. Called exactly once. */
  close(): void;
}

export interface ObserveCall {
  readonly tenant: string;
  readonly request: ObserveChatStreamRequest;
  /** Aborts when the call is over for whatever reason. */
  readonly signal: AbortSignal;
}

/** Refuses by throwing a ChatError. */
export type OpenObserve = (call: ObserveCall) => Promise<ObserveSource>;

interface ObserveDeps {
  readonly open: OpenObserve;
  readonly logError: LogError;
  /** Ends all observations; observers resume elsewhere. */
  readonly shutdownSignal: AbortSignal;
}

/** Answers one call. Never rejects. */
export async function handleObserve(
  req: HttpRequest,
  res: HttpResponse,
  form: WireForm,
  caller: Caller,
  span: RpcSpan,
  deps: ObserveDeps,
): Promise<void> {
  const writer = streamWriter(res, form);
  const call = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let source: ObserveSource | undefined;
  let over = false;

  function stop(error?: ConnectError): boolean {
    if (over) return false;
    over = true;
    if (error) span.refused(error);
    span.end();
    clearTimeout(timer);
    deps.shutdownSignal.removeEventListener('abort', onShutdown);
    source?.close();
    call.abort();
    return true;
  }
  function finish(error?: ConnectError): void {
    if (stop(error)) writer.end(error);
  }
  function fail(error: unknown): void {
    finish(toConnectError(error, deps.logError));
  }
  function onShutdown(): void {
    fail(shuttingDown());
  }
  function pump(from: ObserveSource): void {
    try {
      while (step(from));
    } catch (error) {
      fail(error);
    }
  }
  /** True: there may be more to write at once. */
  function step(from: ObserveSource): boolean {
    if (over) return false;
    const frames = take(from, form.binary);
    if (frames.length > 0) {
      if (writer.write(frames)) return true;
      writer.onceDrained(() => pump(from));
    } else if (from.end) {
      finish(from.end.error && toConnectError(from.end.error, deps.logError));
    } else {
      from.onReady(() => pump(from));
    }
    return false;
  }

  const onGone = (): void => void stop(callerGone());
  res.once('close', onGone);
  res.on('error', onGone);
  if (deps.shutdownSignal.aborted) onShutdown();
  deps.shutdownSignal.addEventListener('abort', onShutdown);
  try {
    if ('refusal' in caller) throw caller.refusal;
    const timeoutMs = timeoutMsOf(req, form);
    if (timeoutMs !== undefined && timeoutMs <= MAX_TIMER_MS) {
      timer = setTimeout(() => finish(deadlineExceeded()), timeoutMs);
    }
    const request = await readRequest(ChatStreamService.method.observeChatStream, req, form);
    span.about(request);
    if (over) return;
    const opened = await deps.open({ tenant: caller.tenant, request, signal: call.signal });
    if (over) {
      opened.close();
      return;
    }
    source = opened;
    span.about(opened);
    pump(opened);
  } catch (error) {
    fail(error);
    dropBody(req);
  }
}

/** Frames that are there at once go into one write, up to about this. */
const WRITE_BYTES = 16 * 1024;

function take(from: ObserveSource, binary: boolean): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let bytes = 0; bytes < WRITE_BYTES;) {
    const frame = from.next();
    if (!frame) break;
    const part = binary ? frame.binary : frame.json();
    bytes += part.byteLength;
    frames.push(part);
  }
  return frames;
}

export function shuttingDown(): ChatError {
  return new ChatError('SHUTTING_DOWN', 'This server is stopping; call again.', {
    retryAfterMs: 1_000,
  });
}
