// A store with many chats in it, written as api and worker would write them, but without the two: a
// hundred thousand starts through the rpc would take minutes.
import { create, toBinary } from '@bufbuild/protobuf';
import { createHash, randomUUID } from 'node:crypto';
import { v7 as uuidV7 } from 'uuid';
import { FailureReason, StopReason, UsageSchema } from '../gen/tailrace/v1/chat_stream_pb.ts';
import { InitiateChatStreamRequestSchema } from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../gen/tailrace/v1/content_pb.ts';
import { EventSchema } from '../gen/tailrace/v1/event_pb.ts';
import { RUN_TIMEOUT_MS } from '../src/chat/limits.ts';
import type { ChatKey } from '../src/chat/chat-key.ts';
import type { Command } from '../src/chat/ports/commands.ts';
import { FIRST_CLAIM } from '../src/chat/decisions/decisions.ts';
import type { AppendOutcome, StatusMark } from '../src/chat/ports/event-log.ts';
import { timestampFromMillis } from '../src/chat/log/event-time.ts';
import { changedMark, runEnds } from '../src/chat/decisions/marks.ts';
import { encodeBatch } from '../src/chat/log/record.ts';
import type { End, EventPayload } from '../src/chat/decisions/terminal.ts';
import { endPayload } from '../src/chat/decisions/terminal.ts';
import type { NatsAdapter } from '../src/nats/adapter.ts';
import { claimMark, claimPayload } from '../src/worker/log/claim.ts';

const TENANT = 'default';
const PARALLEL = 200;
const DAY_MS = 86_400_000;
/** Between one chat and the next, so that 100,000 lie within 22 hours. */
const APART_MS = 800;
const MODEL = 'test-model';
const TEXT = 'Water that has done its work at the wheel leaves by the tailrace.';
const USAGE = create(UsageSchema, { inputTokens: 12, outputTokens: 14, modelCalls: 1 });

/** Of chat `i` of `count`: the newest thousand are queued, the thousand before them run. */
const QUEUED = 1_000;
const RUNNING = 1_000;

/** What the chats differ in, and so what they can be asked for by. */
export const FAILED_EVERY = 1_000;
export const CANCELLED_EVERY = 100;
export const CHATS_OF_A_TRACE = 50;
export const TEAMS = 10;

/** Resolves with when the newest of them was created. */
export async function writeManyChats(nats: NatsAdapter, count: number): Promise<number> {
  const newestMs = Date.now();
  let next = 0;
  const write = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      await writeChat(nats, i, newestMs - (count - i) * APART_MS, lifeOf(i, count));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, write));
  return newestMs;
}

type Life = 'queued' | 'running' | End;

function lifeOf(i: number, count: number): Life {
  if (i >= count - QUEUED) return 'queued';
  if (i >= count - QUEUED - RUNNING) return 'running';
  if (i % FAILED_EVERY === 0) {
    const message = 'The model server ended the answer in the middle.';
    return { kind: 'failed', reason: FailureReason.UPSTREAM_CUT, message, retryable: true };
  }
  if (i % CANCELLED_EVERY === 1) return { kind: 'cancelled', reason: 'enough' };
  return { kind: 'completed', stopReason: StopReason.END_TURN };
}

async function writeChat(
  nats: NatsAdapter,
  i: number,
  createdAtMs: number,
  life: Life,
): Promise<void> {
  const chat: ChatKey = { tenant: TENANT, streamId: uuidV7({ msecs: createdAtMs }) };
  const start = startOf(chat, i, createdAtMs);
  const sequence = storedAt(await nats.inbox.publish(start, 0));
  if (life === 'queued') return;

  let eventSequence = 0;
  let last = 0;
  const append = async (payloads: readonly EventPayload[], mark?: StatusMark): Promise<void> => {
    const events = payloads.map((payload) =>
      create(EventSchema, {
        sequence: ++eventSequence,
        attempt: 1,
        time: timestampFromMillis(createdAtMs),
        correlationId: start.meta.correlationId,
        payload,
      }),
    );
    const record = { appendId: randomUUID(), data: encodeBatch(events), mark };
    last = storedAt(await nats.log.append(chat, last, record));
  };
  const command = { ...start, sequence };
  const claim = claimMark(command, FIRST_CLAIM, 'bench', createdAtMs);
  await append([claimPayload(command, FIRST_CLAIM)], claim);
  if (life === 'running') return;
  const sha256 = createHash('sha256').update(TEXT).digest('hex');
  await append([{ case: 'textDelta', value: { index: 0, text: TEXT } }]);
  await append(
    [endPayload(life, { sequence: 3, sha256, usage: USAGE })],
    changedMark(claim, runEnds(claim, life), { firstSequence: 3, lastSequence: 3 }),
  );
}

function startOf(chat: ChatKey, i: number, createdAtMs: number): Omit<Command, 'sequence'> {
  const message = {
    role: Role.USER,
    content: [{ block: { case: 'text', value: `What is a tailrace? (${i})` } as const }],
  };
  const request = create(InitiateChatStreamRequestSchema, { request: { messages: [message] } });
  const data = toBinary(InitiateChatStreamRequestSchema, request);
  return {
    chat,
    verb: 'start',
    priority: 5,
    meta: {
      appendId: randomUUID(),
      createdAtMs,
      expiresAtMs: createdAtMs + 7 * DAY_MS,
      correlationId: `trace-${Math.floor(i / CHATS_OF_A_TRACE)}`,
      traceparent: '',
      model: MODEL,
      runTimeoutMs: RUN_TIMEOUT_MS,
      requestHash: createHash('sha256').update(data).digest('hex'),
      metadata: { env: 'production', team: `team-${i % TEAMS}`, order: String(i) },
      reason: '',
      results: 0,
    },
    data,
  };
}

function storedAt(outcome: AppendOutcome): number {
  if (outcome.type !== 'stored') throw new Error(`a write was ${outcome.type}`);
  return outcome.storeSequence;
}
