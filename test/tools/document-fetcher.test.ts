// Documents by url wait for each other in a process: so many at once, in their order, and who leaves is gone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDocumentFetcher } from '../../src/tools/fetch/document-fetcher.ts';
import { FetchFailure } from '../../src/tools/fetch/fetch-failure.ts';
import type { Fetched, GuardedFetch } from '../../src/tools/fetch/guarded-fetch.ts';

const NEVER = new AbortController().signal;
const any = (): undefined => undefined;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('so many are fetched at once; the next come in their order, and who leaves the line is not fetched', async () => {
  const begun: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<Fetched>>();
  const fetch: GuardedFetch = (url) => {
    begun.push(url);
    const end = Promise.withResolvers<Fetched>();
    ends.set(url, end);
    return end.promise;
  };
  const page = { url: '', contentType: 'text/plain', data: Buffer.from('x') };
  const fetcher = createDocumentFetcher(fetch, 2);
  const leaving = new AbortController();
  const [one, two, three, four, five] = ['1', '2', '3', '4', '5'].map((url) =>
    fetcher.fetch(url, any, url === '3' ? leaving.signal : NEVER),
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
  const again = [fetcher.fetch('6', any, NEVER), fetcher.fetch('7', any, NEVER)];
  await settled();
  assert.deepEqual(begun.slice(4), ['6', '7']);
  for (const url of ['6', '7']) ends.get(url)?.resolve(page);
  await Promise.all(again);
  await assert.rejects(fetcher.fetch('8', any, AbortSignal.abort(left)), left);
});
