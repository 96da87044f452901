// Logs in the states that workers leave behind, made by the product's own writers.
import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { BlockKind, EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { RUN_TIMEOUT_MS } from '../../../src/chat/limits.ts';
import type { Settled } from '../../../src/chat/log/append.ts';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import type { Append, EventLog, StatusMark } from '../../../src/chat/ports/event-log.ts';
import { encodeBatch } from '../../../src/chat/log/record.ts';
import type { TurnStart } from '../../../src/worker/answer/answer-sink.ts';
import { LogWriter } from '../../../src/worker/log/log-writer.ts';
import { until } from '../until.ts';

const NOW_MS = 1_800_000_000_000;

export function testMark(given: Partial<StatusMark> = {}): StatusMark {
  return {
    kind: 'claim',
    status: ChatStreamStatus.PROCESSING,
    attempt: 1,
    tries: 1,
    stepSequence: 1,
    command: 1,
    owner: 'nobody',
    startedAtMs: Date.now(),
    results: 0,
    waitRecord: 0,
    waitingSinceMs: 0,
    waitedMs: 0,
    deadlineMs: 0,
    runTimeoutMs: RUN_TIMEOUT_MS,
    firstSequence: 1,
    lastSequence: 1,
    createdAtMs: NOW_MS,
    expiresAtMs: NOW_MS * 2,
    correlationId: '',
    model: 'test-model',
    priority: 5,
    ...given,
  };
}

/** An append of one event with this sequence; a claim where it has a mark. */
export function testAppend(sequence: number, mark?: StatusMark, text = `${sequence} `): Append {
  const payload =
    mark === undefined
      ? ({ case: 'textDelta', value: { index: 0, text } } as const)
      : mark.attempt === 1
        ? ({ case: 'started', value: { model: mark.model } } as const)
        : ({
            case: 'attemptStarted',
            value: { supersedesAfterSequence: mark.stepSequence },
          } as const);
  const event = create(EventSchema, { sequence, attempt: mark?.attempt ?? 1, payload });
  return { appendId: randomUUID(), data: encodeBatch([event]), mark };
}

export interface TestWriter {
  readonly writer: LogWriter;
  readonly mark: StatusMark;
  /** Set once the writer was told that the chat is not its own any more. */
  readonly lost: () => Settled | undefined;
}

/** Claims a chat as a worker does and leaves its writer to the test. */
export async function claimedWriter(
  log: EventLog,
  chat: ChatKey,
  given: Partial<StatusMark> = {},
): Promise<TestWriter> {
  const tail = await log.tail(chat);
  const sequence = (tail?.lastSequence ?? 0) + 1;
  const before = tail?.status.mark;
  const mark = testMark({
    attempt: (before?.attempt ?? 0) + 1,
    tries: (before?.tries ?? 0) + 1,
    firstSequence: sequence,
    lastSequence: sequence,
    ...given,
  });
  const expectedLast = tail?.last.storeSequence ?? 0;
  const outcome = await log.append(chat, expectedLast, testAppend(sequence, mark));
  assert.equal(outcome.type, 'stored');
  let lost: Settled | undefined;
  const start = { chat, mark, storeSequence: outcome.storeSequence };
  const writer = new LogWriter(log, randomUUID(), start, (settled) => (lost = settled));
  return { writer, mark, lost: () => lost };
}

/** How a sink begins in a chat that has said nothing yet. */
export function firstTurn(deltas: boolean): TurnStart {
  return {
    deltas,
    turn: 1,
    nextIndex: 0,
    chars: 0,
    usage: undefined,
    takenIds: new Set(),
    toolChoice: undefined,
    tools: { definitions: [], clientNames: new Set(), ours: new Map() },
    keepText: false,
    cited: undefined,
  };
}

export function openBlock(writer: LogWriter, index = 0): void {
  writer.push({ case: 'blockStarted', value: { index, kind: BlockKind.TEXT, turn: 1 } });
}

export function say(writer: LogWriter, text: string, index = 0): void {
  writer.push({ case: 'textDelta', value: { index, text } });
}

/** Lets the writer store what it was given: its newest record is the log's. */
export async function untilStored(
  log: EventLog,
  chat: ChatKey,
  lastSequence: number,
): Promise<void> {
  await until(`sequence ${lastSequence} to be stored`, async () => {
    return ((await log.tail(chat))?.lastSequence ?? 0) >= lastSequence;
  });
}
