// Observing across lost connections: attach at the cursor, take what comes, and after a loss wait a little and attach
// again where it was. No event is given twice and none is left out; what the server breaks of that is an error.
import { Code } from '@connectrpc/connect';
import { attach } from './attachment.ts';
import type { Backoff } from './backoff.ts';
import { waitMs } from './backoff.ts';
import { connectionLost, TailraceError, waitingHelps } from './errors.ts';
import { ChatFold } from './fold.ts';
import type {
  Attached,
  Heartbeat,
  ObserveChatStreamResponse,
} from './gen/tailrace/v1/chat_stream_service_pb.ts';
import type { Event } from './gen/tailrace/v1/event_pb.ts';
import type { ChatSnapshot } from './snapshot.ts';
import { isOver } from './snapshot.ts';
import type { Token } from './token.ts';
import { sleep, unlessAborted } from './wake.ts';

/** Each with the chat as it is then. */
export type ChatUpdate =
  /** One event, in order, exactly once. */
  | { readonly kind: 'event'; readonly event: Event; readonly snapshot: ChatSnapshot }
  /** The server took the observation up, at first and after each loss. */
  | {
      readonly kind: 'attached';
      readonly attached: Attached;
      readonly event?: undefined;
      readonly snapshot: ChatSnapshot;
    }
  /** A sign of life while nothing happens; tells the place in the queue. */
  | {
      readonly kind: 'heartbeat';
      readonly heartbeat: Heartbeat;
      readonly event?: undefined;
      readonly snapshot: ChatSnapshot;
    }
  /** The connection was lost; it is tried again after this time, sooner when the page wakes. */
  | {
      readonly kind: 'reconnecting';
      readonly event?: undefined;
      readonly error: TailraceError;
      readonly retryInMs: number;
      readonly snapshot: ChatSnapshot;
    };

/** A server that breaks its sequence, or fails by a defect, does so again: then trying ends. */
const MAX_DEFECTS = 3;

/**
 * The server ends the call right after the terminal event. That is waited for: breaking it off then would keep
 * connect-node's HTTP/2 connection, and with it the process.
 */
const END_MS = 1_000;

export interface Observing {
  readonly streamId: string;
  readonly afterSequence: number;
  readonly call: (
    afterSequence: number,
    headers: Headers,
    signal: AbortSignal,
  ) => AsyncIterable<ObserveChatStreamResponse>;
  readonly token: Token;
  readonly backoff: Backoff;
  /** Failures in a row before it was ever attached: a wrong address must not hang for ever. */
  readonly maxAttachRetries: number;
  /** Failures in a row after that, without an event or heartbeat between them. */
  readonly maxRetries: number;
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
}

export async function* observeChat(
  options: Observing,
): AsyncGenerator<ChatUpdate, void, undefined> {
  const { streamId, token, backoff, signal } = options;
  const fold = new ChatFold(streamId, options.afterSequence);
  let failures = 0;
  let defects = 0;
  let refused = false;
  let maxFailures = options.maxAttachRetries;
  for (;;) {
    signal?.throwIfAborted();
    const headers = await unlessAborted(token.headers(), signal);
    // Nothing is missing, only the call's own end.
    let whole = false;
    try {
      const frames = attach({
        call: (attached) => options.call(fold.snapshot.sequence, headers, attached),
        silenceMs: () => (whole ? END_MS : options.silenceMs),
        signal,
      });
      for await (const frame of frames) {
        switch (frame.case) {
          case 'attached':
            refused = false;
            maxFailures = options.maxRetries;
            whole = nothingComes(frame.value, fold.snapshot.sequence);
            yield { kind: 'attached', attached: frame.value, snapshot: fold.hear(frame.value) };
            break;
          case 'heartbeat':
            failures = 0;
            yield { kind: 'heartbeat', heartbeat: frame.value, snapshot: fold.hear(frame.value) };
            break;
          case 'batch':
            for (const event of frame.value.events) {
              if (event.sequence !== fold.snapshot.sequence + 1) throw broken(fold, event);
              failures = defects = 0;
              const snapshot = fold.apply(event);
              yield { kind: 'event', event, snapshot };
              whole = snapshot.ended;
            }
            break;
          default:
            // A frame that a newer server has.
            break;
        }
      }
      if (whole) return;
      throw connectionLost('The connection ended before the chat did.');
    } catch (thrown) {
      if (whole) return;
      signal?.throwIfAborted();
      const error = TailraceError.from(thrown);
      if (error.code === Code.Unauthenticated && !refused && token.refuse(headers)) {
        refused = true;
        continue;
      }
      if (isDefect(error) && ++defects >= MAX_DEFECTS) throw error;
      if (!waitingHelps(error) || ++failures > maxFailures) throw error;
      const retryInMs = waitMs(backoff, failures, error.retryAfterMs);
      yield { kind: 'reconnecting', error, retryInMs, snapshot: fold.snapshot };
      await sleep(retryInMs, signal);
    }
  }
}

/** Attached behind the last event of a chat that has ended. */
function nothingComes({ status, latestSequence }: Attached, sequence: number): boolean {
  return isOver(status) && latestSequence === sequence;
}

function isDefect({ reason }: TailraceError): boolean {
  return reason === 'SEQUENCE_BROKEN' || reason === 'INTERNAL';
}

function broken({ snapshot }: ChatFold, { sequence }: Event): TailraceError {
  return connectionLost(
    `After event ${snapshot.sequence} came event ${sequence}.`,
    'SEQUENCE_BROKEN',
  );
}
