// Control commands never wait behind work: a loop in every process takes them. A cancel belongs to
// the worker that runs the chat, a delete to the call that made it; what they have not done in time
// the loop does itself (law 8). Any number of loops do no harm: the fence lets one of them through.
import type { CarryOutDeps } from '../chat/carry-out.ts';
import { carryOutCancel, carryOutDelete } from '../chat/carry-out.ts';
import { keyOf } from '../chat/chat-key.ts';
import type { ControlQueue, Delivery } from '../chat/commands.ts';
import { CANCEL_TAKEOVER_MS, CONTROL_BATCH, WORKER_POLL_MS } from '../chat/limits.ts';
import type { Logger } from '../chat/logger.ts';
import { fieldsOf } from './run.ts';

export interface ControlLoopDeps extends Omit<CarryOutDeps, 'ring'> {
  readonly queue: ControlQueue;
  readonly logger: Logger;
}

export interface ControlLoop {
  readonly stop: () => Promise<void>;
}

export function startControlLoop(deps: ControlLoopDeps): ControlLoop {
  const { queue, logger } = deps;
  const means: CarryOutDeps = { ...deps, ring: queue.ring };
  const held = new Map<string, Promise<void>>();
  const stopping = new AbortController();
  let pulling: Promise<void> | undefined;
  let rung = true;

  const receiving = queue.receiveControl((delivery) => {
    const key = `${keyOf(delivery.command.chat)}/${delivery.command.sequence}`;
    if (held.has(key)) return;
    const done = carryOut(delivery)
      .catch((error: unknown) => {
        // Neither acknowledged nor handed back: it comes again after the ack wait.
        logger.warn(
          { ...fieldsOf(delivery.command), err: error },
          'a control command was left to its redelivery',
        );
      })
      .finally(() => held.delete(key));
    held.set(key, done);
  });

  const carryOut = async (delivery: Delivery): Promise<void> => {
    const { command } = delivery;
    // The call that made it, or the chat's worker, is to be first; a loop is for when they are gone.
    await waitUntil(command.meta.createdAtMs + CANCEL_TAKEOVER_MS, stopping.signal);
    if (stopping.signal.aborted) return delivery.nak(0);
    if (command.verb === 'delete') await carryOutDelete(means, command);
    else if (await carryOutCancel(means, command)) {
      logger.warn(fieldsOf(command), 'a cancel was carried out in place of the chat’s worker');
    }
    delivery.ack();
  };

  const wake = (): void => {
    if (pulling !== undefined || !rung || stopping.signal.aborted) return;
    rung = false;
    pulling = receiving.pull(CONTROL_BATCH, true).then((got) => {
      pulling = undefined;
      if (got >= CONTROL_BATCH) rung = true;
      wake();
    });
  };
  const ring = (): void => {
    rung = true;
    wake();
  };
  const stopBell = queue.onControl(ring);
  const polling = setInterval(ring, WORKER_POLL_MS);
  ring();

  return {
    stop: async () => {
      clearInterval(polling);
      stopBell();
      stopping.abort();
      await pulling;
      await Promise.all(held.values());
      receiving.stop();
    },
  };
}

async function waitUntil(atMs: number, signal: AbortSignal): Promise<void> {
  const leftMs = atMs - Date.now();
  if (leftMs <= 0 || signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, leftMs);
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
  clearTimeout(timer);
}
