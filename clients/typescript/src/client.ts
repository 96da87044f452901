// The client: every rpc of the contract as a function that waits out what may pass, and observing that resumes.
// The parts are put together here; what each does is in the file it comes from.
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { Transport } from '@connectrpc/connect';
import { Code, createClient } from '@connectrpc/connect';
import { untilResult, untilWaited } from './await-result.ts';
import type { Backoff } from './backoff.ts';
import { BACKOFF } from './backoff.ts';
import type { ChatInput, ToolResultInput } from './chat-input.ts';
import { requestOf, toolResultOf } from './chat-input.ts';
import { TailraceError } from './errors.ts';
import type { ChatStream } from './gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamView } from './gen/tailrace/v1/chat_stream_pb.ts';
import type {
  InitiateChatStreamResponse,
  Model,
} from './gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatStreamService } from './gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ChatList, ListFilter } from './list-chats.ts';
import { chatList } from './list-chats.ts';
import type { ChatUpdate } from './observe.ts';
import { observeChat } from './observe.ts';
import { retrying } from './retry.ts';
import type { ChatSnapshot } from './snapshot.ts';
import { newStreamId } from './stream-id.ts';
import type { TokenSource } from './token.ts';
import { tokenFrom } from './token.ts';
import { MAX_TIMER_MS } from './wake.ts';

export interface TailraceClientOptions {
  /** The bearer token. A function is asked when a token is first needed, and again when the server refuses it. */
  readonly token?: TokenSource | undefined;
  /** How often a call that may pass later is made again, and how often an observation before it first attached. 5. */
  readonly maxRetries?: number | undefined;
  /** Waits between tries, with full jitter. Up to 200 ms, doubled each time up to 10 s. */
  readonly backoff?: Partial<Backoff>;
  /** The longest that one try of a call may take, observing excepted. 30 s; 0 is no limit. */
  readonly timeoutMs?: number | undefined;
  /** An observation without a frame for so long is taken for lost. 40 s: the server sends heartbeats every 15 s. */
  readonly silenceMs?: number | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Sent with the call, for example traceparent. */
  readonly headers?: ConstructorParameters<typeof Headers>[0] | undefined;
  /** Instead of the client's, for each try. */
  readonly timeoutMs?: number | undefined;
}

export interface InitiateOptions extends CallOptions {
  /** Your own id; the same id with the same request is the same chat. Default: a new UUIDv7. */
  readonly streamId?: string | undefined;
  /** Wait for submitToolResults where the model calls your tools, instead of completing. */
  readonly awaitToolResults?: boolean | undefined;
  /** How long the chat is kept. The server's default is 24 h. */
  readonly ttlMs?: number | undefined;
}

export interface ObserveOptions extends Pick<CallOptions, 'signal' | 'headers'> {
  /** Only what is after this event. Snapshots then hold what came since, and cannot be verified. */
  readonly afterSequence?: number | undefined;
  /** How many losses in a row, once it was attached, without an event or heartbeat between them. Default: no bound. */
  readonly maxRetries?: number | undefined;
}

export interface ViewOptions extends CallOptions {
  /** With the answer and the request. */
  readonly full?: boolean | undefined;
}

export interface CancelOptions extends CallOptions {
  /** Why, for the log and the cancelled event. */
  readonly reason?: string | undefined;
}

/** Every function rejects with a TailraceError, or with the reason of its signal. */
export interface TailraceClient {
  /** Starts a chat; it is durable when this resolves. A string is one message of the user. */
  readonly initiate: (
    request: string | ChatInput,
    options?: InitiateOptions,
  ) => Promise<InitiateChatStreamResponse>;
  /** What happened and happens, to the end; lost connections are resumed. Leaving the loop cancels nothing. */
  readonly observe: (
    streamId: string,
    options?: ObserveOptions,
  ) => AsyncGenerator<ChatUpdate, void, undefined>;
  /**
   * Observes until the chat has ended, however it did (`status`), or waits for its caller's tools
   * (`pendingToolUses`). The answer is verified.
   */
  readonly awaitResult: (
    streamId: string,
    options?: Omit<ObserveOptions, 'afterSequence'>,
  ) => Promise<ChatSnapshot>;
  /** The same by long polls, for where streams do not get through. */
  readonly wait: (streamId: string, options?: ViewOptions) => Promise<ChatStream>;
  readonly get: (streamId: string, options?: ViewOptions) => Promise<ChatStream>;
  /** Newest first; pages are fetched as they are needed. */
  readonly list: (filter?: ListFilter, options?: CallOptions) => ChatList;
  /** Resolves with the chat's true status, which may be another than cancelled. */
  readonly cancel: (streamId: string, options?: CancelOptions) => Promise<ChatStream>;
  readonly delete: (streamId: string, options?: CallOptions) => Promise<void>;
  readonly submitToolResults: (
    streamId: string,
    results: readonly ToolResultInput[],
    options?: CallOptions,
  ) => Promise<ChatStream>;
  /** The default one first. */
  readonly listModels: (options?: CallOptions) => Promise<readonly Model[]>;
}

