// document_search: what it finds and where, where documents are cut, and what is kept of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { MAX_TOOL_LIST_CHARS, PASSAGE_CHARS, PASSAGE_LEAST_CHARS } from '../../src/chat/limits.ts';
import { indexDocuments } from '../../src/tools/search/document-index.ts';
import { documentSearchTool } from '../../src/tools/search/document-search.ts';
import { createKeptIndexes, indexKey } from '../../src/tools/search/kept-indexes.ts';
import { passagesOf } from '../../src/tools/search/passages.ts';
import { TRACEPARENT } from '../model/model-call.ts';

interface Found {
  readonly passages: readonly {
    readonly document: string;
    readonly title: string;
    readonly position: number;
    readonly quote: string;
  }[];
  readonly note?: string;
}

interface Given {
  readonly name?: string;
  readonly title?: string;
  readonly description?: string;
  readonly text: string;
}

const { signal } = new AbortController();

function requestOf(documents: readonly Given[], inMessages: readonly string[] = []) {
  const block = (text: string, title = '') => ({
    case: 'document' as const,
    value: { title, source: { case: 'text' as const, value: text } },
  });
  return create(ChatRequestSchema, {
    messages: [{ role: Role.USER, content: inMessages.map((text) => ({ block: block(text) })) }],
    toolContext: documents.map(({ name = 'name', title = '', description = '', text }) => {
      return { name, description, item: block(text, title) };
    }),
  });
}

async function search(
  documents: readonly Given[],
  input: Readonly<Record<string, unknown>>,
): Promise<Found> {
  return JSON.parse(
    await documentSearchTool(requestOf(documents)).call(input, signal, TRACEPARENT),
  ) as Found;
}

const filler = (words: number): string =>
  Array.from({ length: words }, (_, i) => `filler${i % 97}`).join(' ');

test('a passage comes with its document’s id and title, its words and where they stand', async () => {
  const text = `😀 ${filler(400)}\n\nThe tailrace carries the water away.\n\n${filler(400)}`;
  const { passages } = await search(
    [{ text: filler(300) }, { text, name: 'mill', title: 'Of mills' }],
    { query: 'Where does the tailrace carry water?', limit: 1 },
  );
  assert.equal(passages.length, 1);
  const [found] = passages;
  assert.ok(found !== undefined);
  assert.equal(found.document, 'd2');
  assert.equal(found.title, 'Of mills');
  assert.match(found.quote, /The tailrace carries the water away\./);
  assert.equal(text.slice(found.position, found.position + found.quote.length), found.quote);
});

test('rare words weigh more than common ones, and the best passage is the first', async () => {
  const documents = [
    { text: 'the wheel turns and the wheel turns' },
    { text: 'the wheel is of oak' },
    { text: 'the wheel is of iron' },
  ];
  const { passages } = await search(documents, { query: 'the wheel oak' });
  assert.deepEqual(
    passages.map(({ document }) => document).toSorted(),
    ['d1', 'd2', 'd3'],
    'all have one of the words',
  );
  assert.equal(passages[0]?.document, 'd2');
});

test('words are found in other forms, cases and without accents, and at the beginning of longer ones', async () => {
  const found = async (text: string, query: string): Promise<number> =>
    (await search([{ text }], { query })).passages.length;
  assert.equal(await found('The contracts were terminated.', 'terminate CONTRACT'), 1);
  assert.equal(await found('Le café est fermé.', 'cafe'), 1);
  assert.equal(await found('Der Urlaubsanspruch beträgt 30 Tage.', 'Urlaub'), 1);
  assert.equal(await found('Договор расторгнут.', 'договор'), 1);
  assert.equal(await found('The contracts were terminated.', 'wheel'), 0);
});

