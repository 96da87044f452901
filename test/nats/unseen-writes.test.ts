// What a process wrote counts as long as it is not seen in the store, and never twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_UNSEEN_WRITES } from '../../src/chat/limits.ts';
import { unseenWrites } from '../../src/nats/unseen-writes.ts';

test('a write counts until a look shows its sequence, whatever was stored while it looked', () => {
  const unseen = unseenWrites();
  unseen.wrote(1, 100);
  unseen.wrote(2, 10);
  unseen.wrote(5, 1);
  assert.equal(unseen.bytes(), 111);
  // Asked for before the second was stored, answered after.
  unseen.looked(2);
  assert.equal(unseen.bytes(), 1);
  unseen.looked(5);
  assert.equal(unseen.bytes(), 0);
});

test('a write whose answer comes behind the look that has it counts no more', () => {
  const unseen = unseenWrites();
  unseen.looked(7);
  unseen.wrote(6, 100);
  assert.equal(unseen.bytes(), 0);
  unseen.wrote(9, 100);
  unseen.wrote(8, 10);
  assert.equal(unseen.bytes(), 110);
  unseen.looked(8);
  assert.equal(unseen.bytes(), 100, 'answers come in any order');
});

test('more than a bound are counted together, until all of them are seen', () => {
  const unseen = unseenWrites();
  const last = MAX_UNSEEN_WRITES + 5;
  for (let sequence = 1; sequence <= last; sequence++) unseen.wrote(sequence, 1);
  assert.equal(unseen.bytes(), last);
  unseen.looked(last - 1);
  assert.equal(unseen.bytes(), 6);
  unseen.looked(last);
  assert.equal(unseen.bytes(), 0);
});
