// The vectors that a process keeps: made once for all who search the same texts, bounded together, and stopped
// when nobody wants them any more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createKeptVectors,
  type KeptVectors,
  NoRoom,
} from '../../src/tools/search/kept-vectors.ts';
import { NEVER, TRACEPARENT } from '../model/model-call.ts';
import { embedderOf, type TestEmbedder } from '../support/chats/test-embedder.ts';

const DIMENSIONS = 8;
const TEXT_BYTES = 4 * DIMENSIONS;

function ask(kept: KeptVectors, embedder: TestEmbedder, key: string, over: AbortSignal = NEVER) {
  // As many texts as the key has letters.
  return kept.of(embedder, key, key.split(''), { over, traceparent: TRACEPARENT });
}

/** Answers when it is told to. */
function heldEmbedder(): {
  readonly embedder: TestEmbedder;
  readonly begun: Promise<AbortSignal>;
  readonly go: () => void;
} {
  const begun = Promise.withResolvers<AbortSignal>();
  const go = Promise.withResolvers<void>();
  const embedder = embedderOf(({ signal }) => {
    begun.resolve(signal);
    return go.promise;
  }, DIMENSIONS);
  return { embedder, begun: begun.promise, go: go.resolve };
}

test('vectors are made once for all runs with the same texts, and once more for another endpoint', async () => {
  const kept = createKeptVectors();
  const [one, other] = [embedderOf(undefined, DIMENSIONS), embedderOf(undefined, DIMENSIONS)];
  const [a, b] = await Promise.all([ask(kept, one, 'abc'), ask(kept, one, 'abc')]);
  assert.equal(a, b);
  assert.equal(await ask(kept, one, 'abc'), a);
  assert.equal(one.asked.length, 1);
  assert.notEqual(await ask(kept, other, 'abc'), a);
  assert.equal(other.asked.length, 1);
  assert.equal(kept.bytes(), 2 * 3 * TEXT_BYTES);
});

test('all vectors of a process are bounded together: those used longest ago go first, and are made anew', async () => {
  const kept = createKeptVectors(6 * TEXT_BYTES);
  const embedder = embedderOf(undefined, DIMENSIONS);
  await ask(kept, embedder, 'abc');
  await ask(kept, embedder, 'de');
  await ask(kept, embedder, 'abc');
  assert.equal(embedder.asked.length, 2);
  await ask(kept, embedder, 'fgh');
  assert.equal(kept.bytes(), 6 * TEXT_BYTES, 'without de');
  await ask(kept, embedder, 'abc');
  assert.equal(embedder.asked.length, 3);
  await ask(kept, embedder, 'de');
  assert.equal(embedder.asked.length, 4);
  assert.equal(kept.bytes(), 5 * TEXT_BYTES, 'without fgh');
});

test('what is being made does not give way: who finds no room beside it is told, and the room comes back', async () => {
  const kept = createKeptVectors(4 * TEXT_BYTES);
  const batches: PromiseWithResolvers<void>[] = [];
  const second = Promise.withResolvers<void>();
  // Five texts are two batches: the room is taken with the first.
  const slow = embedderOf(({ texts }) => {
    if (texts.length === 4) return Promise.resolve();
    const one = Promise.withResolvers<void>();
    batches.push(one);
    second.resolve();
    return one.promise;
  }, DIMENSIONS / 2);
  const making = ask(kept, slow, 'abcde');
  await second.promise;
  const quick = embedderOf(undefined, DIMENSIONS);
  await assert.rejects(ask(kept, quick, 'fghi'), NoRoom);
  await ask(kept, quick, 'f');
  for (const { resolve } of batches) resolve();
  await making;
  await ask(kept, quick, 'fghi');
  assert.equal(kept.bytes(), 4 * TEXT_BYTES);
});

test('one of two runs ends: the other has the vectors; both end: nothing is asked any more', async () => {
  const kept = createKeptVectors();
  const { embedder, begun, go } = heldEmbedder();
  const [first, second] = [new AbortController(), new AbortController()];
  const asked = [
    ask(kept, embedder, 'abc', first.signal),
    ask(kept, embedder, 'abc', second.signal),
  ];
  const signal = await begun;
  first.abort(new Error('over'));
  assert.ok(!signal.aborted);
  second.abort(new Error('over as well'));
  assert.ok(signal.aborted);
  const third = ask(kept, embedder, 'abc');
  assert.equal(embedder.asked.length, 2, 'who comes then begins anew');
  go();
  for (const each of asked) await assert.rejects(each, /over as well/);
  await third;
  assert.equal(kept.bytes(), 3 * TEXT_BYTES);
});

test('a run that is over asks for nothing, and what failed is not kept', async () => {
  const kept = createKeptVectors();
  let fails = true;
  const embedder = embedderOf(
    () => (fails ? Promise.reject(new Error('down')) : Promise.resolve()),
    DIMENSIONS,
  );
  await assert.rejects(ask(kept, embedder, 'abc', AbortSignal.abort(new Error('over'))), /over/);
  assert.equal(embedder.asked.length, 0);
  await assert.rejects(ask(kept, embedder, 'abc'), /down/);
  assert.equal(kept.bytes(), 0);
  fails = false;
  await ask(kept, embedder, 'abc');
  assert.equal(kept.bytes(), 3 * TEXT_BYTES);
});
