// Control commands never wait behind work: a loop in every process takes them. A cancel belongs to
// the worker that runs the chat, a delete to the call that made it; what they have not done in time
// the loop does itself (law 8). Any number of loops do no harm: the fence lets one of them through.
import type { CarryOutDeps } from '../chat/log/carry-out.ts';
import { carryOutCancel, carryOutDelete } from '../chat/log/carry-out.ts';
import { keyOf } from '../chat/chat-key.ts';
import type { ControlQueue, Delivery } from '../chat/ports/commands.ts';
import { CANCEL_TAKEOVER_MS, CONTROL_BATCH, WORKER_POLL_MS } from '../chat/limits.ts';
import { fieldsOf } from '../chat/ports/log-fields.ts';
import type { Logger } from '../chat/ports/logger.ts';

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
  const waking = new Set<NodeJS.Timeout>();
  let stopping = false;
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
    // The call that made it, or the chat's worker, is to be first; a loop is for when they are gone. It
    // waits in the queue, not here: the process of the call that dies would take it along for an ack wait.
    const waitMs = leftToOthersMs(delivery);
    if (waitMs > 0) {
      delivery.nak(waitMs);
      later(waitMs);
      return;
    }
    if (command.verb === 'delete') await carryOutDelete(means, command, 0);
    else if (await carryOutCancel(means, command)) {
      logger.warn(fieldsOf(command), 'a cancel was carried out in place of the chat’s worker');
    }
    delivery.ack();
  };

  const wake = (): void => {
    if (pulling !== undefined || !rung || stopping) return;
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
  const later = (waitMs: number): void => {
    const timer = setTimeout(() => {
      waking.delete(timer);
      ring();
    }, waitMs);
    waking.add(timer);
  };
  const stopBell = queue.onControl(() => later(CANCEL_TAKEOVER_MS));
  const polling = setInterval(ring, WORKER_POLL_MS);
  ring();

  return {
    stop: async () => {
      clearInterval(polling);
      for (const timer of waking) clearTimeout(timer);
      stopBell();
      stopping = true;
      await pulling;
      await Promise.all(held.values());
      receiving.stop();
    },
  };
}

/**
 * How long the call, or the chat's worker, still has to act on the command. They have their time once,
 * before it is handed out again: the clock of the process that made it may be ahead of this one's.
 */
function leftToOthersMs({ command, deliveries }: Delivery): number {
  if (deliveries > 1) return 0;
  return Math.min(command.meta.createdAtMs + CANCEL_TAKEOVER_MS - Date.now(), CANCEL_TAKEOVER_MS);
}
