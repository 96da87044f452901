// Turns: nobody waits for another's many, and nobody is kept out by them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createFairQueue, type Waiting } from '../../src/processes/fair-queue.ts';

interface Named extends Waiting {
  readonly name: string;
}

/** a1.3: the third of the first chat of tenant a. */
function one(name: string, cost = 1): Named {
  const [chat = ''] = name.split('.');
  return { name, cost, whose: { tenant: chat.slice(0, 1), streamId: chat } };
}

const names = (all: readonly Named[]): readonly string[] => all.map(({ name }) => name);

function order(all: readonly Named[], most = 1_000): readonly string[] {
  const queue = createFairQueue<Named>(most);
  for (const each of all) assert.deepEqual(queue.add(each), []);
  const found: string[] = [];
  for (let next = queue.next(); next !== undefined; next = queue.next()) found.push(next.name);
  return found;
}

test('tenants take turns, a tenant’s chats take turns, and a chat’s own come in their order', () => {
  const given = ['a1.1', 'a1.2', 'a1.3', 'a2.1', 'a2.2', 'b1.1', 'b1.2'];
  assert.deepEqual(order(given.map((name) => one(name))), [
    'a1.1',
    'b1.1',
    'a2.1',
    'b1.2',
    'a1.2',
    'a2.2',
    'a1.3',
  ]);
});

test('64 queries of one chat hold another’s back for one turn', () => {
  const many = Array.from({ length: 64 }, (_, i) => one(`a1.${i}`));
  assert.equal(order([...many, one('a2.1'), one('b1.1')]).indexOf('b1.1'), 1);
  assert.equal(order([...many, one('a2.1'), one('b1.1')]).indexOf('a2.1'), 2);
});

test('where it is full, the last of the chat that waits most gives way, and who would only take a place is refused', () => {
  const queue = createFairQueue<Named>(4);
  for (const name of ['a1.1', 'a1.2', 'a1.3', 'a2.1']) queue.add(one(name));
  assert.deepEqual(names(queue.add(one('a1.4'))), ['a1.4']);
  assert.deepEqual(names(queue.add(one('b1.1'))), ['a1.3']);
  assert.deepEqual(names(queue.add(one('b1.2'))), ['a1.2']);
  assert.deepEqual(names(queue.add(one('b2.1'))), ['b1.2']);
});

test('who waits no more takes no turn and no room', () => {
  const queue = createFairQueue<Named>(2);
  const [gone, stays] = [one('a1.1'), one('a1.2')];
  queue.add(gone);
  queue.add(stays);
  queue.remove(gone);
  queue.remove(gone);
  assert.deepEqual(queue.add(one('b1.1')), []);
  assert.equal(queue.next(), stays);
});

test('whatever comes and goes, what waits stays within the bound, and each is given out once or given back', () => {
  const step = fc.oneof(
    fc.record({
      add: fc.constantFrom('a1', 'a2', 'b1', 'c1'),
      cost: fc.integer({ min: 1, max: 6 }),
    }),
    fc.constant('next' as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = createFairQueue<Named>(10);
      const waits = new Set<Named>();
      for (const [i, each] of steps.entries()) {
        if (each === 'next') {
          const next = queue.next();
          assert.equal(next === undefined, waits.size === 0);
          if (next !== undefined) assert.ok(waits.delete(next));
          continue;
        }
        const added = one(`${each.add}.${i}`, each.cost);
        waits.add(added);
        for (const gone of queue.add(added)) assert.ok(waits.delete(gone));
        assert.ok([...waits].reduce((sum, { cost }) => sum + cost, 0) <= 10);
      }
    }),
  );
});
