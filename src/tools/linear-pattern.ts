// Patterns of callers' schemas, matched by RE2: in time that grows with the text and the pattern's size, and
// not with what it could be made to try. What JavaScript itself does not take as a pattern is refused too.
import { RE2JS } from 're2js';
import { MAX_SCHEMA_PATTERN_CHARS, MAX_SCHEMA_PATTERN_STEPS } from '../chat/limits.ts';
import { patternSteps } from './pattern-steps.ts';

export interface LinearPattern {
  /** How large its machine is: what a character of a text may cost. */
  readonly steps: number;
  readonly test: (text: string) => boolean;
}

/** Throws an Error that says what is wrong with it. */
export function linearPattern(pattern: string): LinearPattern {
  if (pattern.length > MAX_SCHEMA_PATTERN_CHARS) {
    throw new Error(`the pattern has more than ${MAX_SCHEMA_PATTERN_CHARS} characters`);
  }
  if (!isJavaScript(pattern)) {
    throw new Error('the pattern is no regular expression of JavaScript (with the flag u)');
  }
  const steps = patternSteps(pattern);
  if (steps > MAX_SCHEMA_PATTERN_STEPS) {
    throw new Error(
      `the pattern is too large with its repetitions written out (${steps} steps; at most ${MAX_SCHEMA_PATTERN_STEPS} are taken)`,
    );
  }
  try {
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
    return { steps, test: (text) => compiled.test(text) };
  } catch (cause) {
    throw new Error(
      'the pattern cannot be matched in linear time (no lookahead, lookbehind or backreference, and at most 1000 repetitions)',
      { cause },
    );
  }
}

function isJavaScript(pattern: string): boolean {
  try {
    return new RegExp(pattern, 'u').unicode;
  } catch {
    return false;
  }
}
