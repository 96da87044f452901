// Documents by url wait for each other in a process: so many at once, by turns, and who leaves is gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import { createDocumentFetcher } from '../../src/tools/fetch/document-fetcher.ts';
import { FetchFailure } from '../../src/tools/fetch/fetch-failure.ts';
import type { Fetched, GuardedFetch } from '../../src/tools/fetch/guarded-fetch.ts';

const NEVER = new AbortController().signal;
const chat = (tenant: string): ChatKey => ({ tenant, streamId: 'one' });
const [A, B] = [chat('a'), chat('b')];
const any = (): undefined => undefined;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const page = { url: '', contentType: 'text/plain', data: Buffer.from('x') };

/** Fetches that end when the test says so. */
function held() {
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<Fetched>>();
  const fetch: GuardedFetch = (url) => {
    begun.push(url);
    const end = Promise.withResolvers<Fetched>();
    ends.set(url, end);
    return end.promise;
  };
  return { begun, ends, fetch };
}

test('so many are fetched at once; the next come in their order, and who leaves the line is not fetched', async () => {
  const { begun, ends, fetch } = held();
  const fetcher = createDocumentFetcher(fetch, { atOnce: 3 });
  const leaving = new AbortController();
  const [one, two, three, four, five] = ['1', '2', '3', '4', '5'].map((url) =>
    fetcher.fetch(url, any, A, url === '3' ? leaving.signal : NEVER),
  );
  await settled();
  assert.deepEqual(begun, ['1', '2']);
  const left = new Error('left');
  leaving.abort(left);
  await assert.rejects(three ?? assert.fail(), left);
  ends.get('1')?.resolve(page);
  assert.deepEqual(await one, page);
  await settled();
  assert.deepEqual(begun, ['1', '2', '4']);
  // A failure gives its place back as well, and is told in words.
  ends.get('2')?.reject(new FetchFailure('cannot be reached'));
  assert.deepEqual(await two, { unfetched: 'cannot be reached' });
  await settled();
  assert.deepEqual(begun, ['1', '2', '4', '5']);
  const fault = new Error('a fault of ours');
  ends.get('4')?.reject(fault);
  await assert.rejects(four ?? assert.fail(), fault);
  ends.get('5')?.resolve(page);
  assert.deepEqual(await five, page);
  const again = [fetcher.fetch('6', any, A, NEVER), fetcher.fetch('7', any, A, NEVER)];
  await settled();
  assert.deepEqual(begun.slice(4), ['6', '7']);
  for (const url of ['6', '7']) ends.get(url)?.resolve(page);
  await Promise.all(again);
  await assert.rejects(fetcher.fetch('8', any, A, AbortSignal.abort(left)), left);
});

test('one tenant’s many documents do not keep another’s out, and too many that wait are refused with when to come again', async () => {
  const { begun, ends, fetch } = held();
  const fetcher = createDocumentFetcher(fetch, { atOnce: 2, maxWaiting: 1 });
  const get = (url: string, whose: ChatKey) => fetcher.fetch(url, any, whose, NEVER);
  const all = [get('a1', A), get('a2', A)];
  await assert.rejects(get('a3', A), { reason: 'QUEUE_FULL', retryAfterMs: 2_000 });
  all.push(get('b1', B));
  await settled();
  assert.deepEqual(begun, ['a1', 'b1']);
  for (const url of ['a1', 'b1']) ends.get(url)?.resolve(page);
  await settled();
  ends.get('a2')?.resolve(page);
  await Promise.all(all);
});
