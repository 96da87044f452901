// The streams and consumers, made and upgraded at start, by any number of processes at once. What is
// stored already decides: a setting that does not fit it stops the start and says why.
import type { ConsumerConfig, JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { nanos } from '@nats-io/transport-node';
import {
  ACK_WAIT_MS,
  CONTROL_ACK_WAIT_MS,
  COMMANDS_MAX_AGE_MS,
  EVENTS_MAX_AGE_MS,
  PRIORITY_LEVELS,
} from '../chat/limits.ts';
import {
  COMMANDS,
  CONTROL_CONSUMER,
  CONTROL_VERBS,
  EVENTS,
  WORK_VERBS,
  workConsumer,
} from './subjects.ts';
import { isPassing, untilLeader } from './until-leader.ts';

export interface TopologyOptions {
  /** 1, or 3 on a cluster. */
  readonly replicas: number;
}

export function ensureTopology(nc: NatsConnection, options: TopologyOptions): Promise<void> {
  return untilLeader(() => makeTopology(nc, options));
}

async function makeTopology(nc: NatsConnection, options: TopologyOptions): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  for (const wanted of wantedStreams(options)) await ensureStream(jsm, wanted);
  const consumers: WantedConsumer[] = [];
  for (let priority = 0; priority < PRIORITY_LEVELS; priority++) {
    const filters = WORK_VERBS.map((verb) => `cmd.*.*.${verb}.${priority}`);
    consumers.push(consumer(workConsumer(priority), filters, ACK_WAIT_MS));
  }
  const control = CONTROL_VERBS.map((verb) => `cmd.*.*.${verb}.*`);
  consumers.push(consumer(CONTROL_CONSUMER, control, CONTROL_ACK_WAIT_MS));
  await Promise.all(consumers.map((each) => ensureConsumer(jsm, each)));
}

export type WantedStream = Partial<StreamConfig> & Pick<StreamConfig, 'name' | 'subjects'>;

/** As a start makes them. */
export function wantedStreams(options: TopologyOptions): readonly WantedStream[] {
  return [
    {
      ...common(options),
      name: COMMANDS,
      description: 'Tailrace: what is asked of chats',
      subjects: ['cmd.>'],
      max_age: nanos(COMMANDS_MAX_AGE_MS),
      republish: { src: 'cmd.>', dest: 'bell.cmd.>', headers_only: true },
    },
    {
      ...common(options),
      name: EVENTS,
      description: 'Tailrace: the logs of chats',
      subjects: ['log.>'],
      max_age: nanos(EVENTS_MAX_AGE_MS),
      republish: { src: 'log.>', dest: 'live.>' },
    },
  ];
}

function common(options: TopologyOptions): Partial<StreamConfig> {
  return {
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: DiscardPolicy.New,
    allow_direct: true,
    // Anything else would eat the logs from their beginning.
    max_msgs_per_subject: -1,
    num_replicas: options.replicas,
  };
}

type WantedConsumer = Partial<ConsumerConfig> & { readonly durable_name: string };

function consumer(name: string, filters: readonly string[], ackWaitMs: number): WantedConsumer {
  return {
    durable_name: name,
    filter_subjects: [...filters],
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitMs),
    deliver_policy: DeliverPolicy.All,
    // A reached max_deliver would be silently dead work; attempts are counted in the log.
    max_deliver: -1,
    // Slots are the bound; the default of 1,000 would cap the chats that run.
    max_ack_pending: -1,
  };
}

/** Cannot be changed once messages are stored under them. */
const FIXED = ['retention', 'storage', 'discard'] as const;
const STREAM_NAME_IN_USE = 10058;
const STREAM_NOT_FOUND = 10059;
const SUBJECTS_OVERLAP = 10065;
const CONSUMER_EXISTS = 10148;

async function ensureStream(jsm: JetStreamManager, wanted: WantedStream): Promise<void> {
  const stored = await streamConfig(jsm, wanted);
  if (stored === undefined) return;
  refuseUnfit(stored, wanted);
  const change: Partial<StreamConfig> = {};
  if (!sameSettings(stored, wanted)) Object.assign(change, wanted);
  if (Object.keys(change).length > 0) await jsm.streams.update(wanted.name, change);
}

/** Throws where a start would refuse the stream as it is; what else differs a start changes. */
export function refuseUnfit(stored: StreamConfig, wanted: WantedStream): void {
  for (const setting of FIXED) {
    if (stored[setting] !== wanted[setting]) {
      throw new TopologyError(
        `The NATS stream ${wanted.name} has ${setting} "${stored[setting]}", and Tailrace needs "${wanted[setting]}". It cannot be changed on a stream that holds chats. Use another NATS account, or move the stream away.`,
      );
    }
  }
  if (stored.mirror !== undefined) {
    throw new TopologyError(
      `The NATS stream ${wanted.name} is a mirror of ${stored.mirror.name}; nothing can be written to it. Use another NATS account, or rename that stream.`,
    );
  }
  const foreign = stored.subjects.filter((subject) => !wanted.subjects.includes(subject));
  if (foreign.length > 0) {
    throw new TopologyError(
      `The NATS stream ${wanted.name} also holds the subjects ${foreign.join(', ')}, so it is not Tailrace's own. Use another NATS account, or rename that stream.`,
    );
  }
}

/** Makes the stream; undefined when that succeeded, else how it is stored already. */
async function streamConfig(
  jsm: JetStreamManager,
  wanted: WantedStream,
): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(wanted.name)).config;
  } catch (error) {
    if (apiCode(error) !== STREAM_NOT_FOUND) throw error;
  }
  try {
    await jsm.streams.add(wanted);
    return undefined;
  } catch (error) {
    if (apiCode(error) === SUBJECTS_OVERLAP) {
      throw new TopologyError(
        `Another NATS stream already holds subjects under ${wanted.subjects.join(', ')}, which Tailrace's ${wanted.name} needs. Use another NATS account, or move that stream away.`,
        { cause: error },
      );
    }
    // Another process made it in the same moment.
    if (apiCode(error) !== STREAM_NAME_IN_USE) throw error;
    return (await jsm.streams.info(wanted.name)).config;
  }
}

export function sameSettings(stored: StreamConfig, wanted: WantedStream): boolean {
  return (
    stored.max_age === wanted.max_age &&
    stored.allow_direct === wanted.allow_direct &&
    stored.max_msgs_per_subject === wanted.max_msgs_per_subject &&
    stored.num_replicas === wanted.num_replicas &&
    stored.description === wanted.description &&
    stored.republish?.src === wanted.republish?.src &&
    stored.republish?.dest === wanted.republish?.dest &&
    (stored.republish?.headers_only ?? false) === (wanted.republish?.headers_only ?? false)
  );
}

async function ensureConsumer(jsm: JetStreamManager, wanted: WantedConsumer): Promise<void> {
  try {
    // Making an equal one again is a no-op.
    await jsm.consumers.add(COMMANDS, wanted);
    return;
  } catch (error) {
    if (apiCode(error) !== CONSUMER_EXISTS) throw error;
  }
  try {
    await jsm.consumers.update(COMMANDS, wanted.durable_name, wanted);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || isPassing(error)) throw error;
    throw new TopologyError(
      `The NATS consumer ${wanted.durable_name} of ${COMMANDS} is not as Tailrace needs it and cannot be changed (${error.message}). Delete that consumer: it holds no chats, only the place in the queue.`,
      { cause: error },
    );
  }
}

function apiCode(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined;
}

export class TopologyError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TopologyError';
  }
}