test('scripts without spaces between words are searched by pairs of characters', async () => {
  const documents = [
    { text: '東京都の水車は十八世紀に作られた。' },
    { text: '大阪の橋は新しい。' },
    { text: 'กังหันน้ำอยู่ที่เชียงใหม่' },
  ];
  assert.equal((await search(documents, { query: '水車' })).passages[0]?.document, 'd1');
  assert.equal((await search(documents, { query: '大阪' })).passages[0]?.document, 'd2');
  assert.equal((await search(documents, { query: 'เชียงใหม่' })).passages[0]?.document, 'd3');
});

test('a search may be kept to one document and to a number of passages', async () => {
  const documents = [{ text: 'oak' }, { text: `oak ${filler(1_000)} oak` }, { text: 'oak' }];
  const inOne = await search(documents, { query: 'oak', document: 'd2' });
  assert.deepEqual(
    inOne.passages.map(({ document }) => document),
    ['d2', 'd2'],
  );
  assert.equal((await search(documents, { query: 'oak', limit: 3 })).passages.length, 3);
});

test('nothing found is said so', async () => {
  const found = await search([{ text: 'oak' }], { query: 'iron' });
  assert.deepEqual(found.passages, []);
  assert.match(found.note ?? '', /no passage/);
  assert.deepEqual((await search([{ text: 'oak' }], { query: '?! …' })).passages, []);
});

test('no query is a syntax of the index: quotes, operators and columns are words', async () => {
  for (const query of [
    '"',
    'oak"',
    "o'k) OR (oak",
    'title:oak',
    'oak*',
    'NEAR(oak)',
    'NOT',
    '-oak',
  ]) {
    const { passages } = await search([{ text: 'some oak' }], { query });
    assert.equal(passages.length, /oak/.test(query) ? 1 : 0, query);
  }
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), async (query) => {
      assert.ok(Array.isArray((await search([{ text: 'oak' }], { query })).passages));
    }),
    { numRuns: 100 },
  );
});

test('words of a title find the passages of its document', async () => {
  const documents = [{ text: 'oak' }, { text: 'iron', title: 'Wheels of the valley' }];
  const { passages } = await search(documents, { query: 'valley' });
  assert.deepEqual(
    passages.map(({ document }) => document),
    ['d2'],
  );
});

test('passages hold all but the space between them, in order, none longer than the bound', () => {
  const unit = fc.constantFrom('a', 'word', ' ', '. ', '\n', '\n\n', '😀', '。', '水');
  const text = fc.array(unit, { maxLength: 5_000, size: 'max' }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, (given) => {
      let at = 0;
      for (const { start, end } of passagesOf(given)) {
        assert.equal(given.slice(at, start).trim(), '');
        assert.ok(end > start && end - start <= PASSAGE_CHARS);
        const passage = given.slice(start, end);
        assert.equal(passage.trim(), passage);
        assert.ok(passage.isWellFormed());
        at = end;
      }
      assert.equal(given.slice(at).trim(), '');
    }),
    { numRuns: 100 },
  );
});

test('a document is cut at an empty line, else a line, a sentence, a word, else anywhere', () => {
  const first = (text: string): string => {
    const [passage] = passagesOf(text);
    return text.slice(passage?.start, passage?.end);
  };
  const long = 'x'.repeat(PASSAGE_LEAST_CHARS);
  const rest = 'y'.repeat(PASSAGE_CHARS);
  assert.equal(first(`${long}\n\nb\nc. d e${rest}`), long);
  assert.equal(first(`a\n\n${long}\nc. d e${rest}`), `a\n\n${long}`);
  assert.equal(first(`a\n${long}. d e${rest}`), `a\n${long}.`);
  assert.equal(first(`a. ${long} e${rest}`), `a. ${long}`);
  assert.equal(first(`a ${long}${rest}`), `a ${long}${rest}`.slice(0, PASSAGE_CHARS));
});

test('documents of the messages count on in the ids, as they do in the prompt', async () => {
  const tool = documentSearchTool(requestOf([{ text: 'oak' }], ['one', 'two']));
  const { passages } = JSON.parse(await tool.call({ query: 'oak' }, signal, TRACEPARENT)) as Found;
  assert.equal(passages[0]?.document, 'd3');
});

