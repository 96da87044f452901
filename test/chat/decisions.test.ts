// What is done next, given what was read: every decision of a worker, a writer and a call as a table.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { APART_PATIENCE_MS } from '../../src/chat/limits.ts';
import type { Command } from '../../src/chat/ports/commands.ts';
import {
  claimsUnread,
  decideCancel,
  decideClaim,
  decideId,
  FIRST_CLAIM,
  readRefusal,
  runsApart,
  stillOwns,
} from '../../src/chat/decisions/decisions.ts';
import type { LogRecord, LogTail, StatusMark } from '../../src/chat/ports/event-log.ts';
import { testMark } from '../support/chats/claims.ts';
import { testMeta } from '../support/chats/test-meta.ts';

const NOW_MS = 1_800_000_000_000;
const BOUNDS = { nowMs: NOW_MS, maxAttempts: 3 };

function command(given: Partial<Command> = {}, expiresAtMs = NOW_MS + 1): Command {
  return {
    chat: { tenant: 't', streamId: 'c' },
    verb: 'start',
    priority: 5,
    sequence: 10,
    meta: testMeta({
      appendId: 'start',
      createdAtMs: NOW_MS - 1_000,
      expiresAtMs,
      requestHash: 'hash',
    }),
    data: new Uint8Array(0),
    ...given,
  };
}

function record(storeSequence: number, appendId: string, mark?: StatusMark): LogRecord {
  return { storeSequence, storedAtMs: NOW_MS, appendId, data: new Uint8Array(0), mark };
}

/** A log whose newest status is this mark; with deltas behind it where `behind` is given. */
function tailOf(
  mark: StatusMark,
  behind?: { readonly appendId: string; readonly last: number },
): LogTail {
  const status = { ...record(50, 'status'), mark };
  if (behind === undefined) return { last: status, status, lastSequence: mark.lastSequence };
  return { last: record(60, behind.appendId), status, lastSequence: behind.last };
}

const claim = testMark({
  attempt: 2,
  tries: 1,
  stepSequence: 1,
  command: 10,
  owner: 'w',
  lastSequence: 4,
});
const handBack = { ...claim, kind: 'hand-back' } as const;
const end = { ...claim, kind: 'end', status: ChatStreamStatus.COMPLETED } as const;
const tombstone = { ...end, kind: 'tombstone' } as const;

test('claim: an unclaimed chat is claimed as its first', () => {
  const decision = decideClaim(command(), undefined, BOUNDS);
  assert.deepEqual(decision, { do: 'claim', claim: FIRST_CLAIM });
});

test('claim: a chat that was handed back is taken on behind its newest event', () => {
  const decision = decideClaim(command(), tailOf(handBack, { appendId: 'x', last: 9 }), BOUNDS);
  assert.deepEqual(decision, {
    do: 'claim',
    claim: {
      expectedLast: 60,
      attempt: 3,
      tries: 2,
      sequence: 10,
      stepSequence: 1,
      startedAtMs: claim.startedAtMs,
      createdAtMs: claim.createdAtMs,
      waitedMs: 0,
    },
  });
});

test('claim: what another worker claimed is asked about first, the last attempt too', () => {
  const asked = decideClaim(command(), tailOf(claim), BOUNDS);
  assert.ok(asked.do === 'ask-owner' && asked.owner === 'w' && asked.otherwise.do === 'claim');
  const last = decideClaim(command(), tailOf({ ...claim, tries: 3 }), BOUNDS);
  assert.ok(last.do === 'ask-owner' && last.otherwise.do === 'end');
  const { end } = last.otherwise;
  assert.ok(end.kind === 'error' && end.reason === FailureReason.ATTEMPTS_EXHAUSTED);
});

test('claim: what is over, expired or driven by a newer command is void', () => {
  const void_ = (why: string): object => ({ do: 'drop', why });
  assert.deepEqual(decideClaim(command(), tailOf(end), BOUNDS), void_('over'));
  assert.deepEqual(decideClaim(command(), tailOf(tombstone), BOUNDS), void_('over'));
  const newer = tailOf({ ...claim, command: 11 });
  assert.deepEqual(decideClaim(command(), newer, BOUNDS), void_('newer-command'));
  assert.deepEqual(decideClaim(command({}, NOW_MS), undefined, BOUNDS), void_('expired'));
});

