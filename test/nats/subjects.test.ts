// Subjects: a tenant and an id are one token each, whatever is in them, and no two chats share one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  commandFence,
  commandSubject,
  fromSubjectToken,
  logFence,
  logSubject,
  parseCommandSubject,
  parseLogSubject,
  subjectToken,
} from '../../src/nats/subjects.ts';

const streamId = fc.stringMatching(/^[A-Za-z0-9._:-]{1,128}$/);
const tenant = fc.stringMatching(/^[a-z0-9-]{1,63}$/);

test('ids that look alike to NATS are tokens of their own', () => {
  const ids = [
    'job',
    'job.s',
    'job.d',
    'job.>',
    'job.*',
    '..',
    '.',
    '%',
    '%2E',
    '%2e',
    'a b',
    '*',
    '>',
  ];
  const tokens = ids.map(subjectToken);
  assert.equal(new Set(tokens).size, ids.length);
  for (const [i, token] of tokens.entries()) {
    assert.match(token, /^[A-Za-z0-9_%-]+$/);
    assert.equal(fromSubjectToken(token), ids[i]);
  }
  assert.equal(subjectToken('job.s'), 'job%2Es');
  assert.equal(subjectToken('Order-1_x'), 'Order-1_x');
});

test('any text is one token, and comes back as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
      assert.match(subjectToken(text), /^[A-Za-z0-9_%-]+$/);
      assert.equal(fromSubjectToken(subjectToken(text)), text.toWellFormed());
    }),
  );
});

test('subjects name their chat, and fences cover its records and nothing else', () => {
  const covers = (fence: string, subject: string): boolean =>
    subject.startsWith(fence.slice(0, -1)) && fence.endsWith('.>');
  fc.assert(
    fc.property(tenant, streamId, tenant, streamId, (t1, id1, t2, id2) => {
      const one = { tenant: t1, streamId: id1 };
      const two = { tenant: t2, streamId: id2 };
      const same = t1 === t2 && id1 === id2;
      assert.equal(covers(logFence(one), logSubject(two, 's')), same);
      assert.equal(covers(commandFence(one), commandSubject(two, 'start', 5)), same);
      assert.deepEqual(parseLogSubject(logSubject(one, 'd')), one);
      const address = { chat: one, verb: 'cancel', priority: 9 } as const;
      assert.deepEqual(parseCommandSubject(commandSubject(one, 'cancel', 9)), address);
      assert.equal(logSubject(one, 's').split('.').length, 5);
    }),
  );
});

test('what is not a subject of ours is refused with its name', () => {
  assert.throws(() => parseCommandSubject('cmd.a.b.stop.5'), /"cmd\.a\.b\.stop\.5"/);
  assert.throws(() => parseLogSubject('log.0.a'), /"log\.0\.a"/);
});
