// Patterns of callers' schemas, matched by RE2: in time that grows with the text and the pattern's size, and
// not with what it could be made to try. What JavaScript itself does not take as a pattern is refused too.
import { RE2JS } from 're2js';
import { MAX_SCHEMA_PATTERN_CHARS, MAX_SCHEMA_PATTERN_STEPS } from '../../chat/limits.ts';
import { patternSteps, unicodeSteps } from './pattern-steps.ts';
import type { PatternRules } from './schema-walk.ts';

interface LinearPattern {
  /** How large its machine is: what a character of a text may cost. */
  readonly steps: number;
  readonly test: (text: string) => boolean;
}

/** Throws an Error that says what is wrong with it. */
export function linearPattern(pattern: string): LinearPattern {
  checkJavaScript(pattern);
  try {
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
    return { steps: patternSteps(pattern), test: (text) => compiled.test(text) };
  } catch (cause) {
    throw new Error(
      'the pattern cannot be matched in linear time (no lookahead, lookbehind or backreference, and at most 1000 repetitions)',
      { cause },
    );
  }
}

/** Of patterns that answers are held against. */
export const LINEAR_PATTERNS: PatternRules = {
  cost(pattern) {
    checkLength(pattern);
    const steps = patternSteps(pattern) + unicodeSteps(pattern);
    if (steps > MAX_SCHEMA_PATTERN_STEPS) {
      throw new Error(
        `the pattern is too large with its repetitions written out (${steps} steps; at most ${MAX_SCHEMA_PATTERN_STEPS} are taken)`,
      );
    }
    return steps;
  },
  check: (pattern) => void linearPattern(pattern),
};

/** Of patterns that only the model is told: nothing is matched here, repetitions cost nothing. */
export const TOLD_PATTERNS: PatternRules = {
  cost(pattern) {
    checkLength(pattern);
    return unicodeSteps(pattern);
  },
  check: checkJavaScript,
};

function checkLength(pattern: string): void {
  if (pattern.length > MAX_SCHEMA_PATTERN_CHARS) {
    throw new Error(`the pattern has more than ${MAX_SCHEMA_PATTERN_CHARS} characters`);
  }
}

function checkJavaScript(pattern: string): void {
  try {
    // Made and not matched.
    if (new RegExp(pattern, 'u').unicode) return;
  } catch {
    // Its own words repeat the pattern.
  }
  throw new Error('the pattern is no regular expression of JavaScript (with the flag u)');
}