const MAX_RETRIES = 5;
const TIMEOUT_MS = 30_000;
const SILENCE_MS = 40_000;

interface Call {
  readonly signal?: AbortSignal;
  readonly headers: Headers;
  readonly timeoutMs: number;
}

export function createTailraceClient(
  transport: Transport,
  options: TailraceClientOptions = {},
): TailraceClient {
  const { maxRetries = MAX_RETRIES, silenceMs = SILENCE_MS } = options;
  const timeoutMs = Math.ceil(options.timeoutMs ?? TIMEOUT_MS);
  const backoff = { ...BACKOFF, ...options.backoff };
  const token = tokenFrom(options.token);
  const rpc = createClient(ChatStreamService, transport);

  /** 0 is none, and so is what no timer can hold. Whole: Connect's header of it is digits. */
  function timeoutOf(given: CallOptions): number {
    const ms = Math.ceil(given.timeoutMs ?? timeoutMs);
    return ms * 2 > MAX_TIMER_MS ? 0 : ms;
  }

  function call<T>(
    given: CallOptions,
    make: (call: Call, tries: number) => Promise<T>,
    retries = maxRetries,
  ): Promise<T> {
    const { signal } = given;
    return retrying({ token, backoff, maxRetries: retries, signal }, (headers, tries) =>
      make(
        {
          headers: withHeaders(headers, given.headers),
          timeoutMs: timeoutOf(given),
          ...(signal === undefined ? {} : { signal }),
        },
        tries,
      ),
    );
  }

  function observe(streamId: string, given: ObserveOptions = {}) {
    return observeChat({
      streamId,
      afterSequence: given.afterSequence ?? 0,
      call: (afterSequence, headers, signal) =>
        // No deadline, whatever the transport's default is: silence ends what is dead.
        rpc.observeChatStream(
          { streamId, afterSequence },
          { signal, headers: withHeaders(headers, given.headers), timeoutMs: 0 },
        ),
      token,
      backoff,
      maxAttachRetries: maxRetries,
      maxRetries: given.maxRetries ?? Infinity,
      silenceMs,
      signal: given.signal,
    });
  }

  return {
    observe,
    initiate: (request, given = {}) => {
      const { streamId = newStreamId(), awaitToolResults = false, ttlMs } = given;
      const message = {
        streamId,
        awaitToolResults,
        request: requestOf(request),
        ...(ttlMs === undefined ? {} : { ttl: durationFromMs(Math.ceil(ttlMs)) }),
      };
      return call(given, (options) => rpc.initiateChatStream(message, options));
    },
    awaitResult: (streamId, given) => untilResult(observe(streamId, given)),
    wait: (streamId, given = {}) =>
      untilWaited(timeoutOf(given), async (timeout, answered) => {
        const { chatStream } = await call(
          given,
          (options) =>
            rpc.waitChatStream(
              { streamId, view: viewOf(given), timeout },
              {
                ...options,
                timeoutMs: options.timeoutMs * 2,
              },
            ),
          answered ? Infinity : maxRetries,
        );
        return present(chatStream);
      }),
    get: async (streamId, given = {}) => {
      const { chatStream } = await call(given, (options) =>
        rpc.getChatStream({ streamId, view: viewOf(given) }, options),
      );
      return present(chatStream);
    },
    list: (filter = {}, given = {}) =>
      chatList(filter, (request) =>
        call(given, (options) => rpc.listChatStreams(request, options)),
      ),
    cancel: async (streamId, given = {}) => {
      const { reason = '' } = given;
      const { chatStream } = await call(given, (options) =>
        rpc.cancelChatStream({ streamId, reason }, options),
      );
      return present(chatStream);
    },
    delete: async (streamId, given = {}) => {
      await call(given, async (options, tries) => {
        try {
          await rpc.deleteChatStream({ streamId }, options);
        } catch (thrown) {
          // The try before this one may have deleted it and lost the answer.
          if (tries > 0 && TailraceError.from(thrown).code === Code.NotFound) return;
          throw thrown;
        }
      });
    },
    submitToolResults: async (streamId, results, given = {}) => {
      const message = { streamId, results: results.map(toolResultOf) };
      const { chatStream } = await call(given, (options) =>
        rpc.submitToolResults(message, options),
      );
      return present(chatStream);
    },
    listModels: async (given = {}) =>
      (await call(given, (options) => rpc.listModels({}, options))).models,
  };
}

function viewOf({ full = false }: ViewOptions): ChatStreamView {
  return full ? ChatStreamView.FULL : ChatStreamView.BASIC;
}

function withHeaders(headers: Headers, more: CallOptions['headers']): Headers {
  new Headers(more).forEach((value, name) => headers.set(name, value));
  return headers;
}

function present(chat: ChatStream | undefined): ChatStream {
  if (chat !== undefined) return chat;
  throw new TailraceError('The server answered without the chat.', Code.Internal);
}
