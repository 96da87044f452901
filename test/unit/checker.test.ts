// The checker of chaos: a true history passes, and a false one of each kind is rejected by name.
import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { BlockKind, EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { timestampFromMillis } from '../../src/chat/event-time.ts';
import { chatsOf } from '../chaos/chat-history.ts';
import { check } from '../chaos/checker.ts';
import type {
  Attachment,
  Fault,
  History,
  Observation,
  Recording,
  SeenEvent,
} from '../chaos/history.ts';
import { emptyHistory } from '../chaos/history.ts';
import { recoveryOf } from '../chaos/recovery.ts';
import { RULES, type Rule } from '../chaos/violation.ts';

const { PROCESSING, COMPLETED, FAILED, CANCELLED, ERROR } = ChatStreamStatus;
const CHAT = 'c-1';
/** The chat is acknowledged at 1,100, begins at 1,200 and is over at 2,000. */
const ACKNOWLEDGED_MS = 1_100;
const STARTED_MS = 1_200;
const ENDED_MS = 2_000;

type Payload = NonNullable<MessageInitShape<typeof EventSchema>['payload']>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function seen(sequence: number, payload: Payload, atMs: number, attempt = 1): SeenEvent {
  const event = create(EventSchema, {
    sequence,
    attempt,
    time: timestampFromMillis(atMs),
    payload,
  });
  return { sequence, bytes: toBinary(EventSchema, event), seenMs: atMs + 2, storedMs: atMs + 1 };
}

const START: Payload = { case: 'started', value: { model: 'test-model' } };
const BLOCK: Payload = { case: 'blockStarted', value: { index: 0, kind: BlockKind.TEXT, turn: 1 } };
const STOP: Payload = { case: 'blockStopped', value: { index: 0 } };
const say = (text: string): Payload => ({ case: 'textDelta', value: { index: 0, text } });
const again: Payload = { case: 'attemptStarted', value: { supersedesAfterSequence: 1 } };
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const WORDS = '0:11 1:12 ';

function endOf(
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

function trueEvents(status: ChatStreamStatus = COMPLETED): SeenEvent[] {
  return [
    seen(1, START, STARTED_MS),
    seen(2, BLOCK, 1_300),
    seen(3, say('0:11 '), 1_400),
    seen(4, say('1:12 '), 1_500),
    seen(5, STOP, 1_900),
    seen(6, endOf(status, 6), ENDED_MS),
  ];
}

const CALL: Payload = {
  case: 'blockStarted',
  value: {
    index: 1,
    kind: BlockKind.SERVER_TOOL_USE,
    turn: 1,
    id: 'call',
    name: 'document_search',
  },
};
const RESULT: Payload = {
  case: 'blockStopped',
  value: { index: 2, content: { block: { case: 'toolResult', value: { toolUseId: 'call' } } } },
};

/** A life with a call of a tool and this many results. */
function withTool(results: number): SeenEvent[] {
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

function attachment(events: readonly SeenEvent[], change: Partial<Attachment> = {}): Attachment {
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

function observed(...attachments: Attachment[]): Observation {
  return { chat: CHAT, observer: 'o-1', attachments };
}

function lifeOf(events: readonly SeenEvent[] = trueEvents()): Recording {
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

function called(beganMs: number, answeredMs: number, outcome = 'ok') {
  return { chat: CHAT, api: 'api-1', beganMs, answeredMs, outcome };
}

function modelCall(beganMs: number, worker = 'worker-1#1') {
  return { chat: CHAT, worker, beganMs, endedMs: beganMs + 500, how: 'answered' as const };
}

function fault(kind: Fault['kind'], target: string, atMs: number, untilMs = atMs + 10): Fault {
  return { kind, target, atMs, untilMs };
}

function rules(history: History): Rule[] {
  return [...new Set(check(history).map(({ rule }) => rule))];
}

/** Three attempts, lost at these times by worker-1#1, #2 and #3. */
function errorLife(reason: FailureReason = FailureReason.ATTEMPTS_EXHAUSTED): Recording {
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

function cut(events: readonly SeenEvent[], ...left: number[]): SeenEvent[] {
  return left.flatMap((sequence) => events.filter((each) => each.sequence === sequence));
}

describe('a true history passes', () => {
  const cases: Readonly<Record<string, () => History>> = {
    'a chat with its end': () => lifeOf(),
    'nothing at all': () => emptyHistory(),
    'who left and resumed at the other api': () => {
      const history = lifeOf();
      const events = trueEvents();
      history.observations.push({
        ...observed(
          attachment(events.slice(0, 3), { end: 'left', endedMs: 1_410 }),
          attachment([], { afterSequence: 3, end: 'LOG_UNAVAILABLE' }),
          attachment(events.slice(3), { api: 'api-2' }),
        ),
        observer: 'o-2',
      });
      return history;
    },
    'who attaches after the last event is told OK': () => {
      const history = lifeOf();
      history.observations.push(observed(attachment([], { afterSequence: 6, beganMs: 3_000 })));
      return history;
    },
    'a start that was repeated, and one that was refused': () => {
      const history = lifeOf();
      history.starts.push({ ...called(1_200, 1_300), words: 2, created: false });
      history.starts.push({
        ...called(900, 950, 'LOG_UNAVAILABLE'),
        chat: 'c-2',
        words: 2,
        created: false,
      });
      return history;
    },
    'a killed worker, and the next attempt': () => {
      const history = lifeOf([
        seen(1, START, STARTED_MS),
        seen(2, BLOCK, 1_210),
        seen(3, say('0:1 '), 1_220),
        seen(4, again, 17_000, 2),
        seen(5, BLOCK, 17_100, 2),
        seen(6, say(WORDS), 17_200, 2),
        seen(7, endOf(COMPLETED, 7), 17_300, 2),
      ]);
      history.faults.push(fault('kill-worker', 'worker-1#1', 2_000));
      history.taken.push({ chat: CHAT, attempt: 2, worker: 'worker-2#1' });
      history.calls.push(modelCall(17_010, 'worker-2#1'));
      return history;
    },
    'three lost attempts, and ERROR': () => errorLife(),
    'a cancel that was answered, and what was said of it before and after': () => {
      const history = lifeOf(trueEvents(CANCELLED));
      history.reads.push({ ...called(1_300, 1_310), kind: 'get', status: PROCESSING });
      history.cancels.push({ ...called(1_990, 2_010), status: CANCELLED });
      history.reads.push({ ...called(2_020, 2_030), kind: 'list', status: CANCELLED });
      return history;
    },
    'a delete, and everyone is told so': () => {
      const history = lifeOf(trueEvents(CANCELLED));
      history.deletes.push(called(1_980, 2_100));
      history.reads.push({
        ...called(2_200, 2_210, 'STREAM_NOT_FOUND'),
        kind: 'get',
        status: undefined,
      });
      history.reads.push({ ...called(2_200, 2_210), kind: 'list', status: undefined });
      history.observations.push(
        observed(attachment([], { beganMs: 2_200, end: 'STREAM_NOT_FOUND' })),
      );
      history.starts.push({
        ...called(2_300, 2_310, 'STREAM_ID_RETIRED'),
        words: 2,
        created: false,
      });
      return history;
    },
    'a paused worker makes the call that it was about to make': () => {
      const history = lifeOf();
      history.faults.push(fault('pause-worker', 'worker-1#1', 1_205, 21_000));
      history.calls.push(modelCall(21_001));
      return history;
    },
  };
  for (const [name, make] of Object.entries(cases)) {
    test(name, () => assert.deepEqual(check(make()), []));
  }
});

const FALSE_HISTORIES: Readonly<Record<Rule, readonly (() => History)[]>> = {
  'lost-chat': [
    () => {
      const history = lifeOf();
      history.observations.length = 0;
      return history;
    },
    () => lifeOf(trueEvents().slice(0, 4)),
    () => {
      const history = lifeOf();
      const asked = called(1_400, 1_410, 'STREAM_NOT_FOUND');
      history.reads.push({ ...asked, kind: 'get', status: undefined });
      return history;
    },
    () => {
      const history = lifeOf();
      history.observations.push(observed(attachment([], { end: 'STREAM_NOT_FOUND' })));
      return history;
    },
  ],
  'created-twice': [
    () => {
      const history = lifeOf();
      history.starts.push({ ...called(1_200, 1_300), words: 2, created: true });
      return history;
    },
  ],
  'not-listed': [
    () => {
      const history = lifeOf();
      history.reads.push({ ...called(1_101, 1_110), kind: 'list', status: undefined });
      return history;
    },
  ],
  gap: [() => lifeOf(cut(trueEvents(), 1, 2, 3, 5, 6)), () => lifeOf(trueEvents().slice(1))].map(
    (make) => () => {
      const history = make();
      const [first] = history.observations;
      if (first !== undefined) history.observations[0] = fromStart(first);
      return history;
    },
  ),
  repeat: [
    () => lifeOf(cut(trueEvents(), 1, 2, 3, 3, 4, 5, 6)),
    () => lifeOf(cut(trueEvents(), 1, 2, 3, 1, 2, 3, 4, 5, 6)),
    () => {
      const history = lifeOf();
      const events = trueEvents();
      history.observations[0] = observed(
        attachment(events.slice(0, 3), { end: 'left' }),
        attachment(events.slice(2)),
      );
      return history;
    },
  ],
  reorder: [() => lifeOf(cut(trueEvents(), 1, 3, 2, 4, 5, 6))],
  'different-bytes': [
    () => {
      const history = lifeOf();
      const events = trueEvents().with(2, seen(3, say('0:12 '), 1_400));
      history.observations.push(observed(attachment(events)));
      return history;
    },
  ],
  'ended-without-end': [
    () => {
      const history = lifeOf();
      history.observations.push(observed(attachment(trueEvents().slice(0, 4))));
      return history;
    },
  ],
  'cursor-refused': ['CURSOR_BEYOND_END', 'CURSOR_EXPIRED'].map((end) => () => {
    const history = lifeOf();
    history.observations.push(observed(attachment([], { afterSequence: 3, end })));
    return history;
  }),
  'internal-error': [
    () => {
      const history = lifeOf();
      history.observations.push(observed(attachment([], { end: 'INTERNAL' })));
      return history;
    },
    () => {
      const history = lifeOf();
      history.cancels.push({ ...called(1_400, 1_410, 'INTERNAL'), status: undefined });
      return history;
    },
  ],
  'observer-stuck': [
    () => {
      const history = lifeOf();
      history.observations.push(observed(attachment(trueEvents().slice(0, 3), { end: '' })));
      return history;
    },
  ],
  'two-ends': [() => lifeOf([...trueEvents(), seen(7, endOf(CANCELLED, 7), 2_100)])],
  'event-after-end': [() => lifeOf([...trueEvents(), seen(7, say('more'), 2_100)])],
  'wrong-last-sequence': [() => lifeOf(trueEvents().with(5, seen(6, endOf(COMPLETED, 5), 2_000)))],
  'wrong-hash': [
    () => lifeOf(trueEvents().with(5, seen(6, endOf(COMPLETED, 6, 'else'), 2_000))),
    // The hash of a lost attempt's text and the next one's together.
    () => {
      const history = lifeOf([
        seen(1, START, STARTED_MS),
        seen(2, BLOCK, 1_210),
        seen(3, say('0:1 '), 1_220),
        seen(4, again, 17_000, 2),
        seen(5, BLOCK, 17_100, 2),
        seen(6, say(WORDS), 17_200, 2),
        seen(7, endOf(COMPLETED, 7, `0:1 ${WORDS}`), 17_300, 2),
      ]);
      history.faults.push(fault('kill-worker', 'worker-1#1', 2_000));
      return history;
    },
  ],
  'wrong-answer': [
    () => {
      const events = trueEvents();
      events[3] = seen(4, say('2:12 '), 1_500);
      events[5] = seen(6, endOf(COMPLETED, 6, '0:11 2:12 '), ENDED_MS);
      return lifeOf(events);
    },
  ],
  'tool-progress-stray': [
    () => {
      const value = { index: 1, toolUseId: 'call-1', progress: 1 };
      const events = withTool(1);
      const last = events.length;
      const late = seen(last, { case: 'toolProgress', value }, 1_900);
      return lifeOf([
        ...events.slice(0, -1),
        late,
        seen(last + 1, endOf(COMPLETED, last + 1), ENDED_MS),
      ]);
    },
  ],
  'tool-result-doubled': [
    () => lifeOf(withTool(2)),
    // The result of a finished step, and one more of the attempt that took over.
    () => {
      const events = withTool(1);
      const history = lifeOf([
        ...events.slice(0, 5),
        seen(6, { case: 'attemptStarted', value: { supersedesAfterSequence: 5 } }, 17_000, 2),
        seen(7, RESULT, 17_100, 2),
        seen(8, BLOCK, 17_200, 2),
        seen(9, say(WORDS), 17_300, 2),
        seen(10, endOf(COMPLETED, 10), 17_400, 2),
      ]);
      history.faults.push(fault('kill-worker', 'worker-1#1', 2_000));
      return history;
    },
  ],
  'tool-result-missing': [() => lifeOf(withTool(0))],
  'cancelled-revived': [
    () => {
      const history = lifeOf();
      history.cancels.push({ ...called(1_400, 1_410), status: CANCELLED });
      return history;
    },
  ],
  'status-untrue': [
    () => {
      const history = lifeOf();
      history.reads.push({ ...called(2_100, 2_110), kind: 'get', status: FAILED });
      return history;
    },
    () => {
      const history = lifeOf(trueEvents(CANCELLED));
      history.cancels.push({ ...called(1_400, 1_410), status: COMPLETED });
      return history;
    },
  ],
  'status-went-back': [
    () => {
      const history = lifeOf();
      history.reads.push({ ...called(2_100, 2_110), kind: 'list', status: PROCESSING });
      return history;
    },
  ],
  'deleted-revived': [
    () => {
      const history = deletedLife();
      history.reads.push({ ...called(2_200, 2_210), kind: 'get', status: CANCELLED });
      return history;
    },
    () => {
      const history = deletedLife();
      history.reads.push({ ...called(2_200, 2_210), kind: 'list', status: CANCELLED });
      return history;
    },
    () => {
      const history = deletedLife();
      const events = trueEvents(CANCELLED);
      history.observations.push(observed(attachment(events, { beganMs: 2_200 })));
      return history;
    },
  ],
  'deleted-id-reused': [
    () => {
      const history = deletedLife();
      history.starts.push({ ...called(2_200, 2_210), words: 2, created: false });
      return history;
    },
  ],
  'call-without-claim': [
    () => {
      const history = lifeOf();
      history.calls.push(modelCall(1_400, 'worker-2#1'));
      return history;
    },
  ],
  'call-after-end': [
    () => {
      const history = lifeOf();
      history.calls.push(modelCall(2_100));
      return history;
    },
    () => {
      const history = lifeOf(trueEvents(CANCELLED));
      history.cancels.push({ ...called(1_200, 1_250), status: CANCELLED });
      history.calls.push(modelCall(1_300));
      return history;
    },
    // It was paused only after the end, or had long gone on.
    () => {
      const history = lifeOf();
      history.faults.push(fault('pause-worker', 'worker-1#1', 2_100, 21_000));
      history.calls.push(modelCall(21_001));
      return history;
    },
    () => {
      const history = lifeOf();
      history.faults.push(fault('pause-worker', 'worker-1#1', 1_205, 21_000));
      history.calls.push(modelCall(25_000));
      return history;
    },
  ],
  'unexplained-attempt': [
    () => {
      const history = errorLife();
      (history.faults[1] as Mutable<Fault>).target = 'worker-2#9';
      return history;
    },
  ],
  'unexplained-error': [
    () => errorLife(FailureReason.INTERNAL),
    // Two lost attempts and a clean stop, which does not count.
    () => {
      const history = errorLife();
      (history.faults[1] as Mutable<Fault>).kind = 'stop-worker';
      return history;
    },
    () => lifeOf([seen(1, endOf(ERROR, 1, '', FailureReason.ATTEMPTS_EXHAUSTED), 1_300)]),
  ],
  'unexplained-failure': [() => lifeOf(trueEvents(FAILED))],
  'process-died': [
    () => {
      const history = lifeOf();
      history.deaths.push({ name: 'api-1#1', atMs: 1, said: 'out of memory' });
      return history;
    },
  ],
};

function deletedLife(): Recording {
  const history = lifeOf(trueEvents(CANCELLED));
  history.deletes.push(called(1_980, 2_100));
  return history;
}

function fromStart(observation: Observation): Observation {
  return {
    ...observation,
    attachments: observation.attachments.map((each) => ({ ...each, afterSequence: 0 })),
  };
}

describe('a false history is rejected by name', () => {
  for (const rule of RULES) {
    for (const [i, make] of FALSE_HISTORIES[rule].entries()) {
      test(`${rule}, ${i + 1}`, () => {
        const found = rules(make());
        assert.ok(found.includes(rule), `found ${found.join(', ') || 'nothing'}`);
      });
    }
  }
});

test('recovery is counted from the kill to the next claim', () => {
  const history = errorLife();
  const recovery = recoveryOf(history, chatsOf(history));
  assert.deepEqual(recovery.killedWorker, {
    count: 3,
    p50Ms: 18_000,
    p99Ms: 18_000,
    maxMs: 18_000,
  });
  assert.equal(recovery.killedWorkerAlone.count, 3);
  history.faults.push(fault('kill-nats', 'nats-1#1', 21_000, 23_000));
  assert.equal(recoveryOf(history, chatsOf(history)).killedWorkerAlone.count, 2);
});

test('a call of a tool with its one result is no violation, and a superseded result is none either', () => {
  assert.deepEqual(rules(lifeOf(withTool(1))), []);
  const history = lifeOf([
    ...withTool(1).slice(0, 5),
    seen(6, { case: 'attemptStarted', value: { supersedesAfterSequence: 3 } }, 17_000, 2),
    seen(7, RESULT, 17_100, 2),
    seen(8, BLOCK, 17_200, 2),
    seen(9, say(WORDS), 17_300, 2),
    seen(10, endOf(COMPLETED, 10), 17_400, 2),
  ]);
  history.faults.push(fault('kill-worker', 'worker-1#1', 2_000));
  assert.deepEqual(rules(history), []);
});
