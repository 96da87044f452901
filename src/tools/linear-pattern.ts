// Patterns of callers' schemas, matched by RE2: in time that grows with the text and not with what the
// pattern could be made to try. What JavaScript itself does not take as a pattern is refused too.
import { RE2JS } from 're2js';
import { MAX_SCHEMA_PATTERN_CHARS } from '../chat/limits.ts';

export interface LinearPattern {
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
  try {
    const compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
    return { test: (text) => compiled.test(text) };
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
