// The live edge of logs: core NATS, republished after it was stored, at most once.
import type { NatsConnection } from '@nats-io/transport-node';
import type { LiveFeed } from '../chat/ports/event-log.ts';
import { NATS_REQUEST_MS } from '../chat/limits.ts';
import { recordOf } from './event-log.ts';
import { logUnavailable } from './ask-leader.ts';
import { liveSubject } from './subjects.ts';

export function natsLiveFeed(
  nc: NatsConnection,
  onReconnect: (listener: () => void) => () => void,
): LiveFeed {
  return {
    subscribe: (chat, onRecord) => {
      const subscription = nc.subscribe(liveSubject(chat), {
        callback: (error, msg) => {
          if (error !== null || msg.headers === undefined) return;
          onRecord(recordOf(msg.headers, msg.data));
        },
      });
      return {
        listening: flushed(nc),
        stop: () => {
          if (!nc.isClosed()) subscription.unsubscribe();
        },
      };
    },
    onReconnect,
  };
}

/** The server has everything that was sent before. Rejects with ChatError LOG_UNAVAILABLE. */
async function flushed(nc: NatsConnection): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Error(`a subscription was not confirmed within ${NATS_REQUEST_MS} ms`));
  }, NATS_REQUEST_MS);
  try {
    await Promise.race([nc.flush(), late.promise]);
  } catch (cause) {
    throw logUnavailable(cause);
  } finally {
    clearTimeout(timer);
  }
}
