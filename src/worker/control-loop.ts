// Control commands never wait behind work: a loop in every process takes them. A cancel belongs to
// the worker that runs the chat; where that has not acted in time, the loop ends the chat itself
// (law 8). Any number of loops do no harm: the fence lets one of them through.
import { keyOf } from '../chat/chat-key.ts';
import type { ControlQueue, Delivery } from '../chat/commands.ts';
import { isOver } from '../chat/decisions.ts';
import { endChat } from '../chat/end-chat.ts';
import type { EventLog } from '../chat/event-log.ts';
import {
  APPEND_SETTLE_MS,
  CANCEL_TAKEOVER_MS,
  CONTROL_BATCH,
  RING_AGAIN_MS,
  WORKER_POLL_MS,
} from '../chat/limits.ts';
import type { Logger } from '../chat/logger.ts';
import { fieldsOf } from './run.ts';

export interface ControlLoopDeps {
  readonly log: EventLog;
  readonly queue: ControlQueue;
  readonly logger: Logger;
}

export interface ControlLoop {
  readonly stop: () => Promise<void>;
}

export function startControlLoop(deps: ControlLoopDeps): ControlLoop {
  const { log, queue, logger } = deps;
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
    await waitUntil(command.meta.createdAtMs + CANCEL_TAKEOVER_MS, stopping.signal);
    if (stopping.signal.aborted) return delivery.nak(0);
    for (;;) {
      const tail = await log.tail(command.chat);
      if (tail !== undefined && isOver(tail.status.mark)) return delivery.ack();
      const life = { meta: command.meta, priority: command.priority };
      const end = { kind: 'cancelled', reason: command.meta.reason } as const;
      const settled = await endChat(log, command.chat, life, tail, end, APPEND_SETTLE_MS);
      if (settled.type === 'moved') {
        // A worker that appends without pause never heard the bell: ring it again, then look again.
        queue.ring(command);
        await pause(RING_AGAIN_MS);
        continue;
      }
      if (settled.type === 'stored') {
        logger.warn(fieldsOf(command), 'a cancel was carried out in place of the chat’s worker');
        delivery.ack();
      }
      return;
    }
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
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
