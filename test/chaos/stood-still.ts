// A worker that stood still, or was cut off, may finish the one call that it was about to make (law 8).
import type { Fault } from './history.ts';

const ABOUT_TO_CALL_MS = 1_000;

/** Whether a worker of these may have been in that state from when it was over to when it called. */
export function stoodStill(
  faults: readonly Fault[],
  isOne: (worker: string) => boolean,
  overMs: number,
  calledMs: number,
): boolean {
  return faults.some(
    ({ kind, target, atMs, untilMs }) =>
      // A worker may be at the nats-server that is cut off from the others.
      (kind === 'cut-nats' ||
        ((kind === 'pause-worker' || kind === 'cut-worker') && isOne(target))) &&
      atMs <= overMs &&
      calledMs <= untilMs + ABOUT_TO_CALL_MS,
  );
}
