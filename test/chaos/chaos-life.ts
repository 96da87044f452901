// Histories of chaos as the tests of its checker write them: the life of one chat, whole and true, and its
// parts, to be made false.
import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { BlockKind, EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { timestampFromMillis } from '../../src/chat/log/event-time.ts';
import { check } from './checker.ts';
import type { Attachment, Fault, History, Observation, Recording, SeenEvent } from './history.ts';
import { emptyHistory } from './history.ts';
import type { Rule } from './violation.ts';

const { COMPLETED, FAILED, CANCELLED, ERROR } = ChatStreamStatus;
export const CHAT = 'c-1';
/** The chat is acknowledged at 1,100, begins at 1,200 and is over at 2,000. */
export const ACKNOWLEDGED_MS = 1_100;
export const STARTED_MS = 1_200;
export const ENDED_MS = 2_000;

export type Payload = NonNullable<MessageInitShape<typeof EventSchema>['payload']>;
export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function seen(sequence: number, payload: Payload, atMs: number, attempt = 1): SeenEvent {
  const event = create(EventSchema, {
    sequence,
    attempt,
    time: timestampFromMillis(atMs),
    payload,
  });
  return { sequence, bytes: toBinary(EventSchema, event), seenMs: atMs + 2, storedMs: atMs + 1 };
}

export const START: Payload = { case: 'started', value: { model: 'test-model' } };
export const BLOCK: Payload = {
  case: 'blockStarted',
  value: { index: 0, kind: BlockKind.TEXT, turn: 1 },
};
export const STOP: Payload = { case: 'blockStopped', value: { index: 0 } };
export const say = (text: string): Payload => ({ case: 'textDelta', value: { index: 0, text } });
export const again: Payload = { case: 'attemptStarted', value: { supersedesAfterSequence: 1 } };
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
export const WORDS = '0:11 1:12 ';

export function endOf(
  status: ChatStreamStatus,
  lastSequence: number,
  text = WORDS,
  reason: FailureReason = FailureReason.UNSPECIFIED,
): Payload {
  const value = { status, lastSequence, contentSha256: sha256(text) };
  const failure = { reason, message: 'why' };
  switch (status) {
    case CANCELLED:
      return { case: 'cancelled', value };
    case FAILED:
      return { case: 'failed', value: { ...value, failure } };
    case ERROR:
      return { case: 'error', value: { ...value, failure } };
    default:
      return { case: 'completed', value };
  }
}

export function trueEvents(status: ChatStreamStatus = COMPLETED): SeenEvent[] {
  return [
    seen(1, START, STARTED_MS),
    seen(2, BLOCK, 1_300),
    seen(3, say('0:11 '), 1_400),
    seen(4, say('1:12 '), 1_500),
    seen(5, STOP, 1_900),
    seen(6, endOf(status, 6), ENDED_MS),
  ];
}

export const CALL: Payload = {
  case: 'blockStarted',
  value: {
    index: 1,
    kind: BlockKind.SERVER_TOOL_USE,
    turn: 1,
    id: 'call',
    name: 'document_search',
  },
};
export const RESULT: Payload = {
  case: 'blockStopped',
  value: { index: 2, content: { block: { case: 'toolResult', value: { toolUseId: 'call' } } } },
};

/** A life with a call of a tool and this many results. */
export function withTool(results: number): SeenEvent[] {
  const payloads = [
    START,
    CALL,
    STOP,
    { ...BLOCK, value: { index: 2, kind: BlockKind.TOOL_RESULT, turn: 1, id: 'call' } },
    ...Array.from({ length: results }, () => RESULT),
    BLOCK,
    say(WORDS),
  ] as Payload[];
  const events = payloads.map((payload, i) => seen(i + 1, payload, STARTED_MS + 50 * i));
  return [...events, seen(events.length + 1, endOf(COMPLETED, events.length + 1), ENDED_MS)];
}

export function attachment(
  events: readonly SeenEvent[],
  change: Partial<Attachment> = {},
): Attachment {
  const afterSequence = (events[0]?.sequence ?? 1) - 1;
  return {
    api: 'api-1',
    afterSequence,
    beganMs: 1_150,
    events,
    end: 'ok',
    endedMs: 2_003,
    ...change,
  };
}

export function observed(...attachments: Attachment[]): Observation {
  return { chat: CHAT, observer: 'o-1', attachments };
}

export function lifeOf(events: readonly SeenEvent[] = trueEvents()): Recording {
  const history = emptyHistory();
  history.starts.push({
    ...called(1_000, ACKNOWLEDGED_MS),
    words: 2,
    created: true,
  });
  history.observations.push(observed(attachment(events)));
  history.taken.push({ chat: CHAT, attempt: 1, worker: 'worker-1#1' });
  history.calls.push(modelCall(STARTED_MS + 10));
  return history;
}

export function called(beganMs: number, answeredMs: number, outcome = 'ok') {
  return { chat: CHAT, api: 'api-1', beganMs, answeredMs, outcome };
}

export function modelCall(beganMs: number, worker = 'worker-1#1') {
  return { chat: CHAT, worker, beganMs, endedMs: beganMs + 500, how: 'answered' as const };
}

export function fault(
  kind: Fault['kind'],
  target: string,
  atMs: number,
  untilMs = atMs + 10,
): Fault {
  return { kind, target, atMs, untilMs };
}

export function rules(history: History): Rule[] {
  return [...new Set(check(history).map(({ rule }) => rule))];
}

/** Three attempts, lost at these times by worker-1#1, #2 and #3. */
export function errorLife(reason: FailureReason = FailureReason.ATTEMPTS_EXHAUSTED): Recording {
  const history = lifeOf([
    seen(1, START, 1_200, 1),
    seen(2, again, 20_000, 2),
    seen(3, again, 40_000, 3),
    seen(4, endOf(ERROR, 4, '', reason), 60_000, 3),
  ]);
  history.taken.push({ chat: CHAT, attempt: 2, worker: 'worker-1#2' });
  history.taken.push({ chat: CHAT, attempt: 3, worker: 'worker-1#3' });
  for (const [i, atMs] of [3_000, 22_000, 42_000].entries()) {
    history.faults.push(fault('kill-worker', `worker-1#${i + 1}`, atMs));
  }
  return history;
}

export function cut(events: readonly SeenEvent[], ...left: number[]): SeenEvent[] {
  return left.flatMap((sequence) => events.filter((each) => each.sequence === sequence));
}

export function deletedLife(): Recording {
  const history = lifeOf(trueEvents(CANCELLED));
  history.deletes.push(called(1_980, 2_100));
  return history;
}
