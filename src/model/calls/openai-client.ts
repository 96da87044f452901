// One model server that speaks OpenAI's chat completions. The openai SDK makes requests and errors; time,
// tries and the stream are ours. Which model and what of the request is sent is decided in registry.ts.
import {
  MODEL_CALL_TRIES,
  MODEL_CONNECT_TIMEOUT_MS,
  MODEL_ERROR_BODY_BYTES,
  MODEL_IDLE_SOCKET_MS,
  MODEL_IDLE_SOCKETS,
  MODEL_LIST_BYTES,
  MODEL_LIST_TIMEOUT_MS,
  MODEL_RETRY_BASE_MS,
  MODEL_RETRY_MAX_MS,
  MODEL_SSE_LINE_BYTES,
  MODEL_TAIL_MS,
} from '../../chat/limits.ts';
import type { ModelFailure, ModelOutcome, ModelSink } from '../../chat/ports/model.ts';
import type { Span } from '../../chat/ports/span.ts';
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Admission, Lane, Ticket } from './admission.ts';
import type { CallSpan } from './call-span.ts';
import { beginCallSpan } from './call-span.ts';
import type { ChatBody } from '../body/chat-body.ts';
import {
  failedTry,
  firstTokenTimeout,
  listTimeout,
  notAStream,
  unreadable,
} from '../answer/failure.ts';
import type { FirstTokenClock } from './first-token.ts';
import { type ListedModel, modelsIn } from '../known/listed-model.ts';
import { createNodeFetch } from '../http/node-fetch-transport.ts';
import { createSdk } from './openai-sdk.ts';
import { readAnswer } from '../answer/read-answer.ts';
import type { ServerSpec } from '../settings/registry-spec.ts';
import type { RetryPolicy } from './retry.ts';
import { retryWaitMs, wait } from './retry.ts';
import type { ThinkTags } from '../dialects/think-tags.ts';

/** Times and tries; the defaults stand in limits.ts. Tests shorten them. */
export interface ModelCallPolicy {
  readonly connectTimeoutMs?: number;
  /** From the start of the call to the model's first word, tries and waits included. */
  readonly firstTokenTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly tailMs?: number;
  readonly tries?: number;
  readonly retryBaseMs?: number;
  readonly retryMaxMs?: number;
  readonly maxLineBytes?: number;
  readonly listTimeoutMs?: number;
}

export interface ServerCall {
  readonly body: ChatBody;
  /** The request has tools, though there may be none of them now. */
  readonly mayCall: boolean;
  /** Goes upstream as a request header, so that both logs can be held together. */
  readonly correlationId: string;
  /** How the model marks reasoning within its text; undefined: it does not, or its server takes it out. */
  readonly thinkTags: ThinkTags | undefined;
  /** Of the run. */
  readonly span: Span;
  /** The kind of its server. */
  readonly provider: string;
  /** In the line of all calls. */
  readonly place: number;
  readonly lanes: { readonly model: Lane; readonly server: Lane };
  readonly clock: FirstTokenClock;
  /** Models that may be asked in its place: each gets an equal part of the clock's time. */
  readonly others: number;
  readonly idleTimeoutMs: number;
}

export interface ServerClient {
  /** Rejects with a ModelFailure; may be empty. */
  readonly listModels: () => Promise<readonly ListedModel[]>;
  /** As ModelClient.generate. */
  readonly generate: (
    call: ServerCall,
    sink: ModelSink,
    signal: AbortSignal,
  ) => Promise<ModelOutcome>;
  /** Ends all connections to the model server that carry no call. */
  readonly close: () => void;
}

