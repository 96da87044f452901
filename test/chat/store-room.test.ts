// How full a store is, and what that keeps from being written.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoreBound } from '../../src/chat/log/store-room.ts';
import { fullnessOf, reserveBytes } from '../../src/chat/log/store-room.ts';

const MIB = 1024 * 1024;
const TIB = 1024 * 1024 * MIB;

function bound(limitBytes: number, leftBytes: number, copies = 1): StoreBound {
  return { what: 'a store', limitBytes, usedBytes: limitBytes - leftBytes, copies };
}

test('a tenth is kept back, of a large store a gibibyte', () => {
  assert.equal(reserveBytes(100 * MIB), 10 * MIB);
  assert.equal(reserveBytes(TIB), 1024 * MIB);
});

test('starts are refused first, answers at half of what is kept back, nothing else ever', () => {
  const at = (leftMib: number): string => fullnessOf([bound(100 * MIB, leftMib * MIB)], 0).fullness;
  assert.equal(at(10), 'room');
  assert.equal(at(9.9), 'no-starts');
  assert.equal(at(5), 'no-starts');
  assert.equal(at(4.9), 'no-answers');
  assert.equal(at(-1), 'no-answers');
});

test('the fullest bound counts, and no bound is room', () => {
  const full = bound(100 * MIB, 1 * MIB);
  const found = fullnessOf([bound(100 * MIB, 9 * MIB), full, bound(TIB, TIB)], 0);
  assert.equal(found.bound, full);
  assert.equal(found.fullness, 'no-answers');
  assert.equal(fullnessOf([], 10 * TIB).fullness, 'room');
});

test('what was written since counts, once for each copy', () => {
  assert.equal(fullnessOf([bound(100 * MIB, 12 * MIB)], 3 * MIB).fullness, 'no-starts');
  assert.equal(fullnessOf([bound(100 * MIB, 12 * MIB, 3)], 3 * MIB).fullness, 'no-answers');
});

test('a level is left with a tenth more than it was entered with', () => {
  const at = (leftMib: number, before: 'room' | 'no-starts' | 'no-answers'): string =>
    fullnessOf([bound(100 * MIB, leftMib * MIB)], 0, before).fullness;
  assert.equal(at(10.5, 'no-starts'), 'no-starts');
  assert.equal(at(11.1, 'no-starts'), 'room');
  assert.equal(at(5.2, 'no-answers'), 'no-answers');
  assert.equal(at(5.6, 'no-answers'), 'no-starts');
});
