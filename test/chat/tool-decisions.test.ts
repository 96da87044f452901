// What is done about client tools, given what was read: every decision as a table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ToolResultBlock } from '../../gen/tailrace/v1/content_pb.ts';
import { ToolResultBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { answerOf } from '../../src/chat/fold/asked-calls.ts';
import type { Command, Verb } from '../../src/chat/ports/commands.ts';
import { overdueEnd, runDueMs, toolDeadlineMs } from '../../src/chat/decisions/deadlines.ts';
import { decideCancel, decideClaim, decideDelete } from '../../src/chat/decisions/decisions.ts';
import type { LogTail, StatusMark } from '../../src/chat/ports/event-log.ts';
import {
  CLIENT_TOOL_TIMEOUT_MS,
  RUN_TIMEOUT_GRACE_MS,
  RUN_TIMEOUT_MS,
} from '../../src/chat/limits.ts';
import { resultsMark } from '../../src/chat/decisions/marks.ts';
import type { AskedCall } from '../../src/chat/decisions/tool-decisions.ts';
import { decideContinue, decideSubmit } from '../../src/chat/decisions/tool-decisions.ts';
import { testMark } from '../support/chats/claims.ts';
import { testMeta } from '../support/chats/test-meta.ts';

const NOW_MS = 1_800_000_000_000;
const BOUNDS = { nowMs: NOW_MS, maxAttempts: 3 };
const START = 10;
const RECORD = 50;

function tailOf(mark: Partial<StatusMark>, storeSequence = RECORD): LogTail {
  const status = {
    storeSequence,
    storedAtMs: NOW_MS,
    appendId: 'status',
    data: new Uint8Array(0),
    mark: testMark({ command: START, startedAtMs: NOW_MS - 1_000, ...mark }),
  };
  return { last: status, status, lastSequence: status.mark.lastSequence };
}

function command(verb: Verb, sequence: number, results = 0): Command {
  return {
    chat: { tenant: 't', streamId: 'c' },
    verb,
    priority: 5,
    sequence,
    meta: testMeta({
      appendId: verb,
      createdAtMs: NOW_MS - 1_000,
      expiresAtMs: NOW_MS + 10_000,
      results,
    }),
    data: new Uint8Array(0),
  };
}

const WAITS = tailOf({ kind: 'wait', tries: 0, deadlineMs: NOW_MS + 1, waitingSinceMs: NOW_MS });
const ANSWERED = tailOf({ kind: 'results', tries: 0, waitingSinceMs: NOW_MS - 700 });

test('claim: a start whose chat has waited since is void, whatever came after', () => {
  const start = command('start', START);
  const done = { do: 'drop', why: 'step-done' };
  assert.deepEqual(decideClaim(start, WAITS, BOUNDS), done);
  assert.deepEqual(decideClaim(start, ANSWERED, BOUNDS), done);
  const running = tailOf({ command: 20, results: RECORD }, 60);
  assert.deepEqual(decideClaim(start, running, BOUNDS), { do: 'drop', why: 'newer-command' });
});

test('claim: a continue takes its results on, with tries and the run’s time as they should be', () => {
  const decision = decideClaim(command('continue', 20, RECORD), ANSWERED, BOUNDS);
  assert.ok(decision.do === 'claim');
  const { tries, waitedMs, attempt, expectedLast } = decision.claim;
  assert.deepEqual([tries, waitedMs, attempt, expectedLast], [1, 700, 2, RECORD]);
});

test('claim: a view without the results that the continue names is read again, never dropped', () => {
  for (const view of [undefined, tailOf({}, RECORD - 1), tailOf({ kind: 'wait' }, RECORD - 1)]) {
    const decision = decideClaim(command('continue', 20, RECORD), view, BOUNDS);
    assert.deepEqual(decision, { do: 'read-again' });
  }
});

test('claim: a continue is void once its step is finished, or other results are the last', () => {
  const older = command('continue', 20, RECORD);
  const done = { do: 'drop', why: 'step-done' };
  const next = tailOf({ kind: 'wait', command: 20, results: RECORD }, 70);
  assert.deepEqual(decideClaim(older, next, BOUNDS), done);
  assert.deepEqual(
    decideClaim(older, tailOf({ kind: 'results', results: RECORD }, 70), BOUNDS),
    done,
  );
  const over = tailOf({ kind: 'end', status: ChatStreamStatus.CANCELLED }, 70);
  assert.deepEqual(decideClaim(older, over, BOUNDS), { do: 'drop', why: 'over' });
});

test('claim: what another worker runs for the same continue is asked about', () => {
  const running = tailOf({ command: 20, results: RECORD, owner: 'w' }, 60);
  const decision = decideClaim(command('continue', 20, RECORD), running, BOUNDS);
  assert.ok(decision.do === 'ask-owner' && decision.owner === 'w');
});

test('cancel and delete: nobody holds a chat that waits or has its results', () => {
  for (const tail of [WAITS, ANSWERED]) {
    assert.deepEqual(decideCancel(tail), { do: 'append', expectedLast: RECORD });
    assert.deepEqual(decideDelete(tail), { do: 'cancel' });
  }
});

const ASKED: readonly AskedCall[] = [
  { id: 'a', answer: undefined },
  { id: 'b', answer: '2' },
];

test('submit: new results are taken, all or nothing, and complete the wait or not', () => {
  const decide = (tail: LogTail | undefined, ...given: [id: string, answer: string][]): object => {
    const results = given.map(([id, answer]) => ({ id, answer }));
    return decideSubmit(tail, ASKED, results, NOW_MS);
  };
  const refuse = (id: string, why: string): object => ({ do: 'refuse', refused: [{ id, why }] });
  assert.deepEqual(decide(WAITS, ['a', '1']), { do: 'append', ids: ['a'], complete: true });
  assert.deepEqual(decide(WAITS, ['a', '1'], ['b', '2']), {
    do: 'append',
    ids: ['a'],
    complete: true,
  });
  assert.deepEqual(decide(WAITS, ['b', '2']), { do: 'answer' }, 'the same again');
  assert.deepEqual(decide(WAITS, ['a', '1'], ['b', '3']), refuse('b', 'different'));
  assert.deepEqual(decide(WAITS, ['c', '1']), refuse('c', 'unknown'));
  assert.deepEqual(decide(undefined, ['c', '1']), refuse('c', 'unknown'));
  const over = tailOf({ kind: 'end', status: ChatStreamStatus.FAILED });
  assert.deepEqual(decide(over, ['a', '1']), refuse('a', 'late'));
  assert.deepEqual(decide(over, ['b', '2']), { do: 'answer' }, 'a repeat after the end');
  const late = tailOf({ kind: 'wait', deadlineMs: NOW_MS });
  assert.deepEqual(decide(late, ['a', '1']), refuse('a', 'late'));
  const two = [{ id: 'x', answer: undefined }, ...ASKED];
  const part = decideSubmit(WAITS, two, [{ id: 'a', answer: '1' }], NOW_MS);
  assert.deepEqual(part, { do: 'append', ids: ['a'], complete: false });
});

test('submit: results are the same where they say the same', () => {
  const result = (text: string, isError?: boolean): ToolResultBlock =>
    create(ToolResultBlockSchema, {
      toolUseId: 'a',
      content: [{ block: { case: 'text', value: text } }],
      ...(isError === undefined ? {} : { isError }),
    });
  assert.equal(answerOf(result('x')), answerOf(result('x', false)));
  assert.notEqual(answerOf(result('x')), answerOf(result('x', true)));
  assert.notEqual(answerOf(result('x')), answerOf(result('y')));
});

test('results: the first keep the wait and its deadline, the last end it and finish the step', () => {
  const some = resultsMark(WAITS, false);
  assert.equal(some.kind, 'wait');
  assert.equal(some.waitRecord, RECORD);
  assert.equal(some.deadlineMs, WAITS.status.mark.deadlineMs);
  const all = resultsMark(tailOf({ ...some }, 55), true);
  assert.equal(all.kind, 'results');
  assert.equal(all.waitRecord, RECORD, 'where the wait began');
  assert.equal(all.deadlineMs, 0);
  assert.equal(all.stepSequence, all.lastSequence);
});

test('continue: one for each results record, none behind a cancel or delete', () => {
  const publish = { do: 'publish', results: RECORD, expectedLast: START };
  assert.deepEqual(decideContinue(ANSWERED, command('start', START)), publish);
  const nothing = { do: 'nothing' };
  assert.deepEqual(decideContinue(ANSWERED, command('continue', 20, RECORD)), nothing);
  const earlier = decideContinue(ANSWERED, command('continue', 20, RECORD - 10));
  assert.deepEqual(earlier, { ...publish, expectedLast: 20 });
  for (const verb of ['cancel', 'delete'] as const) {
    assert.deepEqual(decideContinue(ANSWERED, command(verb, 20)), nothing);
  }
  assert.deepEqual(decideContinue(WAITS, command('start', START)), nothing);
  assert.deepEqual(decideContinue(undefined, command('start', START)), nothing);
  assert.deepEqual(decideContinue(ANSWERED, undefined), nothing);
});

test('deadlines: a wait has its own, results have none but the expiry, and neither is the run’s time', () => {
  const life = { createdAtMs: NOW_MS - 1_000, expiresAtMs: NOW_MS + 10_000 };
  const startedAtMs = NOW_MS - 10 * RUN_TIMEOUT_MS;
  const reasonAt = (mark: Partial<StatusMark>, expiresAtMs = life.expiresAtMs) => {
    const end = overdueEnd({ ...life, expiresAtMs }, tailOf({ startedAtMs, ...mark }), NOW_MS);
    return end?.kind === 'failed' ? end.reason : end;
  };
  const { CLIENT_TOOL_TIMEOUT, RUN_TIMEOUT } = FailureReason;
  assert.equal(reasonAt({ kind: 'wait', deadlineMs: NOW_MS + 1 }), undefined);
  assert.equal(reasonAt({ kind: 'wait', deadlineMs: NOW_MS }), CLIENT_TOOL_TIMEOUT);
  assert.equal(reasonAt({ kind: 'wait', deadlineMs: NOW_MS + 1 }, NOW_MS), CLIENT_TOOL_TIMEOUT);
  assert.equal(reasonAt({ kind: 'results' }), undefined);
  assert.equal(reasonAt({ kind: 'results' }, NOW_MS), RUN_TIMEOUT);
  assert.equal(reasonAt({ kind: 'claim' }), RUN_TIMEOUT);
  const waitedMs = 9 * RUN_TIMEOUT_MS - RUN_TIMEOUT_GRACE_MS + 1;
  assert.equal(reasonAt({ kind: 'claim', waitedMs }), undefined);
  assert.equal(runDueMs({ startedAtMs: 5, waitedMs: 7, runTimeoutMs: 11 }), 23);
  assert.equal(toolDeadlineMs(NOW_MS * 2, NOW_MS), NOW_MS + CLIENT_TOOL_TIMEOUT_MS);
  assert.equal(toolDeadlineMs(NOW_MS + 1, NOW_MS), NOW_MS + 1, 'never beyond the chat’s expiry');
});
