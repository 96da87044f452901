// So many places for what a process does at once; who finds none waits for one in the order of coming.

export interface Places {
  /** Resolves with a place; rejects with the signal's reason. */
  readonly take: (signal: AbortSignal) => Promise<void>;
  readonly giveBack: () => void;
}

export function createPlaces(most: number): Places {
  let free = most;
  const waiting = new Set<() => void>();
  return {
    take: async (signal) => {
      signal.throwIfAborted();
      if (free > 0) {
        free--;
        return;
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const onAbort = (): void => {
        waiting.delete(start);
        reject(signal.reason);
      };
      const start = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      waiting.add(start);
      await promise;
    },
    // A place that is given back goes to the longest waiting, without being free in between.
    giveBack: () => {
      const [next] = waiting;
      if (next === undefined) {
        free++;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}
