// Whether texts pass a limit of tokens, for as little counting as tells it: a sample where the limit is
// far, slices up to the limit where it is near. The time of byte-pair encoding grows with the square of a
// run without spaces, so such runs are cut.
import type { TokenCount } from '../../chat/request/context-fit.ts';
import { EXACT_COUNT_BYTES } from '../../chat/limits.ts';

const SLICE_UNITS = 2_048;
/** Of a run without spaces, as Chinese text, base64 or a hostile one. */
const RUN_UNITS = 256;
/** How many tokens a cut inside a run may add at the most; taken off, so that no count is too high. */
const CUT_TOKENS = 4;
const SAMPLES = 16;
const SAMPLE_UNITS = 1_024;
/** A sample that says less than this share of the limit is believed. */
const FAR_SHARE = 0.6;

/** Counting a long text goes on to so many times the limit, so that who is near it is told by how much. */
const ENOUGH = 1.25;

/** Undefined: a sample lies far below the limit, or the time was up. */
export function countWithin(
  texts: readonly string[],
  limit: number,
  tokensIn: (text: string) => number,
  timeIsUp: () => boolean,
): TokenCount | undefined {
  const units = texts.reduce((sum, { length }) => sum + length, 0);
  const small = units <= EXACT_COUNT_BYTES;
  if (!small && sampled(texts, units, tokensIn) < limit * FAR_SHARE) return undefined;
  let tokens = 0;
  let cuts = 0;
  const surely = (): number => Math.max(0, tokens - cuts * CUT_TOKENS);
  for (const text of texts) {
    for (const { slice, cut } of slicesOf(text)) {
      const late = timeIsUp();
      if (surely() > limit && (late || (!small && surely() > limit * ENOUGH))) {
        return { tokens: surely(), more: true };
      }
      if (late) return undefined;
      tokens += tokensIn(slice);
      if (cut) cuts++;
    }
  }
  return { tokens: surely(), more: cuts > 0 };
}

/** What all of it would have at the rate of a few places, evenly spread. */
function sampled(
  texts: readonly string[],
  units: number,
  tokensIn: (text: string) => number,
): number {
  let tokens = 0;
  let seen = 0;
  let before = 0;
  let next = 0;
  for (const text of texts) {
    for (; next < before + text.length; next += units / SAMPLES) {
      const from = Math.floor(next - before);
      const piece = text.slice(from, from + SAMPLE_UNITS);
      for (const { slice } of slicesOf(piece)) tokens += tokensIn(slice);
      seen += piece.length;
    }
    before += text.length;
  }
  return seen === 0 ? 0 : (tokens / seen) * units;
}

/** Cut before single spaces, where no token of either tokenizer reaches over; else inside a run. */
function* slicesOf(text: string): Generator<{ readonly slice: string; readonly cut: boolean }> {
  let from = 0;
  while (text.length - from > SLICE_UNITS) {
    const space = lastSpace(text, from, from + SLICE_UNITS);
    let to = space ?? from + RUN_UNITS;
    // Not between the two halves of a surrogate pair.
    if (space === undefined && (text.codePointAt(to - 1) ?? 0) > 0xffff) to--;
    yield { slice: text.slice(from, to), cut: space === undefined };
    from = to;
  }
  if (from < text.length) yield { slice: text.slice(from), cut: false };
}

/** The last single space between two words, not at the start. */
function lastSpace(text: string, from: number, to: number): number | undefined {
  for (let at = text.lastIndexOf(' ', to); at > from; at = text.lastIndexOf(' ', at - 1)) {
    if (/\S \S/.test(text.slice(at - 1, at + 2))) return at;
  }
  return undefined;
}
