// The connections of a process to NATS. Live messages, writes with their acknowledgements, and
// replays never share one: the server cuts the whole connection of a slow consumer.
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { NATS_PING_MS, NATS_REQUEST_MS } from '../chat/limits.ts';

export interface NatsOptions {
  readonly servers: readonly string[];
  readonly user?: string;
  readonly password?: string;
  readonly name: string;
}

export interface NatsLink {
  readonly nc: NatsConnection;
  readonly connected: () => boolean;
  /** Called with true when the connection came back, with false when it was lost. */
  readonly onChange: (listener: (connected: boolean) => void) => () => void;
  readonly close: () => Promise<void>;
}

export async function openLink(options: NatsOptions, role: string): Promise<NatsLink> {
  const nc = await connect({
    servers: [...options.servers],
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.password === undefined ? {} : { pass: options.password }),
    name: `${options.name} ${role}`,
    // Without it seed servers that fail at first are dropped for good.
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    ignoreAuthErrorAbort: true,
    pingInterval: NATS_PING_MS,
    maxPingOut: 2,
    // The default of 20 s would outlast the ack wait where something takes the connection and is silent.
    timeout: NATS_REQUEST_MS,
    noAsyncTraces: true,
  });
  const listeners = new Set<(connected: boolean) => void>();
  let connected = true;
  const tell = (now: boolean): void => {
    if (connected === now) return;
    connected = now;
    for (const listener of listeners) listener(now);
  };
  const follow = async (): Promise<void> => {
    for await (const status of nc.status()) {
      if (status.type === 'disconnect' || status.type === 'staleConnection') tell(false);
      else if (status.type === 'reconnect') tell(true);
      else if (status.type === 'close') tell(false);
    }
  };
  void follow();
  return {
    nc,
    connected: () => connected && !nc.isClosed(),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => {
      listeners.clear();
      // Drain sends what was published, such as the last acknowledgements, before it closes.
      if (!nc.isClosed()) await (connected ? nc.drain() : nc.close());
    },
  };
}
