// Places for what is done at once: nobody's many keep another out, however long they take.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createFairPlaces, type FairPlaces } from '../../src/processes/fair-places.ts';

const NEVER = new AbortController().signal;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Who has places, in the order of coming to them; `b` gives the oldest of b's back. */
function holding(places: FairPlaces) {
  const has: string[] = [];
  const refused: string[] = [];
  const back = new Map<string, (() => void)[]>();
  const comes = (tenant: string, signal = NEVER): void => {
    void places.take({ tenant, streamId: 'one' }, 1, signal).then(
      (giveBack) => {
        if (giveBack === undefined) return refused.push(tenant);
        has.push(tenant);
        return back.set(tenant, [...(back.get(tenant) ?? []), giveBack]);
      },
      () => undefined,
    );
  };
  const ends = (tenant: string): void => {
    const [first, ...rest] = back.get(tenant) ?? [];
    if (first === undefined) return;
    back.set(tenant, rest);
    has.splice(has.indexOf(tenant), 1);
    first();
  };
  return { has, refused, comes, ends };
}

test('one tenant alone has all places but one, and another’s first has that at once', async () => {
  const { has, comes } = holding(createFairPlaces(4, 64));
  for (let i = 0; i < 10; i++) comes('a');
  await settled();
  assert.deepEqual(has, ['a', 'a', 'a']);
  comes('b');
  await settled();
  assert.deepEqual(has, ['a', 'a', 'a', 'b']);
});

test('a place that becomes free is kept for a newcomer when it is the last, whoever waits for a second', async () => {
  const { has, comes, ends } = holding(createFairPlaces(3, 64));
  for (const tenant of ['a', 'a', 'a', 'a', 'b', 'b']) comes(tenant);
  await settled();
  assert.deepEqual(has, ['a', 'a', 'b']);
  ends('a');
  await settled();
  assert.deepEqual(has, ['a', 'b'], 'a and b wait, and have one each');
  comes('c');
  await settled();
  assert.deepEqual(has, ['a', 'b', 'c']);
  ends('c');
  ends('b');
  await settled();
  assert.deepEqual(has, ['a', 'a', 'b'], 'by turns, and the last to who has none');
});

test('where there is one place it is anybody’s', async () => {
  const { has, comes, ends } = holding(createFairPlaces(1, 64));
  for (const tenant of ['a', 'a', 'b']) comes(tenant);
  await settled();
  assert.deepEqual(has, ['a']);
  ends('a');
  await settled();
  ends('a');
  await settled();
  assert.deepEqual(has, ['b']);
});

test('who leaves waits no more, too many are refused, and when it is closed all are', async () => {
  const places = createFairPlaces(2, 2);
  const { has, refused, comes, ends } = holding(places);
  const leaving = new AbortController();
  comes('a');
  comes('a', leaving.signal);
  comes('a');
  comes('a');
  await settled();
  assert.deepEqual(refused, ['a']);
  leaving.abort();
  comes('a');
  await settled();
  assert.deepEqual(refused, ['a'], 'there is room again');
  places.close();
  comes('b');
  await settled();
  assert.deepEqual(refused.toSorted(), ['a', 'a', 'a', 'b']);
  ends('a');
  await settled();
  assert.deepEqual(has, []);
});

test('whoever comes and ends, places are never more than there are, all but the last are used while somebody waits, and each has its turn', async () => {
  const step = fc.tuple(fc.constantFrom('comes', 'ends'), fc.constantFrom('a', 'b', 'c', 'd'));
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 60 }),
      async (most, steps) => {
        const { has, refused, comes, ends } = holding(createFairPlaces(most, 1_000));
        let came = 0;
        let ended = 0;
        for (const [what, tenant] of steps) {
          if (what === 'comes') came++;
          else if (has.includes(tenant)) ended++;
          (what === 'comes' ? comes : ends)(tenant);
          await settled();
          const waiting = came - ended - has.length;
          assert.ok(has.length <= most);
          assert.ok(waiting === 0 || has.length >= most - 1, 'all but the last are used');
        }
        // Each has its turn in the end.
        for (let i = 0; i < came; i++) {
          for (const tenant of ['a', 'b', 'c', 'd']) ends(tenant);
          await settled();
        }
        assert.deepEqual([has, refused], [[], []]);
      },
    ),
  );
});
