// What is said of many figures: the middle, the slow end, the number.
export interface Summary {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly count: number;
}

export function summary(figures: readonly number[]): Summary {
  const sorted = Float64Array.from(figures).toSorted();
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: sorted.length };
}
