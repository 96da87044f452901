// Histories that are false in what they say of calls of tools, and the true life that they are made from.
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { COUNTER, resultOfRun } from './counting-tools.ts';
import type { History, Recording, SeenEvent, ToolRun } from './history.ts';
import type { Rule } from './violation.ts';
import {
  CHAT,
  STARTED_MS,
  ENDED_MS,
  seen,
  START,
  BLOCK,
  STOP,
  say,
  WORDS,
  endOf,
  RESULT,
  withTool,
  lifeOf,
  fault,
} from './chaos-life.ts';

const { COMPLETED } = ChatStreamStatus;

const COUNT = 'count-0-0';
/** When the result of the counting tool is in the log. */
export const COUNTED_MS = 1_500;

/** A chat that has called a counting tool once, with this result, by these runs. */
export function countingLife(
  runs: readonly Partial<ToolRun>[],
  result: { readonly text?: string; readonly isError?: boolean } = {},
): Recording {
  const { text = resultOfRun(1), isError = false } = result;
  const events = countingEvents(text, isError);
  const history = lifeOf([
    ...events,
    seen(events.length + 1, endOf(COMPLETED, events.length + 1), ENDED_MS),
  ]);
  for (const [i, run] of runs.entries()) {
    history.toolRuns.push({
      run: i + 1,
      chat: CHAT,
      call: COUNT,
      once: false,
      beganMs: 1_350,
      ...run,
    });
  }
  return history;
}

function countingEvents(text: string, isError: boolean): SeenEvent[] {
  const kind = BlockKind.SERVER_TOOL_USE;
  const begun = { index: 1, kind, turn: 1, id: COUNT, name: 'counter__count', server: COUNTER };
  const content = [{ block: { case: 'text' as const, value: text } }];
  const value = { toolUseId: COUNT, content, isError };
  return [
    seen(1, START, STARTED_MS),
    seen(2, { case: 'blockStarted', value: begun }, 1_300),
    seen(3, STOP, 1_310),
    seen(
      4,
      {
        case: 'blockStarted',
        value: { index: 2, kind: BlockKind.TOOL_RESULT, turn: 1, id: COUNT },
      },
      1_320,
    ),
    seen(
      5,
      {
        case: 'blockStopped',
        value: { index: 2, content: { block: { case: 'toolResult', value } } },
      },
      COUNTED_MS,
    ),
    seen(6, BLOCK, 1_600),
    seen(7, say(WORDS), 1_700),
  ];
}

type ToolRule = Extract<Rule, `tool-${string}`>;

export const FALSE_TOOL_HISTORIES: Readonly<Record<ToolRule, readonly (() => History)[]>> = {
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
  'tool-run-repeated': [
    () => countingLife([{ once: true }, { once: true, beganMs: 1_400 }]),
    // Whatever came of the call.
    () => {
      const history = countingLife([{ once: true }, { once: true }], { text: 'no', isError: true });
      history.faults.push(fault('kill-worker', 'worker-1#1', 1_360));
      return history;
    },
  ],
  'tool-run-after-result': [
    () => countingLife([{}, { beganMs: COUNTED_MS + 100 }]),
    // Its worker stood still only after the result, …
    () => {
      const history = countingLife([{}, { beganMs: 18_000 }]);
      history.faults.push(fault('pause-worker', 'worker-1#1', COUNTED_MS + 50, 18_000));
      return history;
    },
    // … or had long gone on, or was another chat's.
    () => {
      const history = countingLife([{}, { beganMs: 20_000 }]);
      history.faults.push(fault('pause-worker', 'worker-1#1', 1_400, 18_000));
      return history;
    },
    () => {
      const history = countingLife([{}, { beganMs: 18_000 }]);
      history.faults.push(fault('pause-worker', 'worker-2#1', 1_400, 18_000));
      return history;
    },
  ],
  'tool-result-without-run': [
    () => countingLife([]),
    () => countingLife([{ call: 'count-0-1' }]),
    () => countingLife([{ run: 2 }]),
  ],
};
