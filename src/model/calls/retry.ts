// How long to wait before a model server is asked again, and the wait itself.

export interface RetryPolicy {
  readonly tries: number;
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Undefined: the model server wants a longer wait than a worker may be held for. */
export function retryWaitMs(
  failedTries: number,
  retryAfterMs: number | undefined,
  policy: RetryPolicy,
): number | undefined {
  if (retryAfterMs !== undefined) return retryAfterMs <= policy.maxMs ? retryAfterMs : undefined;
  return backoffMs(failedTries, policy);
}

/** Full jitter: what failed together does not come back together. */
export function backoffMs(failures: number, { baseMs, maxMs }: RetryPolicy): number {
  return Math.random() * Math.min(maxMs, baseMs * 2 ** (failures - 1));
}

/** Rejects with the signal's reason as soon as it is aborted. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    signal.removeEventListener('abort', onAbort);
    resolve();
  }, ms);
  function onAbort(): void {
    clearTimeout(timer);
    reject(signal.reason);
  }
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return promise;
}
