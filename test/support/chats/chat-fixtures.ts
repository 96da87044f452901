// Chats for tests: made, cancelled and read by the product's own calls, and held against the laws that
// every log keeps.
import assert from 'node:assert/strict';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, fromBinary } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { type ChatRequest, ChatRequestSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type {
  InitiateChatStreamRequest,
  InitiateChatStreamResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { EventBatchSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../../../src/chat/fold/answer.ts';
import { canonicalRequest } from '../../../src/chat/request/canonical.ts';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import type { Command, CommandInbox } from '../../../src/chat/ports/commands.ts';
import { isOver } from '../../../src/chat/decisions/status.ts';
import type { EventLog, LogRecord, LogTail } from '../../../src/chat/ports/event-log.ts';
import type { ServerTool, ToolOpener } from '../../../src/chat/ports/tool.ts';
import type { Logger } from '../../../src/chat/ports/logger.ts';
import type { ModelClient } from '../../../src/chat/ports/model.ts';
import { recordsUpTo } from '../../../src/chat/log/read-log.ts';
import type { Opener } from '../../../src/chat/ports/sealing.ts';
import type { NatsAdapter } from '../../../src/nats/adapter.ts';
import { createSealing } from '../../../src/ops/sealing.ts';
import { cancelChatStream } from '../../../src/rpc/calls/cancel-chat-stream.ts';
import {
  initiateChatStream,
  type InitiateDeps,
} from '../../../src/rpc/calls/initiate-chat-stream.ts';
import type { Tracer } from '../../../src/chat/ports/span.ts';
import { UNTRACED } from '../../../src/chat/ports/span.ts';
import { traceparentOf } from '../../../src/chat/trace.ts';
import { databaseChecker } from '../../../src/tools/databases/database-checks.ts';
import { startControlLoop } from '../../../src/worker/control-loop.ts';
import type { Worker } from '../../../src/worker/worker.ts';
import type { Apart } from '../../../src/worker/apart.ts';
import { startWorker } from '../../../src/worker/worker.ts';
import { TEST_MODEL_INFO } from './test-model.ts';
import { SILENT } from '../processes/nats.ts';
import { HANGS_MS, until } from '../until.ts';
import { testMeta } from './test-meta.ts';

export const TENANT = 'default';

export function chatKey(streamId: string = randomUUID()): ChatKey {
  return { tenant: TENANT, streamId };
}

export interface ChatInit {
  readonly streamId?: string;
  readonly text?: string;
  readonly ttlMs?: number;
  readonly awaitToolResults?: boolean;
  readonly request?: MessageInitShape<typeof ChatRequestSchema>;
}

export function initiateRequest(init: ChatInit = {}): InitiateChatStreamRequest {
  const { streamId, text = 'hi', ttlMs, awaitToolResults = false, request } = init;
  return create(InitiateChatStreamRequestSchema, {
    ...(streamId === undefined ? {} : { streamId }),
    awaitToolResults,
    ...(ttlMs === undefined
      ? {}
      : {
          ttl: { seconds: BigInt(Math.floor(ttlMs / 1_000)), nanos: (ttlMs % 1_000) * 1_000_000 },
        }),
    request: create(ChatRequestSchema, {
      messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: text } }] }],
      ...request,
    }),
  });
}

/** Chats of tests carry no secrets, unless they are about them. */
export const NO_KEYS = createSealing([]);

/** A list that knows of no chat. */
export const NO_LIST = { queued: () => 0, position: () => 0 };

/** What a test may put in the place of an adapter's own ports, to watch or to hold them. */
export type Ports = Pick<NatsAdapter, 'inbox' | 'log'>;

export function initiateDeps(ports: Ports): InitiateDeps {
  return {
    list: NO_LIST,
    ...ports,
    logger: SILENT,
    models: () => Promise.resolve([TEST_MODEL_INFO]),
    ownMcpServers: () => [],
    readDocuments: (request: ChatRequest) => Promise.resolve(request),
    checkDatabase: databaseChecker([]),
    tokens: { count: () => Promise.resolve(undefined) },
    sealer: NO_KEYS,
    maxRequestBytes: 8 * 1024 * 1024,
  };
}

export function initiate(
  ports: Ports,
  init: ChatInit = {},
): Promise<MessageInitShape<typeof InitiateChatStreamResponseSchema>> {
  const deps = initiateDeps(ports);
  return initiateChatStream(deps, TENANT, initiateRequest(init), traceparentOf(null));
}

export async function startChat(ports: Ports, init: ChatInit = {}): Promise<ChatKey> {
  const { streamId } = await initiate(ports, init);
  assert.ok(streamId !== undefined);
  return chatKey(streamId);
}

/** A chat that was accepted long ago, as one is after every process was down. */
export async function startedAt(
  { inbox }: Pick<Ports, 'inbox'>,
  createdAtMs: number,
  expiresAtMs: number,
  init: ChatInit = {},
): Promise<ChatKey> {
  const chat = chatKey();
  const { bytes, hash } = canonicalRequest(initiateRequest(init));
  const start: Omit<Command, 'sequence'> = {
    chat,
    verb: 'start',
    priority: 5,
    meta: testMeta({
      appendId: chat.streamId,
      createdAtMs,
      expiresAtMs,
      correlationId: 'trace',
      requestHash: hash,
    }),
    data: bytes,
  };
  assert.equal((await inbox.publish(start, 0)).type, 'stored');
  return chat;
}

