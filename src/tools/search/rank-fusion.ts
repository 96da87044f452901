// Several rankings of the same things made one, by reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR
// 2009): places count and scores do not, which BM25 and cosines have no common measure for.

/** The paper's: how much less the first place of one ranking weighs than middling places in several. */
const K = 60;

/** The best first; of equals the one that an earlier ranking has. `keyOf` tells things apart. */
export function fused<T>(
  rankings: readonly (readonly T[])[],
  keyOf: (item: T) => number,
): readonly T[] {
  const scores = new Map<number, { readonly item: T; score: number }>();
  for (const ranking of rankings) {
    for (const [place, item] of ranking.entries()) {
      const key = keyOf(item);
      const known = scores.get(key) ?? { item, score: 0 };
      known.score += 1 / (K + place + 1);
      scores.set(key, known);
    }
  }
  return [...scores.values()].toSorted((a, b) => b.score - a.score).map(({ item }) => item);
}
