// The checker of chaos, of calls of tools: what is true of them passes. What is false is rejected by name in
// checker.test.ts, as all of it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  seen,
  BLOCK,
  say,
  WORDS,
  endOf,
  RESULT,
  withTool,
  lifeOf,
  fault,
  rules,
} from './chaos-life.ts';
import { countingLife } from './false-tool-histories.ts';

const { COMPLETED } = ChatStreamStatus;

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

test('a counting tool that runs once for its result is no violation, nor is one that failed, or was never run', () => {
  assert.deepEqual(rules(countingLife([{ once: true }])), []);
  const failed = { text: 'Error', isError: true };
  assert.deepEqual(rules(countingLife([], failed)), []);
  assert.deepEqual(rules(countingLife([{ once: true }], failed)), []);
});

test('one that may be repeated runs again until its result is in the log, whichever run it is of', () => {
  const runs = [{}, { beganMs: 1_400 }];
  assert.deepEqual(rules(countingLife(runs)), []);
  assert.deepEqual(rules(countingLife(runs, { text: 'run 2' })), []);
});

test('a worker that stood still makes the call of a tool that it was about to make', () => {
  const history = countingLife([{}, { beganMs: 18_100 }]);
  history.faults.push(fault('pause-worker', 'worker-1#1', 1_400, 18_000));
  assert.deepEqual(rules(history), []);
});
