// Waiting for what is true at last, where there is no event to await: a real condition, and a deadline that only
// ends what hangs. It is far beyond what the slowest machine takes, so that none of them decides a test.
import { inspect } from 'node:util';

const POLL_MS = 5;
/** A third of what the runner gives a test: so the test says what it waited for. */
export const HANGS_MS = 60_000;
const SEEN = { depth: 4, breakLength: 120 } as const;

/**
 * Resolves with the first answer that is neither undefined nor false. `seen`: what there was instead, for the words of
 * the failure.
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs = HANGS_MS,
  seen?: () => unknown,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const late = performance.now() > deadline;
    const found = await look();
    if (found !== undefined && found !== false) return found;
    // Looked at once more after the deadline: it may have been this process that stood still.
    if (late) {
      const instead = seen === undefined ? '' : `; there was ${inspect(seen(), SEEN)}`;
      throw new Error(`waited ${deadlineMs} ms for ${what}${instead}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Rejects if the promise has not settled in time. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    // What has come while this process stood still is taken first.
    setImmediate(() => late.reject(new Error(`${what} took more than ${ms} ms`)));
  }, ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
