// How large the machine of a pattern is, before it is made: RE2 writes a repetition out, so that a few
// characters may stand for a great deal, and each character of a text may cost as many steps.

const REPETITION = /^\{(\d+)(,(\d*))?\}/;
/** Outside of them a brace is a repetition. */
const ESCAPE = /^\\(?:[pPuk]\{[^}]*\}|k<[^>]*>|x[\da-fA-F]{2}|u[\da-fA-F]{4}|c[a-zA-Z]|.)/su;
const CLASS = /^\[(?:\\.|[^\]\\])*\]/su;
/** A class of Unicode's letters is a table of hundreds of ranges. */
const CLASS_STEPS = 4;

/** In steps; the pattern is one that JavaScript takes. */
export function patternSteps(pattern: string): number {
  const sums = [0];
  let last = 0;
  const add = (steps: number): void => {
    sums[sums.length - 1] = (sums.at(-1) ?? 0) + steps;
    last = steps;
  };
  for (let at = 0; at < pattern.length;) {
    const rest = pattern.slice(at, at + MOST_OF_ONE_PART);
    const repetition = REPETITION.exec(rest);
    const part = ESCAPE.exec(rest)?.[0] ?? CLASS.exec(rest)?.[0];
    if (repetition !== null) {
      const times = Number(repetition[3] || repetition[1]);
      add(last * Math.max(times - 1, 0));
      at += repetition[0].length;
    } else if (part !== undefined) {
      add(CLASS_STEPS);
      at += part.length;
    } else {
      const char = pattern[at];
      at++;
      if (char === '(') sums.push(0);
      else if (char === ')' && sums.length > 1) add(1 + (sums.pop() ?? 0));
      else add(1);
    }
  }
  return sums.reduce((all, each) => all + each, 0);
}

/** What a Unicode class costs to be made, wherever it is written, in steps beside its own. */
const UNICODE_CLASS_STEPS = 40;

/** In steps: the tables of Unicode's classes are made for each place where one is written. */
export function unicodeSteps(pattern: string): number {
  return UNICODE_CLASS_STEPS * (pattern.match(/\\[pP]\{/g)?.length ?? 0);
}

/** As long as a pattern may be: a class may be most of it. */
const MOST_OF_ONE_PART = 1_000;
