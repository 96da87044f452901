// Which priority gets the next slot: the documented weight, for every mix of those that wait.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ServingOrder } from '../../src/worker/serving-order.ts';

/** The next slots, one at a time, while the same priorities wait. */
function serve(order: ServingOrder, waiting: readonly number[], slots: number): number[] {
  return Array.from({ length: slots }, () => {
    const grant = order.grant(waiting, 1);
    order.used(grant, 1);
    return grant.priority;
  });
}

test('nine slots go by order and the tenth by turn; what waits alone gets all', () => {
  const order = new ServingOrder();
  assert.deepEqual(new Set(serve(order, [5], 100)), new Set([5]));
  const nine = Array.from({ length: 9 }, () => 0);
  assert.deepEqual(serve(order, [9, 4, 0], 40), [...nine, 4, ...nine, 9, ...nine, 4, ...nine, 9]);
});

test('each of n priorities that wait beside the best gets one slot in 10 × n', () => {
  const some = fc.uniqueArray(fc.integer({ min: 0, max: 9 }), { minLength: 2, maxLength: 10 });
  fc.assert(
    fc.property(some, (waiting) => {
      const best = Math.min(...waiting);
      const others = waiting.length - 1;
      const served = serve(new ServingOrder(), waiting, 100 * others);
      for (const priority of waiting) {
        const share = served.filter((each) => each === priority).length;
        assert.equal(share, priority === best ? 90 * others : 10);
      }
    }),
  );
});

test('slots that found no chat count as not given, and a turn that found none is given anew', () => {
  const order = new ServingOrder();
  for (let i = 0; i < 50; i++) order.used(order.grant([0, 9], 1), 0);
  assert.deepEqual(serve(order, [0, 9], 10), [...Array.from({ length: 9 }, () => 0), 9]);
  serve(order, [0, 3, 9], 9);
  const turn = order.grant([0, 3, 9], 5);
  assert.deepEqual([turn.priority, turn.slots, turn.by], [3, 1, 'turn']);
  order.used(turn, 0);
  assert.equal(order.grant([0, 9], 5).priority, 9);
});

test('many slots at once are given in the same shares', () => {
  const order = new ServingOrder();
  assert.deepEqual(order.grant([2, 7], 32), { priority: 2, slots: 9, by: 'order' });
  assert.deepEqual(order.grant([2, 7], 23), { priority: 7, slots: 1, by: 'turn' });
  assert.deepEqual(order.grant([7], 22), { priority: 7, slots: 22, by: 'nobody-else' });
});
