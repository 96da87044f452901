// The checker of chaos: a true history passes, and a false one of each kind is rejected by name.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { chatsOf } from './chat-history.ts';
import { check } from './checker.ts';
import type { History } from './history.ts';
import { emptyHistory } from './history.ts';
import { recoveryOf } from './recovery.ts';
import { RULES } from './violation.ts';
import {
  CHAT,
  STARTED_MS,
  seen,
  START,
  BLOCK,
  say,
  again,
  WORDS,
  endOf,
  trueEvents,
  attachment,
  observed,
  lifeOf,
  called,
  modelCall,
  fault,
  rules,
  errorLife,
} from './chaos-life.ts';
import { FALSE_HISTORIES } from './false-histories.ts';

const { PROCESSING, COMPLETED, CANCELLED } = ChatStreamStatus;

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
