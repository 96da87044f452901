// The page at `/`: who gets it, and under which policy.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPage } from '../../src/rpc/edge/page.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startEdge } from './edge.ts';

async function edgeWithPage() {
  using folder = temporaryFolder();
  for (const name of ['index.html', 'page.js', 'page.css', 'icon.svg']) {
    writeFileSync(join(folder.path, name), `this is ${name}`);
  }
  const page = await readPage(folder.path);
  return await startEdge({ page, corsOrigins: ['https://app.example'] });
}

const HTML = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

test('a browser gets the page, curl the text', async () => {
  await using edge = await edgeWithPage();
  const page = await fetch(edge.url, { headers: HTML });
  assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
  assert.equal(await page.text(), 'this is index.html');
  const text = await fetch(edge.url, { headers: { accept: '*/*' } });
  assert.equal(text.headers.get('content-type'), 'text/plain; charset=utf-8');
  assert.match(await text.text(), /curl http/);
  for (const { headers } of [page, text]) assert.match(headers.get('vary') ?? '', /Accept/);
});

test('the page runs and loads nothing but its own files', async () => {
  await using edge = await edgeWithPage();
  for (const path of ['/', '/page/page.js', '/page/page.css', '/page/icon.svg']) {
    const { status, headers } = await fetch(edge.url + path, { headers: HTML });
    assert.equal(status, 200);
    const policy = headers.get('content-security-policy') ?? '';
    assert.match(policy, /^default-src 'none'; /);
    for (const kind of ['script-src', 'style-src', 'connect-src', 'img-src']) {
      assert.match(policy, new RegExp(`${kind} 'self'(;|$)`));
    }
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
  }
});

test('what has not changed is not sent again, and HEAD has no body', async () => {
  await using edge = await edgeWithPage();
  const first = await fetch(`${edge.url}/page/page.js`);
  assert.equal(first.headers.get('content-encoding'), 'gzip');
  const again = await fetch(`${edge.url}/page/page.js`, {
    headers: { 'if-none-match': first.headers.get('etag') ?? '' },
  });
  assert.equal(again.status, 304);
  const head = await fetch(`${edge.url}/page/page.js`, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), '');
});

test('only the page’s own paths are served, and only to be read', async () => {
  await using edge = await edgeWithPage();
  for (const path of ['/page/', '/page/made-of', '/page/../index.html', '/page/page.js/x']) {
    assert.equal((await fetch(edge.url + path)).status, 404, path);
  }
  assert.equal((await fetch(`${edge.url}/page/page.js`, { method: 'POST' })).status, 404);
});

test('without a page a browser gets the text too', async () => {
  await using edge = await startEdge();
  const text = await fetch(edge.url, { headers: HTML });
  assert.equal(text.headers.get('content-type'), 'text/plain; charset=utf-8');
});
