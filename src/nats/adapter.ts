// src/nats: the only place that knows NATS. Everything above it sees the ports of src/chat. What does
// not belong here: any decision about a chat; those are in src/chat.
import type { ChangeFeed } from '../chat/ports/chat-list.ts';
import type { CommandInbox, ControlQueue, WorkQueue } from '../chat/ports/commands.ts';
import type { EventLog, LiveFeed, LogEraser } from '../chat/ports/event-log.ts';
import { MAX_REQUEST_BYTES, NATS_REQUEST_MS } from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import { inboxWithin, logWithin, queueWithin } from '../chat/log/store-room.ts';
import { natsChangeFeed } from './change-feed.ts';
import { natsCommandInbox } from './command-inbox.ts';
import type { NatsOptions } from './connection.ts';
import { openLink } from './connection.ts';
import { openExchange } from './exchange.ts';
import { natsEventLog, natsLogEraser } from './event-log.ts';
import { natsLiveFeed } from './live-feed.ts';
import { confirmLeaders } from './quorum.ts';
import type { StoreLimits } from './store-gauge.ts';
import { openStoreGauge } from './store-gauge.ts';
import type { TopologyOptions } from './topology.ts';
import { ensureTopology } from './topology.ts';
import { natsControlQueue, natsWorkQueue } from './work-queue.ts';

export interface NatsAdapter extends AsyncDisposable {
  readonly log: EventLog;
  readonly eraser: LogEraser;
  readonly live: LiveFeed;
  readonly inbox: CommandInbox;
  readonly work: WorkQueue;
  readonly control: ControlQueue;
  readonly changes: ChangeFeed;
  /** The largest request that fits a message of this server. */
  readonly maxRequestBytes: number;
  readonly connected: () => boolean;
  readonly onConnectedChange: (listener: (connected: boolean) => void) => () => void;
}

/** What headers and subject take beside a request in one message: metadata of 32 × 576 characters, of
 * six bytes each at the worst in JSON, are the most of it. */
const MESSAGE_OVERHEAD_BYTES = 128 * 1024;

export interface AdapterOptions extends NatsOptions, TopologyOptions {
  readonly store: StoreLimits;
  readonly logger: Logger;
}

export async function openNats(options: AdapterOptions): Promise<NatsAdapter> {
  const [live, writes, replays] = await Promise.all([
    openLink(options, 'live'),
    openLink(options, 'writes'),
    openLink(options, 'replays'),
  ]);
  const links = [live, writes, replays];
  const closeAll = async (): Promise<void> => {
    await Promise.all(links.map((link) => link.close()));
  };
  try {
    await ensureTopology(writes.nc, options);
  } catch (error) {
    await closeAll();
    throw error;
  }
  const connected = (): boolean => links.every((link) => link.connected());
  const onConnectedChange = (listener: (connected: boolean) => void): (() => void) => {
    const stops = links.map((link) => link.onChange(() => listener(connected())));
    return () => stops.forEach((stop) => stop());
  };
  const onReconnect = (listener: () => void): (() => void) =>
    onConnectedChange((now) => {
      if (now) listener();
    });
  const exchange = openExchange(writes.nc, NATS_REQUEST_MS, (listener) =>
    writes.onChange((now) => {
      if (now) listener();
    }),
  );
  const confirmed = confirmLeaders(exchange, options.replicas);
  const maxPayload = writes.nc.info?.max_payload ?? 0;
  const room = await openStoreGauge(exchange, options.store, options.replicas, options.logger);
  return {
    log: logWithin(natsEventLog(exchange, replays.nc), room),
    eraser: natsLogEraser(exchange),
    live: natsLiveFeed(live.nc, onReconnect),
    inbox: inboxWithin(natsCommandInbox(exchange, confirmed), room),
    work: queueWithin(natsWorkQueue(exchange, live.nc, onReconnect), room),
    control: natsControlQueue(exchange, live.nc),
    changes: natsChangeFeed(exchange, replays.nc, confirmed),
    maxRequestBytes: Math.min(MAX_REQUEST_BYTES, maxPayload - MESSAGE_OVERHEAD_BYTES),
    connected,
    onConnectedChange,
    [Symbol.asyncDispose]: async () => {
      room.stop();
      exchange.close();
      await closeAll();
    },
  };
}
