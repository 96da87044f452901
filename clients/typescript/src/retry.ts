// A unary call until it is answered: every rpc of the contract may be made again, so what may pass is waited out
// here and not in each caller. Observing has its own loop, since it goes on from where it was: observe.ts.
import { Code } from '@connectrpc/connect';
import type { Backoff } from './backoff.ts';
import { waitMs } from './backoff.ts';
import { TailraceError, waitingHelps } from './errors.ts';
import type { Token } from './token.ts';
import { sleep, unlessAborted } from './wake.ts';

export interface Retrying {
  readonly token: Token;
  readonly backoff: Backoff;
  readonly maxRetries: number;
  readonly signal: AbortSignal | undefined;
}

/** `tries` is how often it was tried before. */
export async function retrying<T>(
  { token, backoff, maxRetries, signal }: Retrying,
  call: (headers: Headers, tries: number) => Promise<T>,
): Promise<T> {
  let refused = false;
  for (let tries = 0; ; tries++) {
    signal?.throwIfAborted();
    const headers = await unlessAborted(token.headers(), signal);
    try {
      return await call(headers, tries);
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = TailraceError.from(thrown);
      if (error.code === Code.Unauthenticated && !refused && token.refuse(headers)) {
        refused = true;
        continue;
      }
      if (!waitingHelps(error) || tries >= maxRetries || error.reason === 'INTERNAL') throw error;
      await sleep(waitMs(backoff, tries + 1, error.retryAfterMs), signal);
    }
  }
}