export function createServerClient(
  server: Pick<ServerSpec, 'baseUrl' | 'apiKey' | 'headers'>,
  timing: ModelCallPolicy,
  admission: Admission,
): ServerClient {
  const {
    connectTimeoutMs = MODEL_CONNECT_TIMEOUT_MS,
    tailMs = MODEL_TAIL_MS,
    maxLineBytes = MODEL_SSE_LINE_BYTES,
    listTimeoutMs = MODEL_LIST_TIMEOUT_MS,
  } = timing;
  const policy = retryPolicyOf(timing);
  const transport = createNodeFetch({
    connectTimeoutMs,
    maxErrorBytes: MODEL_ERROR_BODY_BYTES,
    maxBodyBytes: MODEL_LIST_BYTES,
    maxIdleSockets: MODEL_IDLE_SOCKETS,
    idleSocketMs: MODEL_IDLE_SOCKET_MS,
  });
  const openai = createSdk(server, transport.fetch);

  async function listModels(): Promise<readonly ListedModel[]> {
    const signal = AbortSignal.timeout(listTimeoutMs);
    try {
      // Not openai.models.list: it takes for granted that the answer is a list.
      return modelsIn(await openai.get<unknown>('/models', { signal }));
    } catch (error) {
      if (signal.aborted) throw listTimeout(listTimeoutMs);
      if (error instanceof SyntaxError) throw unreadable('a list of models that is not JSON');
      throw failedTry(error).failure;
    }
  }

  async function generate(
    call: ServerCall,
    sink: ModelSink,
    signal: AbortSignal,
  ): Promise<ModelOutcome> {
    signal.throwIfAborted();
    const { body, clock, idleTimeoutMs, thinkTags } = call;
    const correlation = correlationHeaders(call.correlationId);
    // One way to stop for both: the caller's abort and the first token that does not come.
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let begun = false;
    /** Why it is still tried: that says more than a timeout would. */
    let failed: ModelFailure | undefined;
    let deadlineMs = Infinity;
    let firstTokenTimer: NodeJS.Timeout | undefined;

    function startClock(): void {
      if (firstTokenTimer !== undefined) return;
      clock.start();
      const partMs = clock.leftMs() / (1 + call.others);
      deadlineMs = performance.now() + partMs;
      firstTokenTimer = setTimeout(() => stop.abort(failed ?? firstTokenTimeout(partMs)), partMs);
    }

    async function callOnce(ticket: Ticket): Promise<ModelOutcome> {
      const span = beginCallSpan(call, server.baseUrl);
      try {
        const outcome = await ask(ticket, span);
        span.answered(outcome);
        return outcome;
      } catch (error) {
        span.failed(stop.signal.aborted ? stop.signal.reason : failedTry(error).failure);
        throw error;
      }
    }

    async function ask(ticket: Ticket, span: CallSpan): Promise<ModelOutcome> {
      const headers = { ...correlation, traceparent: span.traceparent };
      const response = await openai.chat.completions
        .create(body, { signal: stop.signal, headers })
        .asResponse();
      ticket.taken();
      // What is waited for now is the model.
      failed = undefined;
      const stream = transport.streamOf(response);
      if (stream === undefined) {
        throw notAStream(response.headers.get('content-type') ?? '', await response.text());
      }
      return await readAnswer(stream, {
        sink: span.watching(sink),
        asked: {
          stops: stopsOf(body),
          tools: call.mayCall,
          mostTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
          thinkTags,
        },
        signal: stop.signal,
        onFirstToken() {
          begun = true;
          clearTimeout(firstTokenTimer);
          span.firstToken();
        },
        idleTimeoutMs,
        tailMs,
        maxLineBytes,
      });
    }

    /** Throws what does not pass; what does is followed by another try, after a wait or in the line. */
    async function tryOnce(
      tried: number,
    ): Promise<
      | { readonly next: 'end'; readonly outcome: ModelOutcome }
      | { readonly next: 'wait'; readonly waitMs: number }
      | { readonly next: 'line' }
    > {
      const { model, server } = call.lanes;
      const asking = {
        place: call.place,
        model,
        server,
        onHeldBack: (failure: ModelFailure) => {
          startClock();
          failed ??= failure;
        },
        deadlineMs: () => deadlineMs,
      };
      const ticket = await admission.enter(asking, stop.signal);
      startClock();
      try {
        return { next: 'end', outcome: await callOnce(ticket) };
      } catch (error) {
        if (stop.signal.aborted) throw stop.signal.reason;
        const { failure, again, retryAfterMs } = failedTry(error);
        if (begun || !again) throw failure;
        failed = failure;
        if (failure.reason === FailureReason.UPSTREAM_RATE_LIMITED) {
          // How long to wait is the same for all calls of this model, and so the line's to say.
          ticket.refused(retryAfterMs, failure);
          return { next: 'line' };
        }
        const waitMs = tried < policy.tries ? retryWaitMs(tried, retryAfterMs, policy) : undefined;
        // No use in waiting past the deadline.
        if (waitMs === undefined || performance.now() + waitMs >= deadlineMs) throw failure;
        return { next: 'wait', waitMs };
      } finally {
        ticket.leave();
      }
    }

    try {
      for (let tried = 1; ;) {
        const came = await tryOnce(tried);
        if (came.next === 'end') return came.outcome;
        if (came.next === 'line') continue;
        tried++;
        await wait(came.waitMs, stop.signal);
      }
    } finally {
      clearTimeout(firstTokenTimer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  return { listModels, generate, close: transport.closeIdle };
}

export function retryPolicyOf(timing: ModelCallPolicy): RetryPolicy {
  return {
    tries: timing.tries ?? MODEL_CALL_TRIES,
    baseMs: timing.retryBaseMs ?? MODEL_RETRY_BASE_MS,
    maxMs: timing.retryMaxMs ?? MODEL_RETRY_MAX_MS,
  };
}

/** Under the name that proxies log and the one that OpenAI logs; a header takes ASCII only. */
function correlationHeaders(correlationId: string): Record<string, string> {
  if (correlationId === '') return {};
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(correlationId);
  const value = plain ? correlationId : encodeURIComponent(correlationId.toWellFormed());
  return { 'x-correlation-id': value, 'x-client-request-id': value };
}

function stopsOf({ stop }: ChatBody): readonly string[] {
  if (stop === undefined || stop === null) return [];
  return typeof stop === 'string' ? [stop] : stop;
}
