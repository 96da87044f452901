// web_fetch: pages and documents as text for a model, and in words what it could not have.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, BlockList } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DocumentReader } from '../../src/chat/ports/document.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { ToolFailure } from '../../src/chat/ports/tool.ts';
import { createDocumentReader } from '../../src/documents/document-reader.ts';
import { createGuardedFetch } from '../../src/tools/fetch/guarded-fetch.ts';
import { checkInputSchema } from '../../src/tools/schemas/json-schema.ts';
import { webFetchTool } from '../../src/tools/fetch/web-fetch.ts';
import { chatKey } from '../support/chats/chat-fixtures.ts';
import { SILENT } from '../support/processes/nats.ts';
import { TRACEPARENT } from '../model/model-call.ts';

const NEVER = new AbortController().signal;
const CHAT = chatKey();
const LONG = `${'a'.repeat(48 * 1_024 - 1)}\u{1F30A} and so on`;
const PAGES: Readonly<Record<string, readonly [type: string, body: string | Buffer]>> = {
  '/page': [
    'text/html; charset=windows-1252',
    Buffer.from(
      '<html><head><title> Mills\n of K\xf6ln </title></head><body><script>x</script><h1>Mills</h1><p>One &amp; <a href="/two">two</a></p></body></html>',
      'latin1',
    ),
  ],
  '/mill.pdf': [
    'application/pdf',
    readFileSync(join(import.meta.dirname, '../documents/files/two-pages.pdf')),
  ],
  '/locked.pdf': [
    'application/pdf',
    readFileSync(join(import.meta.dirname, '../documents/files/encrypted.pdf')),
  ],
  '/long': ['text/plain', LONG],
  '/data': ['application/json', '{"a":1}'],
  '/picture': ['image/png', 'x'],
  '/empty': ['text/html', ''],
  '/blank': ['text/html', '<title>T</title>'],
};

const server = createServer((request, response) => {
  const page = PAGES[request.url ?? ''];
  if (request.url === '/moved') response.writeHead(301, { location: '/data#a' }).end();
  else if (page === undefined) response.writeHead(404).end();
  else response.writeHead(200, { 'content-type': page[0] }).end(page[1]);
});
let base: string;
const allowed = new BlockList();
allowed.addAddress('127.0.0.1');
const fetch = createGuardedFetch(allowed);
const reader = createDocumentReader(SILENT);
const tool = webFetchTool({ fetch, reader }, CHAT);

before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(async () => {
  server.close();
  await reader[Symbol.asyncDispose]();
});

async function failure(url: string): Promise<string> {
  const error: unknown = await tool.call({ url }, NEVER, TRACEPARENT).then(
    () => assert.fail('it was read'),
    (found: unknown) => found,
  );
  assert.ok(error instanceof ToolFailure, String(error));
  return error.message;
}

test('its schema is one that tools may have, and asks for a url', () => {
  assert.ok(checkInputSchema(tool.inputSchema).ok);
});

test('a page is its title, the address that it was at in the end, and its text', async () => {
  assert.equal(
    await tool.call({ url: `${base}/page` }, NEVER, TRACEPARENT),
    `Title: Mills of Köln\nAddress: ${base}/page\n\n# Mills\n\nOne & two [/two]`,
  );
  assert.equal(
    await tool.call({ url: `${base}/moved` }, NEVER, TRACEPARENT),
    `Address: ${base}/data\n\n{"a":1}`,
  );
  assert.match(
    await tool.call({ url: `${base}/mill.pdf` }, NEVER, TRACEPARENT),
    /^Address: [^ ]+\/mill\.pdf\n\nPage 1 line 1: the river/,
  );
});

test('a long page is cut between characters, and says so', async () => {
  const answer = await tool.call({ url: `${base}/long` }, NEVER, TRACEPARENT);
  const [, text = '', note] = answer.split('\n\n');
  assert.equal(text, 'a'.repeat(48 * 1_024 - 1));
  assert.equal(note, `[The page goes on: these are 49151 of its ${LONG.length} characters.]`);
});

test('what cannot be fetched or read is told in words for the model', async () => {
  assert.equal(await failure(`${base}/gone`), 'The address answered with status 404.');
  assert.equal(
    await failure(`${base}/picture`),
    'The address answered with "image/png", which cannot be read as text.',
  );
  assert.equal(await failure(`${base}/empty`), 'The page is empty.');
  assert.equal(await failure(`${base}/blank`), 'The page cannot be read: it has no text.');
  assert.equal(
    await failure(`${base}/locked.pdf`),
    'The page cannot be read: it is a PDF with a password.',
  );
  assert.match(
    await failure('http://169.254.169.254/'),
    /^The address may not be fetched: its host/,
  );
  assert.match(await failure('not an address'), /^The address is no http or https address\.$/);
});

test('a reader that is busy is a failure to tell; a caller that leaves, and a fault of ours, come through', async () => {
  const reads = (why: Error): Promise<string> => {
    const failing: DocumentReader = { read: async () => Promise.reject(why) };
    return webFetchTool({ fetch, reader: failing }, CHAT).call(
      { url: `${base}/page` },
      NEVER,
      TRACEPARENT,
    );
  };
  await assert.rejects(reads(new ChatError('QUEUE_FULL', 'busy')), /^ToolFailure: Too many pages/);
  const fault = new Error('a fault of ours');
  await assert.rejects(reads(fault), fault);
  const left = new Error('left');
  await assert.rejects(
    tool.call({ url: `${base}/page` }, AbortSignal.abort(left), TRACEPARENT),
    left,
  );
});
