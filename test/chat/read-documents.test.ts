// Documents of a request become text wherever they stand, or are named by their paths, all at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { type ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import { documentsOf } from '../../src/chat/rules/content-places.ts';
import type { DocumentFetcher, DocumentReader } from '../../src/chat/ports/document.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { type DocumentSources, readDocuments } from '../../src/chat/request/read-documents.ts';

function document(said: string) {
  const source = { case: 'data' as const, value: Buffer.from(said) };
  return { source, mediaType: 'text/plain', title: said };
}

function asking(): ChatRequest {
  const block = (said: string) => ({
    block: { case: 'document' as const, value: document(said) },
  });
  const result = { toolUseId: 't', content: [block('two')] };
  return create(ChatRequestSchema, {
    messages: [
      {
        role: Role.USER,
        content: [
          block('one'),
          { block: { case: 'toolResult', value: result } },
          { block: { case: 'text', value: 'hi' } },
        ],
      },
    ],
    toolContext: [{ name: 'c', item: { case: 'document', value: document('three') } }],
  });
}

const CHAT: ChatKey = { tenant: 'default', streamId: 'c' };

const begin = (): AbortSignal => new AbortController().signal;

const unasked: DocumentFetcher = { fetch: () => assert.fail('nothing to fetch') };

/** Reads what is said in capitals; what `broken` names it cannot. */
function reading(...broken: readonly string[]): DocumentSources {
  const reader: DocumentReader = {
    read: async ({ data }) => {
      const said = Buffer.from(data).toString();
      return Promise.resolve(
        broken.includes(said) ? { unreadable: `is ${said}` } : { text: said.toUpperCase() },
      );
    },
  };
  return { reader, fetcher: unasked };
}

test('documents in messages, tool results and tool context become text; the given request stays', async () => {
  const given = asking();
  const read = await readDocuments(given, reading(), CHAT, begin);
  assert.deepEqual(
    [...documentsOf(read)].map(({ path, document: { source, original, title } }) => {
      return [path, source.value, original?.sizeBytes, title];
    }),
    [
      ['request.messages[0].content[0].document', 'ONE', 3, 'one'],
      ['request.messages[0].content[1].tool_result.content[0].document', 'TWO', 3, 'two'],
      ['request.tool_context[0].document', 'THREE', 5, 'three'],
    ],
  );
  assert.ok([...documentsOf(given)].every(({ document: { source } }) => source.case === 'data'));
  assert.equal(
    await readDocuments(read, reading(), CHAT, () => assert.fail('nothing to read')),
    read,
  );
});

test('all that cannot be read is named in its order', async () => {
  await assert.rejects(readDocuments(asking(), reading('three', 'one'), CHAT, begin), (error) => {
    assert.ok(error instanceof ChatError && error.reason === 'INVALID_REQUEST');
    assert.deepEqual(error.violations, [
      { path: 'request.messages[0].content[0].document.data', description: 'is one' },
      { path: 'request.tool_context[0].document.data', description: 'is three' },
    ]);
    return true;
  });
});

