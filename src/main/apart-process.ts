// A process that runs chats apart, one after the other: a worker with one slot that is handed its commands
// by the worker that started it. Who started it is its only caller: over Node's own channel.
import { writeFileSync } from 'node:fs';
import { APART_ALIVE_MS, HAND_BACK_MS } from '../chat/limits.ts';
import { createLogger } from '../ops/logging.ts';
import type { ApartReport } from '../worker/apart.ts';
import { commandFeed } from '../worker/apart.ts';
import type { ApartOrder } from './apart/apart-protocol.ts';
import type { SetupFindings } from './findings.ts';
import { startTailrace } from './tailrace.ts';

/** A worker gives its chats HAND_BACK_MS; then its connections are closed. */
const STOP_MS = 2 * HAND_BACK_MS;

// They go to the whole process group; the worker says when the chat is to be handed back.
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
const stopped = Promise.withResolvers<void>();
process.once('SIGTERM', () => stopped.resolve());
// Its worker is gone. That is not this chat's fault: it is handed back, which counts as no attempt.
process.once('disconnect', () => stopped.resolve());

// What could not be handed back in time, or not even be begun, comes again by itself.
void stopped.promise.then(() => setTimeout(() => process.exit(1), STOP_MS));

preferToBeKilled();

const feed = commandFeed(say);
process.on('message', (message) => {
  const order = message as ApartOrder;
  switch (order.do) {
    case 'start':
      return void serve(order);
    case 'run':
      return feed.give(order.command);
    case 'stop':
      return stopped.resolve();
  }
});
setInterval(() => say({ what: 'alive' }), APART_ALIVE_MS);

/** It is told where NATS and the models are. */
const NO_PARTS: SetupFindings = { natsServer: undefined, model: undefined, page: undefined };

async function serve(order: Extract<ApartOrder, { readonly do: 'start' }>): Promise<void> {
  const { config, given } = order;
  const logger = createLogger(config.logLevel);
  try {
    await using _tailrace = await startTailrace(config, NO_PARTS, logger, process.env, {
      queue: feed.queue,
      given,
    });
    await stopped.promise;
  } catch (error) {
    logger.error({ err: error }, 'a process that was to run a chat apart could not');
    process.exitCode = 1;
  }
  process.exit();
}

function say(report: ApartReport): void {
  if (process.connected) process.send?.(report, undefined, undefined, () => undefined);
}

/** Where memory runs out, the kernel is to end this process and not the worker with its many chats. */
function preferToBeKilled(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Only Linux has it, and not everywhere may it be written: then the kernel chooses as it does.
  }
}