test('claim: a chat that may have ended its worker runs apart, at its last attempt always', () => {
  const apart = (tries: number, tail: LogTail | undefined): string =>
    runsApart({ ...FIRST_CLAIM, tries }, tail, BOUNDS);
  const said = { appendId: 'x', last: 9 };
  assert.equal(apart(1, undefined), 'no', 'its first attempt');
  assert.equal(apart(1, tailOf(handBack)), 'no', 'it was only handed back');
  assert.equal(apart(2, tailOf(claim)), 'better', 'the lost attempt came to no word');
  assert.equal(apart(2, tailOf(claim, said)), 'no', 'the lost attempt was under way');
  assert.equal(apart(2, tailOf(handBack)), 'no');
  for (const tail of [tailOf(claim), tailOf(claim, said), tailOf(handBack)]) {
    assert.equal(apart(3, tail), 'must');
    const nowMs = NOW_MS + APART_PATIENCE_MS;
    const late = runsApart({ ...FIRST_CLAIM, tries: 3 }, tail, { ...BOUNDS, nowMs });
    assert.equal(late, 'better', 'it has waited for long enough');
  }
});

test('claim: only a start at its first delivery is claimed unread, and not after a refusal', () => {
  assert.equal(claimsUnread('start', 1, false), true);
  assert.equal(claimsUnread('start', 2, false), false);
  assert.equal(claimsUnread('start', 1, true), false);
  assert.equal(claimsUnread('continue', 1, false), false);
});

test('refusal: stored, again or moved, as the leader’s log says', () => {
  const own = { appendId: 'own', expectedLast: 50, afterSequence: 4, attempt: 2, owner: 'w' };
  const meaning = (tail: LogTail | undefined, given: Partial<typeof own> = {}): string => {
    return readRefusal({ ...own, ...given }, tail).means;
  };
  assert.equal(meaning(tailOf(claim, { appendId: 'own', last: 5 })), 'stored');
  assert.equal(meaning(tailOf({ ...end }), { appendId: 'status' }), 'stored', 'an own end, too');
  assert.equal(meaning(tailOf(claim)), 'again', 'the log is where it was thought to be');
  assert.equal(meaning(undefined, { expectedLast: 0 }), 'again');
  assert.equal(meaning(undefined), 'moved', 'the log is gone');
  assert.equal(meaning(tailOf({ ...claim, attempt: 3 }), { expectedLast: 1 }), 'moved');
  assert.equal(meaning(tailOf({ ...claim, owner: 'x' }), { expectedLast: 1 }), 'moved');
  assert.equal(meaning(tailOf(end), { expectedLast: 1 }), 'moved');
  assert.equal(meaning(tailOf(handBack), { expectedLast: 1 }), 'moved');
  assert.equal(
    meaning(tailOf(claim, { appendId: 'other', last: 5 })),
    'moved',
    'someone wrote events that are not this writer’s',
  );
});

test('renewal: own records keep a chat, another’s and an end do not', () => {
  const writer = { runId: 'run', storeSequence: 50 };
  assert.equal(stillOwns(writer, record(60, 'run-7')), true);
  assert.equal(stillOwns(writer, record(50, 'run-claim', claim)), true);
  assert.equal(stillOwns(writer, record(60, 'run-8', end)), false);
  assert.equal(stillOwns(writer, record(60, 'other', claim)), false);
  assert.equal(stillOwns(writer, undefined), true, 'read before there was anything');
  assert.equal(stillOwns(writer, record(40, 'before')), true, 'read before the claim was stored');
});

test('cancel: nobody’s chat is ended by the call, a worker’s by a command, a finished one by none', () => {
  assert.deepEqual(decideCancel(undefined), { do: 'append', expectedLast: 0 });
  assert.deepEqual(decideCancel(tailOf(handBack)), { do: 'append', expectedLast: 50 });
  assert.deepEqual(decideCancel(tailOf(claim)), { do: 'command' });
  assert.deepEqual(decideCancel(tailOf(end)), { do: 'nothing', why: 'over' });
  assert.deepEqual(decideCancel(tailOf(tombstone)), { do: 'nothing', why: 'over' });
});

test('id: free, the same, taken, or retired', () => {
  const start = command();
  const is = (
    newest: Command | undefined,
    tail?: LogTail,
    hash = 'hash',
    first = newest,
  ): string => {
    return decideId({ newest, start: first, tail }, [hash], NOW_MS).is;
  };
  assert.equal(is(undefined), 'free');
  assert.equal(is(start), 'same');
  assert.equal(is(start, tailOf(end)), 'same');
  assert.equal(is(command({ verb: 'cancel', sequence: 11 }), tailOf(claim), 'hash', start), 'same');
  assert.equal(is(start, undefined, 'another'), 'taken');
  assert.equal(is(undefined, tailOf(end)), 'retired', 'commands expire before logs');
  assert.equal(is(command({}, NOW_MS)), 'retired', 'expired');
  assert.equal(is(command({ verb: 'delete' }), undefined, 'hash', start), 'retired');
  assert.equal(is(start, tailOf(tombstone)), 'retired');
});