test('who takes too long is told the bound; a reader that is busy and a caller that leaves come through', async () => {
  const stuck: DocumentReader = {
    read: (_, _chat, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
  await assert.rejects(
    readDocuments(asking(), { reader: stuck, fetcher: unasked }, CHAT, () =>
      AbortSignal.timeout(1),
    ),
    /may take 60 s, and that was not enough/,
  );
  const left = new Error('left');
  const leaving = readDocuments(asking(), { reader: stuck, fetcher: unasked }, CHAT, () => {
    const controller = new AbortController();
    setImmediate(() => controller.abort(left));
    return controller.signal;
  });
  await assert.rejects(leaving, left);
  const busy = new ChatError('QUEUE_FULL', 'busy', { retryAfterMs: 1 });
  const full: DocumentReader = { read: () => Promise.reject(busy) };
  await assert.rejects(
    readDocuments(asking(), { reader: full, fetcher: unasked }, CHAT, begin),
    busy,
  );
});

interface Page {
  readonly contentType: string;
  readonly says: string;
}

/** Knows what lies where; says which were asked for at once at the most. */
function fetching(pages: Readonly<Record<string, Page>>) {
  let now = 0;
  let most = 0;
  const fetcher: DocumentFetcher = {
    fetch: async (url, refusal) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      const page = pages[url];
      if (page === undefined) return { unfetched: 'answered with status 404' };
      const unfetched = refusal(page.contentType);
      if (unfetched !== undefined) return { unfetched };
      return { data: Buffer.from(page.says), contentType: page.contentType };
    },
  };
  return { fetcher, mostAtOnce: () => most };
}

function naming(...documents: readonly (readonly [url: string, mediaType: string])[]): ChatRequest {
  const content = documents.map(([value, mediaType]) => ({
    block: {
      case: 'document' as const,
      value: { source: { case: 'url' as const, value }, mediaType, title: value },
    },
  }));
  return create(ChatRequestSchema, { messages: [{ role: Role.USER, content }] });
}

test('a document by url is read as its server says it is, or as the request says', async () => {
  const kinds: string[] = [];
  const reader: DocumentReader = {
    read: async ({ kind, charset, data }) => {
      kinds.push(`${kind} ${charset}`);
      return Promise.resolve({ text: Buffer.from(data).toString().toUpperCase() });
    },
  };
  const { fetcher } = fetching({
    'http://a': { contentType: 'text/HTML; charset=latin1', says: 'one' },
    'http://b': { contentType: 'application/octet-stream; charset=latin1', says: 'two' },
    'http://c': { contentType: '', says: 'three' },
  });
  const given = naming(
    ['http://a', ''],
    ['http://b', 'text/markdown'],
    ['http://c', 'text/csv; charset=koi8-r'],
  );
  const read = await readDocuments(given, { reader, fetcher }, CHAT, begin);
  assert.deepEqual(kinds, ['html latin1', 'text latin1', 'text koi8-r']);
  assert.deepEqual(
    [...documentsOf(read)].map(({ document: { source, mediaType, original, title } }) => {
      return [source.case, source.value, mediaType, original?.sizeBytes, title];
    }),
    [
      ['text', 'ONE', 'text/html', 3, 'http://a'],
      ['text', 'TWO', 'text/markdown', 3, 'http://b'],
      ['text', 'THREE', 'text/csv; charset=koi8-r', 5, 'http://c'],
    ],
  );
});

test('what was not fetched, has no known type, or is something else than was said is named by its url', async () => {
  const { fetcher } = fetching({
    'http://png': { contentType: 'image/png', says: 'x' },
    'http://none': { contentType: '', says: 'x' },
    'http://long': { contentType: `text/${'x'.repeat(300)}`, says: 'x' },
    'http://login': { contentType: 'text/html', says: '<p>log in</p>' },
    'http://pdf': { contentType: 'text/html', says: '%PDF-1.7' },
    'http://empty': { contentType: 'text/plain', says: '' },
    'http://broken': { contentType: 'text/plain', says: 'broken' },
  });
  const request = naming(
    ['http://gone', ''],
    ['http://png', ''],
    ['http://none', ''],
    ['http://long', ''],
    ['http://login', 'application/pdf'],
    ['http://pdf', ''],
    ['http://empty', ''],
    ['http://broken', ''],
  );
  const said = [
    /^answered with status 404$/,
    /^answered with "image\/png", which cannot be read; these can, and media_type may say/,
    /^answered without a Content-Type; these can/,
    /which cannot be read/,
    /^is not a PDF, while media_type says "application\/pdf"$/,
    /^is a PDF, while its server says "text\/html"$/,
    /^answered with nothing$/,
    /^is broken$/,
  ];
  const { reader } = reading('broken');
  await assert.rejects(readDocuments(request, { reader, fetcher }, CHAT, begin), (error) => {
    assert.ok(error instanceof ChatError && error.reason === 'INVALID_REQUEST');
    assert.deepEqual(
      error.violations.map(({ path }) => path),
      said.map((_, i) => `request.messages[0].content[${i}].document.url`),
    );
    for (const [i, pattern] of said.entries()) {
      assert.match(error.violations[i]?.description ?? '', pattern);
    }
    return true;
  });
});

test('of many documents by url four are fetched at once, and each comes to its place', async () => {
  const urls = Array.from({ length: 100 }, (_, i) => `http://${i}`);
  const pages = urls.map((url) => [url, { contentType: 'text/plain', says: url }] as const);
  const { fetcher, mostAtOnce } = fetching(Object.fromEntries(pages));
  const { reader } = reading();
  const request = naming(...urls.map((url) => [url, ''] as const));
  const read = await readDocuments(request, { reader, fetcher }, CHAT, begin);
  assert.deepEqual(
    [...documentsOf(read)].map(({ document: { source } }) => source.value),
    urls.map((url) => url.toUpperCase()),
  );
  assert.equal(mostAtOnce(), 4);
});

test('texts that no request may have are refused, and the rest is not fetched', async () => {
  let asked = 0;
  const fetcher: DocumentFetcher = {
    fetch: async (_, __, ___, signal) => {
      signal.throwIfAborted();
      asked++;
      return Promise.resolve({ data: Buffer.from('x'), contentType: 'text/plain' });
    },
  };
  const reader: DocumentReader = {
    read: async () => Promise.resolve({ text: 'x'.repeat(3 * 1_024 * 1_024) }),
  };
  const urls = Array.from({ length: 100 }, (_, i) => [`http://${i}`, ''] as const);
  await assert.rejects(
    readDocuments(naming(...urls), { reader, fetcher }, CHAT, begin),
    (error) => {
      return error instanceof ChatError && error.reason === 'REQUEST_TOO_LARGE';
    },
  );
  assert.ok(asked < 20, `${asked} were fetched`);
});