export function cancel(ports: Ports, chat: ChatKey, reason = 'enough'): Promise<ChatStream> {
  const deps = {
    ...ports,
    logger: SILENT,
    untilOver: async (chat: ChatKey, timeoutMs: number) => {
      await untilOver(ports.log, chat, timeoutMs).catch(() => undefined);
    },
  };
  return cancelChatStream(deps, chat, reason, new AbortController().signal);
}

/** These, whatever a request asks for. */
export function openedTools(tools: readonly ServerTool[]): ToolOpener {
  return () =>
    Promise.resolve({
      missing: undefined,
      current: () => Promise.resolve(tools),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
}

export interface TestWorker extends Worker, AsyncDisposable {}

export function runWorker(
  nats: Pick<NatsAdapter, 'log' | 'work'>,
  model: ModelClient,
  options: {
    readonly slots?: number;
    readonly logger?: Logger;
    readonly opener?: Opener;
    readonly tools?: readonly ServerTool[];
    readonly tracer?: Tracer;
    readonly apart?: Apart;
  } = {},
): TestWorker {
  const { slots = 8, logger = SILENT, opener = NO_KEYS, tools = [], tracer = UNTRACED } = options;
  const { apart } = options;
  const { log, work } = nats;
  const worker = startWorker({
    log,
    queue: work,
    models: () => model,
    opener,
    openTools: openedTools(tools),
    tracer,
    logger,
    slots,
    apart,
  });
  return { ...worker, [Symbol.asyncDispose]: worker.stop };
}

export function runControlLoop(nats: NatsAdapter, logger: Logger = SILENT): AsyncDisposable {
  const { log, inbox, eraser, control: queue } = nats;
  const loop = startControlLoop({ log, inbox, eraser, queue, logger });
  return { [Symbol.asyncDispose]: loop.stop };
}

export async function startCommandOf(
  inbox: CommandInbox,
  chat: ChatKey,
): Promise<NonNullable<Awaited<ReturnType<CommandInbox['start']>>>> {
  const start = await inbox.start(chat);
  assert.ok(start !== undefined);
  return start;
}

export async function recordsOf(log: EventLog, chat: ChatKey): Promise<LogRecord[]> {
  const tail = await log.tail(chat);
  const records: LogRecord[] = [];
  if (tail === undefined) return records;
  for await (const page of recordsUpTo(log, chat, 0, tail.last.storeSequence))
    records.push(...page);
  return records;
}

export function eventsOf(records: readonly LogRecord[]): Event[] {
  return records.flatMap((record) => fromBinary(EventBatchSchema, record.data).events);
}

/** The text that a client has after these events, lost attempts left out. */
export function textOf(events: readonly Event[]): string {
  const fold = new AnswerFold();
  for (const event of events) fold.apply(event);
  return fold
    .output()
    .map(({ block }) => (block.case === 'text' ? block.value : ''))
    .join('');
}

export function casesOf(events: readonly Event[]): (string | undefined)[] {
  return events.map((event) => event.payload.case);
}

export function untilOver(log: EventLog, chat: ChatKey, deadlineMs?: number): Promise<LogTail> {
  let tail: LogTail | undefined;
  const look = async (): Promise<LogTail | undefined> => {
    tail = await log.tail(chat);
    return tail !== undefined && isOver(tail.status.mark) ? tail : undefined;
  };
  return until(`the end of ${chat.streamId}`, look, deadlineMs, () => tail?.status.mark);
}

/** Waits until the log holds this text. */
export async function untilText(log: EventLog, chat: ChatKey, text: string): Promise<void> {
  let seen = '';
  const look = async (): Promise<boolean> => {
    seen = textOf(eventsOf(await recordsOf(log, chat)));
    return seen.includes(text);
  };
  await until(`"${text}" in the log`, look, HANGS_MS, () => seen);
}

const TERMINAL: readonly (string | undefined)[] = ['completed', 'failed', 'cancelled', 'error'];

/**
 * What is true of every log that is over: sequences from 1 without a gap, claims that go up, exactly
 * one terminal event, last, its status in the same record, a count and a hash that are true.
 */
export async function assertTrueLog(
  log: EventLog,
  chat: ChatKey,
): Promise<{ readonly records: LogRecord[]; readonly events: Event[]; readonly text: string }> {
  const records = await recordsOf(log, chat);
  const events = eventsOf(records);
  assert.deepEqual(
    events.map((event) => event.sequence),
    events.map((_, i) => i + 1),
    'sequences are 1, 2, 3 …',
  );
  const attempts = events.map((event) => event.attempt);
  assert.deepEqual(
    attempts,
    attempts.toSorted((a, b) => a - b),
    'a lost attempt says nothing more',
  );
  const ends = events.filter((event) => TERMINAL.includes(event.payload.case));
  assert.equal(ends.length, 1, 'exactly one terminal event');
  const end = events.at(-1);
  assert.ok(end !== undefined);
  assert.equal(end, ends[0], 'the terminal event is the last');
  const { payload } = end;
  assert.ok(
    payload.case === 'completed' ||
      payload.case === 'failed' ||
      payload.case === 'cancelled' ||
      payload.case === 'error',
  );
  const mark = records.at(-1)?.mark;
  assert.equal(mark?.kind, 'end');
  assert.equal(mark.status, payload.value.status, 'the status is in the record of the end');
  assert.equal(payload.value.lastSequence, end.sequence);
  const fold = new AnswerFold();
  for (const event of events) fold.apply(event);
  assert.equal(payload.value.contentSha256, fold.contentSha256(), 'the hash is true');
  return { records, events, text: textOf(events) };
}
