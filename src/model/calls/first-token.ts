// The time that a call has for its first token: one budget for all tries and all models that are asked.
// It does not run while the call only stands in line for its turn (parallel_calls): that is our own
// bound, and no word about the model.

export interface FirstTokenClock {
  /** Idempotent. */
  readonly start: () => void;
  readonly leftMs: () => number;
}

export function createFirstTokenClock(budgetMs: number): FirstTokenClock {
  let startedAtMs: number | undefined;
  return {
    start: () => {
      startedAtMs ??= performance.now();
    },
    leftMs: () => {
      const passedMs = startedAtMs === undefined ? 0 : performance.now() - startedAtMs;
      return Math.max(0, budgetMs - passedMs);
    },
  };
}
