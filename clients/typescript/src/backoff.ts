// How long to wait before the next try: exponential with full jitter, so that many clients that lost the same
// server do not come back together. What a server asks for (RetryInfo) is waited out, and the jitter comes on top.

export interface Backoff {
  /** The first wait is up to this long, each after it up to twice as long. */
  readonly baseMs: number;
  /** No wait is longer, but for what the server asks for. */
  readonly maxMs: number;
}

export const BACKOFF: Backoff = { baseMs: 200, maxMs: 10_000 };

/** `failures` in a row, from 1. */
export function waitMs({ baseMs, maxMs }: Backoff, failures: number, retryAfterMs = 0): number {
  // Beyond 2^30 the bound has long been reached.
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(failures - 1, 30));
  return retryAfterMs + Math.random() * bound;
}
