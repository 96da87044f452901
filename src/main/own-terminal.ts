// The terminal that a process was started on, and whether it is still there. SIGHUP says that it was closed, or,
// from an operator or a supervisor, that files are to be read again: the signal itself does not tell which.
import { closeSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';

const STREAMS = [0, 1, 2] as const;

/**
 * Looks now, at the start. Later the answer is true where there was a terminal and it is gone. Who lets none of
 * the streams go to it, as nohup does, is meant to outlive it.
 */
export function watchOwnTerminal(): () => boolean {
  const startedOnOne = STREAMS.some((stream) => isatty(stream)) && hasTerminal();
  return () => startedOnOne && !hasTerminal();
}

/** A process that has lost its terminal, or never had one, cannot open this. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
