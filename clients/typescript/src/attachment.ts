// One call of ObserveChatStream: its frames, and an end to it where nothing comes for longer than a living server
// would be silent. Only waiting counts as silence: a reader that takes its time is no reason to reconnect.
import { connectionLost } from './errors.ts';
import type { ObserveChatStreamResponse } from './gen/tailrace/v1/chat_stream_service_pb.ts';
import { onWake } from './wake.ts';

/** A page that was asleep finds out this soon after it woke, if no event of the page says so. */
const LOOK_MS = 5_000;

type Frame = ObserveChatStreamResponse['frame'];

export interface AttachOptions {
  readonly call: (signal: AbortSignal) => AsyncIterable<ObserveChatStreamResponse>;
  readonly silenceMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Throws what the transport throws, or SILENCE. Ends the call however it is left. */
export async function* attach({ call, silenceMs, signal }: AttachOptions): AsyncGenerator<Frame> {
  const own = new AbortController();
  const frames = call(signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]))[
    Symbol.asyncIterator
  ]();
  try {
    for (;;) {
      const next = await heard(frames, silenceMs);
      if (next.done === true) return;
      yield next.value.frame;
    }
  } finally {
    // Before its iterator is asked to end, which a cut connection may never answer.
    own.abort();
    void frames.return?.().catch(() => undefined);
  }
}

/** By the clock on the wall: timers stand still while a machine sleeps. */
async function heard<T>(
  frames: AsyncIterator<T>,
  silenceMs: number,
): Promise<IteratorResult<T, unknown>> {
  const sinceMs = Date.now();
  let stop: () => void = () => undefined;
  const silence = new Promise<never>((_, reject) => {
    const look = (limitMs: number): void => {
      const silentMs = Date.now() - sinceMs;
      if (silentMs < limitMs) return;
      reject(connectionLost(`Nothing came for ${Math.round(silentMs / 1_000)} s.`, 'SILENCE'));
    };
    const timer = setInterval(() => look(silenceMs), Math.min(LOOK_MS, silenceMs / 4));
    const unhook = onWake((how) => {
      // On another network the old connection is dead, and may never say so.
      look(how === 'online' ? 0 : silenceMs / 2);
    });
    stop = () => {
      clearInterval(timer);
      unhook();
    };
  });
  try {
    return await Promise.race([frames.next(), silence]);
  } finally {
    stop();
  }
}