test('the description lists the documents for the model, bounded, and the schema takes their ids alone', () => {
  const one = documentSearchTool(
    requestOf([{ text: 'oak', name: 'mill', title: 'Of mills', description: 'old\nand new' }]),
  );
  assert.match(one.description, /^- d1: mill, "Of mills", 3 characters: old and new$/m);
  const many = Array.from({ length: 100 }, (_, i) => {
    return { text: 'oak', name: `${i}`, description: 'd'.repeat(16_000) };
  });
  const tool = documentSearchTool(requestOf(many));
  assert.ok(tool.description.length < MAX_TOOL_LIST_CHARS + 2_000);
  assert.match(tool.description, /… and \d+ more documents/);
  const validate = new Ajv2020().compile(JSON.parse(tool.inputSchema) as object);
  assert.ok(validate({ query: 'a', document: 'd100', limit: 20 }));
  for (const wrong of [
    {},
    { query: '' },
    { query: 'a', document: 'd101' },
    { query: 'a', limit: 0 },
  ]) {
    assert.ok(!validate(wrong), JSON.stringify(wrong));
  }
});

test('an aborted call ends with the signal’s reason, and the index is made all the same', async () => {
  const tool = documentSearchTool(requestOf([{ text: `${filler(50_000)} heron` }]));
  const abort = new AbortController();
  const call = tool.call({ query: 'heron' }, abort.signal, TRACEPARENT);
  abort.abort(new Error('enough'));
  await assert.rejects(call, /enough/);
  await assert.rejects(tool.call({ query: 'heron' }, abort.signal, TRACEPARENT), /enough/);
  const { passages } = JSON.parse(
    await tool.call({ query: 'heron' }, signal, TRACEPARENT),
  ) as Found;
  assert.equal(passages.length, 1);
});

test('others are served while an index is made', async () => {
  let turns = 0;
  let going = true;
  const turn = (): void => {
    turns++;
    if (going) setImmediate(turn);
  };
  setImmediate(turn);
  const index = await indexDocuments([{ title: 't', text: filler(600_000) }]);
  going = false;
  assert.ok(turns > 3, `${turns} turns of the loop`);
  index.close();
});

test('equal documents are indexed once, for all chats; the bound lets those go that were used longest ago', async () => {
  const kept = createKeptIndexes(100, 3);
  const uses = (text: string): Promise<unknown> => {
    const documents = [{ title: 't', text }];
    return kept.with(indexKey(documents), documents, (index) => index);
  };
  const [a1, a2] = await Promise.all([uses('a'), uses('a')]);
  assert.equal(a1, a2);
  const b = await uses('b');
  assert.equal(await uses('a'), a1);
  await Promise.all([uses('c'), uses('d')]);
  assert.equal(kept.size(), 3);
  assert.notEqual(await uses('b'), b, 'b was used longest ago');
  const large = 'x'.repeat(200);
  const first = await uses(large);
  assert.equal(kept.size(), 1);
  assert.equal(await uses(large), first, 'the newest stays');
  await uses('a');
  assert.equal(kept.size(), 1);
});

test('an index is not closed under a call that waits for it', async () => {
  const kept = createKeptIndexes(1, 1);
  const found = await Promise.all(
    Array.from({ length: 20 }, (_, i) => {
      const documents = [{ title: 't', text: `oak number${i % 5}` }];
      const key = indexKey(documents);
      return kept.with(key, documents, (index) => index.search('oak', undefined, 5).length);
    }),
  );
  assert.deepEqual(new Set(found), new Set([1]));
  assert.equal(kept.size(), 1);
});

test('titles and texts cannot be mistaken for each other in the key', () => {
  const key = (title: string, text: string): string => indexKey([{ title, text }]);
  assert.notEqual(key('ab', 'c'), key('a', 'bc'));
  assert.equal(key('a', 'b'), key('a', 'b'));
});
