// A bounded number of places and a bounded queue for them, first come, first served.

export interface WaitingRoom {
  /** Resolves to the function that gives the place back. Rejects with the signal's reason. */
  readonly enter: (signal: AbortSignal) => Promise<() => void>;
  readonly busy: () => number;
  readonly waiting: () => number;
}

export function createWaitingRoom(
  places: number,
  maxWaiting: number,
  full: () => Error,
): WaitingRoom {
  let busy = 0;
  const queue = new Set<() => void>();

  function leave(): void {
    busy -= 1;
    const [next] = queue;
    next?.();
  }

  function take(): () => void {
    busy += 1;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      leave();
    };
  }

  return {
    async enter(signal) {
      signal.throwIfAborted();
      if (busy < places) return take();
      if (queue.size >= maxWaiting) throw full();
      const { promise, resolve, reject } = Promise.withResolvers<() => void>();
      const next = (): void => {
        queue.delete(next);
        signal.removeEventListener('abort', abandon);
        resolve(take());
      };
      const abandon = (): void => {
        queue.delete(next);
        reject(signal.reason);
      };
      queue.add(next);
      signal.addEventListener('abort', abandon, { once: true });
      return await promise;
    },
    busy: () => busy,
    waiting: () => queue.size,
  };
}
