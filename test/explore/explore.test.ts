// The exploration of the decisions holds on its smallest setup, and finds each law that is broken on
// purpose on the smallest setup that shows it. All setups: `npm run explore`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explore } from './explore.ts';
import type { Break, Setup } from './setup.ts';
import { BREAKS, SMALL } from './setup.ts';

const MAX_STATES = 200_000;

function setupNamed(name: string): Setup {
  const found = SMALL.find((setup) => setup.name === name);
  assert.ok(found !== undefined, `there is a setup ${name}`);
  return found;
}

test('every state of one start, two workers and a death keeps the laws and has a way to its end', () => {
  const { findings, capped, states } = explore(setupNamed('tiny'), MAX_STATES);
  assert.deepEqual(findings, []);
  assert.equal(capped, false);
  assert.ok(states > 50);
});

test('doubts, deaths, redeliveries, a hand-back and a delete keep the laws too', () => {
  for (const name of ['starts', 'repeat', 'attempts', 'asks', 'again']) {
    const { findings, capped } = explore(setupNamed(name), MAX_STATES);
    assert.deepEqual(findings, [], name);
    assert.equal(capped, false, name);
  }
});

test('waits, two callers, a repeated start and continue, and old views keep them', () => {
  for (const name of ['wait', 'waitAgain', 'submits', 'waitStale', 'tool', 'toolDrain']) {
    const { findings, capped } = explore(setupNamed(name), MAX_STATES);
    assert.deepEqual(findings, [], name);
    assert.equal(capped, false, name);
  }
});

/** Where each breakage shows, and what is said of it. */
const CAUGHT: Readonly<Record<Break, readonly [setup: string, law: RegExp]>> = {
  nofence: ['starts', /^law [24]:/],
  earlyAck: ['tiny', /^law 7: the start is acknowledged and the chat not over/],
  refusedAcks: ['starts', /^law 7: a run that the fence refused sends an ack/],
  nakRefused: ['drain', /^law 7: a run that the fence refused sends a nak/],
  staleClaim: ['starts', /^law 4:/],
  forgetDoubt: ['starts', /^law 4:/],
  ownAnywhere: ['run', /^law [24]:/],
  deleteEarly: ['again', /^law 8: a record \(claim\) after a delete was answered/],
  ackUnerased: ['again', /^law 8: a delete is acknowledged and content left/],
  loopForgets: ['cancel', /^law 8: a cancel is acknowledged and the chat not over/],
  startBlind: ['expiry', /^law 1: a chat on the log of an earlier one/],
  forgetDelete: ['deleteDoubt', /^law 8: a delete is answered NOT_FOUND/],
  countHandBacks: ['drain', /^law 7: ended for its lost attempts/],
  startAfterWait: ['waitAgain', /^law 2: a claim of a chat that waits/],
  oldContinue: ['rounds', /^law 2: a claim of a chat that waits/],
  dropUnseen: ['waitStale', /^law 7: the continue is acknowledged and the chat not over/],
  blindContinue: ['submits', /^law 2: a second continue for one results record/],
  anyAnswer: ['parts', /^law 2: a second result for one call/],
  answerEarly: ['wait', /^law 7: a result was acknowledged, and the log does not have it/],
  lateDeadline: ['deadline', /^law 9: a deadline ends a chat whose client’s results/],
  forgetSteps: ['wait', /^law 7: the model is asked for a step that is finished/],
  repeatCalls: ['tool', /^law 7: a call that must not be repeated is made twice/],
  callUnsaid: ['tool', /^law 7: a call that must not be repeated is made twice/],
  noContinue: ['wait', /^law 7: from here no end can be reached/],
};

for (const [broken, what] of Object.entries(BREAKS) as [Break, string][]) {
  test(`it is found that ${what}`, () => {
    const [name, law] = CAUGHT[broken];
    const { findings } = explore({ ...setupNamed(name), broken }, MAX_STATES);
    const [first] = findings;
    assert.ok(first !== undefined, 'it is found');
    assert.match(first.law, law);
    assert.ok(first.trace.length > 3, 'with the way there');
  });
}
