// Which of the names that there are was probably meant by one that is none.

/** Longer ones are nobody's slip of the finger. */
const MAX_NAME_CHARS = 64;

/** The nearest within a few letters of it, the first one among equals; undefined: none is near. */
export function nearest(given: string, names: readonly string[]): string | undefined {
  let found: string | undefined;
  let least = Infinity;
  for (const name of names) {
    const slips = Math.min(given.length, name.length) < 4 ? 0 : name.length < 6 ? 1 : 2;
    const distance = distanceWithin(slips, given, name);
    if (distance === undefined || distance >= least) continue;
    found = name;
    least = distance;
  }
  return found;
}

/**
 * Letters added, left out, changed, or swapped with their neighbour (optimal string alignment);
 * undefined: more than `most`.
 */
function distanceWithin(most: number, a: string, b: string): number | undefined {
  if (a.length > MAX_NAME_CHARS || Math.abs(a.length - b.length) > most) return undefined;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(at(row, j) + 1, at(next, j - 1) + 1, at(row, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(before, j - 2) + 1);
      }
      next.push(cost);
    }
    before = row;
    row = next;
  }
  const distance = at(row, b.length);
  return distance <= most ? distance : undefined;
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
