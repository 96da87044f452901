// One clock for all streams. A timer per token would cost more than the token at 14,000 a second.

export interface Pacer {
  /** Calls back at the first tick at or after `at` (performance.now()). */
  readonly at: (at: number, run: () => void) => Scheduled;
}

export interface Scheduled {
  readonly cancel: () => void;
}

const TICK_MS = 1;
/** Longer waits are rare: they get a timer of their own and do not keep the clock going. */
const LONG_WAIT_MS = 100;

interface Entry {
  run: (() => void) | undefined;
}

export function createPacer(): Pacer {
  const byTick = new Map<number, Entry[]>();
  let nextTick = 0;
  let running = false;

  function tick(): void {
    const now = Math.floor(performance.now() / TICK_MS);
    for (; nextTick <= now; nextTick++) {
      const due = byTick.get(nextTick);
      if (due === undefined) continue;
      byTick.delete(nextTick);
      for (const entry of due) entry.run?.();
    }
    running = byTick.size > 0;
    if (running) setTimeout(tick, TICK_MS);
  }

  return {
    at(at, run) {
      const now = performance.now();
      if (at - now > LONG_WAIT_MS) {
        const timer = setTimeout(run, at - now);
        return { cancel: () => clearTimeout(timer) };
      }
      if (!running) {
        running = true;
        nextTick = Math.floor(now / TICK_MS);
        setTimeout(tick, TICK_MS);
      }
      const slot = Math.max(Math.ceil(at / TICK_MS), nextTick + 1);
      const entry: Entry = { run };
      const entries = byTick.get(slot);
      if (entries === undefined) byTick.set(slot, [entry]);
      else entries.push(entry);
      return {
        cancel() {
          entry.run = undefined;
        },
      };
    },
  };
}
