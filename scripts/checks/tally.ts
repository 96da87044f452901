// What is counted over all checks and tests.

export interface Tally {
  passed: number;
  failed: number;
  /** A line each: what was skipped, and why. */
  skips: string[];
  /** A line each: what failed. */
  failures: string[];
}

export function emptyTally(): Tally {
  return { passed: 0, failed: 0, skips: [], failures: [] };
}
