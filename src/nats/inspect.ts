// A look at a NATS server as `tailrace doctor` reports it: whether it can be used, and what it holds. Changes
// nothing.
import type { StreamConfig } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { z } from 'zod';
import { DOCTOR_LOOK_MS, MAX_REQUEST_BYTES } from '../chat/limits.ts';
import { refuseUnfit, sameSettings, wantedStreams, type WantedStream } from './topology.ts';

export interface NatsAccess {
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly replicas: number;
}

export interface NatsSight {
  readonly version: string;
  readonly newEnough: boolean;
  readonly rttMs: number;
  readonly maxPayloadBytes: number;
  /** What it takes of a request that is as large as one may be. */
  readonly wholePayload: boolean;
  /** Undefined: it is there; else why not. */
  readonly noJetStream: string | undefined;
  readonly streams: readonly StreamSight[];
}

export interface StreamSight {
  readonly name: string;
  /** Undefined: not made yet. */
  readonly stored:
    | {
        readonly messages: number;
        readonly bytes: number;
        readonly replicas: number;
        readonly leader: string | undefined;
        /** Copies that are not up to date. */
        readonly lagging: readonly string[];
        /** Why a start would refuse it. */
        readonly unfit: string | undefined;
        /** A start would change its settings. */
        readonly outdated: boolean;
        /** The server's clock less this machine's. */
        readonly clockMs: number;
      }
    | undefined;
}

/** Fences over wildcards, their refusals in process, and batched direct gets are all there from it on. */
const NATS_MINIMUM = [2, 12] as const;
export const NATS_MINIMUM_TEXT = NATS_MINIMUM.join('.');

const Failed = z.object({ error: z.object({ code: z.number(), description: z.string() }) });
const STREAM_MISSING = 404;
const Info = z.object({
  ts: z.string().optional(),
  config: z.record(z.string(), z.unknown()),
  state: z.object({ messages: z.number(), bytes: z.number() }),
  cluster: z
    .object({
      leader: z.string().optional(),
      replicas: z.array(z.object({ name: z.string(), current: z.boolean() })).nullish(),
    })
    .optional(),
});

/** Rejects where no server can be reached. */
export async function inspectNats(access: NatsAccess): Promise<NatsSight> {
  const { servers, user, password } = access;
  const nc = await connect({
    servers: [...servers],
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    name: 'tailrace doctor',
    timeout: DOCTOR_LOOK_MS,
    reconnect: false,
    noAsyncTraces: true,
  });
  try {
    const { version = '?', max_payload: maxPayloadBytes = 0 } = nc.info ?? {};
    const rttMs = await nc.rtt();
    const account = await ask(nc, 'INFO');
    const noJetStream = 'failed' in account ? account.failed : undefined;
    const streams =
      noJetStream === undefined
        ? await Promise.all(wantedStreams(access).map((wanted) => inspectStream(nc, wanted)))
        : [];
    return {
      version,
      newEnough: isNewEnough(version),
      rttMs,
      maxPayloadBytes,
      wholePayload: maxPayloadBytes > MAX_REQUEST_BYTES,
      noJetStream,
      streams,
    };
  } finally {
    await nc.close();
  }
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > NATS_MINIMUM[0] || (major === NATS_MINIMUM[0] && minor >= NATS_MINIMUM[1]);
}

async function inspectStream(nc: NatsConnection, wanted: WantedStream): Promise<StreamSight> {
  const { name } = wanted;
  const askedMs = Date.now();
  const answer = await ask(nc, `STREAM.INFO.${name}`);
  if ('failed' in answer) {
    if (answer.code === STREAM_MISSING) return { name, stored: undefined };
    throw new Error(`The NATS stream ${name} cannot be looked at: ${answer.failed}`);
  }
  const midMs = (askedMs + Date.now()) / 2;
  const info = Info.parse(answer.value);
  // As the JetStream client has it.
  const config = info.config as unknown as StreamConfig;
  const copies = info.cluster?.replicas ?? [];
  return {
    name,
    stored: {
      messages: info.state.messages,
      bytes: info.state.bytes,
      replicas: config.num_replicas,
      leader: info.cluster?.leader,
      lagging: copies.flatMap((copy) => (copy.current ? [] : [copy.name])),
      unfit: unfitness(config, wanted),
      outdated: !sameSettings(config, wanted),
      clockMs: info.ts === undefined ? 0 : Date.parse(info.ts) - midMs,
    },
  };
}

function unfitness(stored: StreamConfig, wanted: WantedStream): string | undefined {
  try {
    refuseUnfit(stored, wanted);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

type Answer =
  | { readonly value: unknown }
  | { readonly failed: string; readonly code: number | undefined };

async function ask(nc: NatsConnection, verb: string): Promise<Answer> {
  try {
    const message = await nc.request(`$JS.API.${verb}`, undefined, { timeout: DOCTOR_LOOK_MS });
    const value: unknown = message.json();
    const failed = Failed.safeParse(value);
    if (!failed.success) return { value };
    const { code, description } = failed.data.error;
    return { failed: description, code };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error), code: undefined };
  }
}
