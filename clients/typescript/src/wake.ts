// What a page is told about its surroundings, and waiting that it may cut short. In Node there is no page, and then
// only the clock counts.

interface Page {
  readonly addEventListener?: EventTarget['addEventListener'];
  readonly removeEventListener?: EventTarget['removeEventListener'];
  readonly document?: EventTarget & { readonly visibilityState: string };
}

/** online: the network is another one. shown: the page was hidden or asleep. */
export type Wake = 'online' | 'shown';

/** Calls back until the returned function is called. */
export function onWake(wake: (how: Wake) => void): () => void {
  const page = globalThis as Page;
  const document = page.document;
  const online = (): void => wake('online');
  const pageShow = (): void => wake('shown');
  const visibility = (): void => {
    if (document?.visibilityState === 'visible') wake('shown');
  };
  // Workers have `online` and no document.
  page.addEventListener?.('online', online);
  page.addEventListener?.('pageshow', pageShow);
  document?.addEventListener('visibilitychange', visibility);
  return () => {
    page.removeEventListener?.('online', online);
    page.removeEventListener?.('pageshow', pageShow);
    document?.removeEventListener('visibilitychange', visibility);
  };
}

/** Timers take no more, and take what is more for no time at all. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** The promise, or sooner the signal's reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason as Error);
    const done = (): void => signal.removeEventListener('abort', aborted);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted);
    promise.then(resolve, reject).finally(done);
  });
}

/** Resolves after the time, or sooner when the page wakes. Rejects with the signal's reason. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer);
      stop();
      signal?.removeEventListener('abort', aborted);
    };
    const aborted = (): void => {
      done();
      reject(signal?.reason as Error);
    };
    const over = (): void => {
      done();
      resolve();
    };
    const timer = setTimeout(over, Math.min(ms, MAX_TIMER_MS));
    const stop = onWake(over);
    if (signal?.aborted === true) aborted();
    else signal?.addEventListener('abort', aborted);
  });
}
