// A false history of each kind that the checker of chaos knows, by the name of the rule that it breaks; those
// about tools have a file of their own.
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Fault, History, Observation } from './history.ts';
import type { Rule } from './violation.ts';
import {
  STARTED_MS,
  ENDED_MS,
  type Mutable,
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
  errorLife,
  cut,
  deletedLife,
} from './chaos-life.ts';
import { FALSE_TOOL_HISTORIES } from './false-tool-histories.ts';

const { PROCESSING, COMPLETED, FAILED, CANCELLED, ERROR } = ChatStreamStatus;

export const FALSE_HISTORIES: Readonly<Record<Rule, readonly (() => History)[]>> = {
  ...FALSE_TOOL_HISTORIES,
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

function fromStart(observation: Observation): Observation {
  return {
    ...observation,
    attachments: observation.attachments.map((each) => ({ ...each, afterSequence: 0 })),
  };
}
