// Taking commands for free slots: the bell says which priority has work, a poll each second finds
// what a lost bell left, and the order in which they get the slots is that of serving-order.ts.
import type { Delivery, WorkQueue } from '../chat/ports/commands.ts';
import { PRIORITY_LEVELS, WORKER_POLL_MS, WORKER_PULL_BATCH } from '../chat/limits.ts';
import type { Grant } from './serving-order.ts';
import { ServingOrder } from './serving-order.ts';

export interface Taking {
  /** A slot came free. */
  readonly wake: () => void;
  /** Asks for nothing more, and resolves when all that was asked for has come. */
  readonly stop: () => Promise<void>;
}

export function startTaking(
  queue: WorkQueue,
  slots: number,
  running: () => number,
  take: (delivery: Delivery) => void,
): Taking {
  /** Commands announced by the bell and not asked for yet, by priority. */
  const rung = new Map<number, number>();
  /** Priorities that may hold commands whose bell was lost. */
  const unsure = new Set<number>();
  /** Slots kept for pulls that are under way, by priority. */
  const reserved = new Map<number, number>();
  const pulls = new Set<Promise<void>>();
  const order = new ServingOrder();
  let stopped = false;

  const receiving = queue.receiveWork((delivery) => {
    const { priority } = delivery.command;
    const kept = reserved.get(priority);
    if (kept !== undefined && kept > 0) reserved.set(priority, kept - 1);
    take(delivery);
  });

  const free = (): number => {
    let kept = 0;
    for (const each of reserved.values()) kept += each;
    return slots - running() - kept;
  };

  const wake = (): void => {
    for (;;) {
      const room = stopped ? 0 : Math.min(free(), WORKER_PULL_BATCH);
      const waiting = [...new Set([...unsure, ...rung.keys()])].filter((p) => !reserved.has(p));
      if (room <= 0 || waiting.length === 0) return;
      const grant = order.grant(waiting, room);
      const { priority } = grant;
      const polled = unsure.delete(priority);
      const announced = rung.get(priority) ?? 0;
      rung.delete(priority);
      // A poll takes what is there at once. What was announced is worth a moment of waiting, in as
      // many slots as were announced: the others stay free for other priorities.
      const pulling = polled
        ? pull(grant, grant.slots, false)
        : pull(grant, Math.min(grant.slots, announced), true);
      pulls.add(pulling);
      void pulling.then(() => pulls.delete(pulling));
    }
  };

  const pull = async (grant: Grant, batch: number, linger: boolean): Promise<void> => {
    const { priority } = grant;
    reserved.set(priority, batch);
    const got = await receiving.pull(priority, batch, linger);
    reserved.delete(priority);
    order.used(grant, got);
    // As many as asked for: there may be more.
    if (got >= batch) unsure.add(priority);
    wake();
  };

  const stopBell = queue.onWork((priority) => {
    rung.set(priority, (rung.get(priority) ?? 0) + 1);
    wake();
  });
  const pollAll = (): void => {
    for (let priority = 0; priority < PRIORITY_LEVELS; priority++) unsure.add(priority);
    wake();
  };
  const polling = setInterval(pollAll, WORKER_POLL_MS);
  const stopReconnect = queue.onReconnect(pollAll);
  pollAll();

  return {
    wake,
    stop: async () => {
      stopped = true;
      clearInterval(polling);
      stopBell();
      stopReconnect();
      await Promise.all(pulls);
      receiving.stop();
    },
  };
}
