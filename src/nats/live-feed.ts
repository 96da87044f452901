// The live edge of logs: core NATS, republished after it was stored, at most once.
import type { NatsConnection } from '@nats-io/transport-node';
import type { LiveFeed } from '../chat/event-log.ts';
import { recordOf } from './event-log.ts';
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
        listening: nc.flush(),
        stop: () => {
          if (!nc.isClosed()) subscription.unsubscribe();
        },
      };
    },
    onReconnect,
  };
}
