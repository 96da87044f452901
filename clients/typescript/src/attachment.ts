// One call of ObserveChatStream: its frames, and an end to it where nothing comes for longer than a living server
// would be silent. Only waiting counts as silence: a reader that takes its time is no reason to reconnect.
import { connectionLost } from './errors.ts';
import type { ObserveChatStreamResponse } from './gen/tailrace/v1/chat_stream_service_pb.ts';
import { onWake } from './wake.ts';

/** A page that was asleep finds out this soon after it woke, if no event of the page says so. */
const LOOK_MS = 5_000;
const LEAVE_MS = 250;

type Frame = ObserveChatStreamResponse['frame'];

export interface AttachOptions {
  readonly call: (signal: AbortSignal) => AsyncIterable<ObserveChatStreamResponse>;
  /** Asked before each frame. */
  readonly silenceMs: () => number;
  readonly signal: AbortSignal | undefined;
}

/** Throws what the transport throws, SILENCE, or the signal's reason. Ends the call however it is left. */
export async function* attach({ call, silenceMs, signal }: AttachOptions): AsyncGenerator<Frame> {
  const own = new AbortController();
  const frames = call(own.signal)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await heard(frames, silenceMs(), signal);
      if (next.done === true) return;
      yield next.value.frame;
    }
  } finally {
    void leave(frames, own);
  }
}

/**
 * Breaks the call off, but reads on for a moment before: a call that is broken off when its end has arrived and is
 * unread keeps connect-node's HTTP/2 connection, and with it the process.
 */
async function leave(frames: AsyncIterator<unknown>, own: AbortController): Promise<void> {
  const timer = setTimeout(() => own.abort(), LEAVE_MS);
  try {
    while (!own.signal.aborted && (await frames.next()).done !== true);
  } catch {
    // It has ended, which is all that is wanted.
  } finally {
    clearTimeout(timer);
    own.abort();
  }
}

/**
 * By two clocks: the steady one and timers stand still while a machine sleeps, and the one on the wall may be set
 * back.
 */
async function heard<T>(
  frames: AsyncIterator<T>,
  silenceMs: number,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<T, unknown>> {
  const since = { wallMs: Date.now(), steadyMs: performance.now() };
  let stop: () => void = () => undefined;
  const over = new Promise<never>((_, reject) => {
    const look = (limitMs: number): void => {
      const silentMs = Math.max(Date.now() - since.wallMs, performance.now() - since.steadyMs);
      if (silentMs < limitMs) return;
      reject(connectionLost(`Nothing came for ${Math.round(silentMs / 1_000)} s.`, 'SILENCE'));
    };
    const leave = (): void => reject(signal?.reason as Error);
    if (signal?.aborted === true) leave();
    signal?.addEventListener('abort', leave);
    const timer = setInterval(() => look(silenceMs), Math.min(LOOK_MS, silenceMs / 4));
    const unhook = onWake((how) => {
      // On another network the old connection is dead, and may never say so.
      look(how === 'online' ? 0 : silenceMs / 2);
    });
    stop = () => {
      clearInterval(timer);
      signal?.removeEventListener('abort', leave);
      unhook();
    };
  });
  try {
    return await Promise.race([frames.next(), over]);
  } finally {
    stop();
  }
}
