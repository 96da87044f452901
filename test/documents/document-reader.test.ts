// Documents become text, and what cannot be read says why. Hostile ones cost their bound and no more.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { DocumentReading } from '../../src/chat/ports/document.ts';
import type { DocumentKind } from '../../src/chat/media-type.ts';
import { createDocumentReader } from '../../src/documents/document-reader.ts';
import { chatKey } from '../support/chats/chat-fixtures.ts';
import { SILENT } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { docxOf, paragraph, pdfWithContent, pdfWithPages, sayingSize } from './made-files.ts';

const NEVER = new AbortController().signal;
const CHAT = chatKey();
const reader = createDocumentReader(SILENT);
after(() => reader[Symbol.asyncDispose]());

function file(name: string): Uint8Array {
  return readFileSync(join(import.meta.dirname, 'files', name));
}

function read(kind: DocumentKind, data: Uint8Array, charset?: string): Promise<DocumentReading> {
  return reader.read({ kind, data, charset }, CHAT, NEVER);
}

async function textOf(kind: DocumentKind, data: Uint8Array, charset?: string): Promise<string> {
  const reading = await read(kind, data, charset);
  assert.ok('text' in reading, JSON.stringify(reading));
  return reading.text;
}

async function refusal(kind: DocumentKind, data: Uint8Array, charset?: string): Promise<string> {
  const reading = await read(kind, data, charset);
  assert.ok('unreadable' in reading, JSON.stringify(reading).slice(0, 200));
  return reading.unreadable;
}

test('a PDF is read page by page', async () => {
  const line = (page: number, line: number): string =>
    `Page ${page} line ${line}: the river runs quickly past the old mill.`;
  assert.equal(
    await textOf('pdf', file('two-pages.pdf')),
    [1, 2].map((page) => [1, 2, 3].map((n) => line(page, n)).join('\n')).join('\n\n'),
  );
});

test('a PDF with Chinese and Japanese fonts that are not in it keeps its text', async () => {
  assert.equal(await textOf('pdf', file('cjk.pdf')), '河流很长。\n川は長い。');
});

test('a DOCX keeps headings, lists, tables, links and notes', async () => {
  const text = await textOf('docx', file('rivers.docx'));
  assert.match(text, /^# Rivers\n\nThe Rhine is 1,233 km long, says the survey \[https:/);
  assert.match(text, / \* Basel\n \* Köln\n/);
  assert.match(text, /name {4}km\nRhein {3}1233\nMaas {4}925/);
  assert.match(text, /河流很长。/);
  assert.match(text, /A footnote\./);
});

test('HTML keeps what a browser shows: no scripts, no styles, no comments', async () => {
  const html = `<!doctype html><html><head><title>T</title><style>p{}</style><script>evil()</script></head>
    <body onload="evil()"><h2>Rivers &amp; lakes</h2><!-- secret --><p>One<br>two <a href="https://a.example/b">three</a>
    <img src="data:image/png;base64,AAAA" alt="a map"></p><script>evil()</script><noscript>evil</noscript>
    <template>evil</template><iframe>evil</iframe><ul><li>Rhine<ul><li>Aare</li></ul></li></ul>
    <table><tr><th>name</th><th>km</th></tr><tr><td>Rhine</td><td>1233</td></tr></table></body></html>`;
  const text = await textOf('html', Buffer.from(html));
  assert.equal(
    text,
    [
      '## Rivers & lakes\n',
      'One',
      'two three [https://a.example/b] [image: a map]\n',
      ' * Rhine',
      '   * Aare\n',
      'name    km',
      'Rhine   1233',
    ].join('\n'),
  );
});

test('what an HTML page is called is no part of its text, with or without a body', async () => {
  const title = '<title>A &amp; <b>b</b>\n c</title>';
  const icon = '<svg><title>icon</title></svg>';
  for (const html of [`<head>${title}</head><body>hi${icon}</body>`, `${title}hi${icon}`]) {
    const reading = await read('html', Buffer.from(html));
    assert.deepEqual(reading, { text: 'hi', title: 'A & <b>b</b> c' });
  }
  assert.deepEqual(await read('html', Buffer.from('<title> </title>hi')), { text: 'hi' });
});

const latin = (text: string): Buffer => Buffer.from(text, 'latin1');
const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
const DECODED: readonly (readonly [string, Buffer, string | undefined, string])[] = [
  ['UTF-8', Buffer.from('Köln;1'), undefined, 'Köln;1'],
  ['a UTF-8 mark', Buffer.from('\ufeffKöln;1'), undefined, 'Köln;1'],
  ['UTF-16 by its mark', utf16('\ufeffKöln;1'), undefined, 'Köln;1'],
  ['UTF-16, big end first, by its mark', utf16('\ufeffKöln;1').swap16(), undefined, 'Köln;1'],
  ['a mark against what is said', utf16('\ufeffKöln;1'), 'utf-8', 'Köln;1'],
  ['UTF-16 as said', utf16('Köln;1'), 'utf-16le', 'Köln;1'],
  ['windows-1252 as said', latin('Köln;\x80'), 'windows-1252', 'Köln;€'],
  ['Shift JIS as said', Buffer.from([0x90, 0xec]), 'shift_jis', '川'],
];

test('texts are read in the encoding that they have or that is said', async () => {
  for (const [name, bytes, charset, expected] of DECODED) {
    assert.equal(await textOf('text', bytes, charset), expected, name);
  }
  const page = latin('<meta charset="iso-8859-1"><p>K\xf6ln');
  assert.equal(await textOf('html', page), 'Köln');
});

test('a text in another encoding is refused with what to do, not guessed', async () => {
  const remedy = /say its charset in media_type, as in "text\/csv; charset=windows-1252"/;
  for (const [bytes, charset, why] of [
    [latin('K\xf6ln'), undefined, /^is not text in utf-8; /],
    [utf16('Köln'), undefined, /^(?:is not text|has NUL characters)/],
    [utf16('Basel'), undefined, /^has NUL characters/],
    [latin('a'), 'klingon', /^has a charset that is not known, "klingon"/],
  ] as const) {
    const said = await refusal('text', bytes, charset);
    assert.match(said, why);
    assert.match(said, remedy);
  }
  assert.match(await refusal('text', latin(' \n')), /^has no text$/);
});

const BROKEN: readonly (readonly [string, DocumentKind, () => Uint8Array, RegExp])[] = [
  ['a PDF with a password', 'pdf', () => file('encrypted.pdf'), /^is a PDF with a password/],
  ['a PDF that was cut', 'pdf', () => file('two-pages.pdf').subarray(0, 700), /^is a broken PDF$/],
  ['a PDF that is only a head', 'pdf', () => latin('%PDF-1.7\n'), /^is a broken PDF$/],
  ['a PDF without text', 'pdf', () => pdfWithPages(1), /^has no text; if it is a scan, send/],
  ['a ZIP that is no DOCX', 'docx', () => sayingSize(docxOf('').subarray(0, 60), 1), /ZIP/],
  ['a ZIP that was cut', 'docx', () => docxOf(paragraph('a')).subarray(0, 200), /^is a broken ZIP/],
  ['a DOCX with broken XML', 'docx', () => docxOf('<w:p><w:r>'), /^is a broken DOCX$/],
  ['a DOCX without text', 'docx', () => docxOf(''), /^has no text$/],
  ['HTML without text', 'html', () => latin('<script>1</script>'), /^has no text$/],
];

test('what is broken says so', async () => {
  for (const [name, kind, bytes, expected] of BROKEN) {
    assert.match(await refusal(kind, bytes()), expected, name);
  }
});

test('a PDF with too many pages is refused with both numbers, unread', async () => {
  const said = await refusal('pdf', pdfWithPages(10_000));
  assert.match(said, /^has 10000 pages; a document may have 2000/);
});

test('a DOCX that unpacks to too much is refused unread, and one that lies about it is cut there', async () => {
  const bomb = docxOf(paragraph('a'.repeat(80 * 1024 * 1024)));
  assert.ok(bomb.length < 200_000, 'a bomb');
  assert.match(await refusal('docx', bomb), /^unpacks to \d+ bytes or more; a document may unpack/);
  assert.match(await refusal('docx', sayingSize(bomb, 1_000)), /^is a broken DOCX$/);
  const beside = { 'word/media/image1.png': new Uint8Array(80 * 1024 * 1024) };
  assert.equal(await textOf('docx', docxOf(paragraph('seen'), beside)), 'seen');
});

test('entities that unfold without end are not followed', async () => {
  const entities = Array.from({ length: 9 }, (_, i) => {
    const inner = i === 0 ? 'lol' : `&e${i - 1};`.repeat(10);
    return `<!ENTITY e${i} "${inner}">`;
  });
  const doctype = `<!DOCTYPE d [${entities.join('')}]>`;
  const reading = await read('docx', docxOf(paragraph('&e8;'), {}, doctype));
  assert.ok(!('text' in reading) || reading.text.length < 100);
});

test('text beyond the bound is refused with the bound', async () => {
  const said = await refusal('html', Buffer.from(`<p>${'river '.repeat(800_000)}`));
  assert.match(said, /^has \d+ bytes as text or more; a document may have 4194304$/);
});

test('HTML whose elements lie too deep in each other is refused unread; lists and tables without end tags are not', async () => {
  const said = await refusal('html', Buffer.from('<div>'.repeat(800_000)));
  assert.match(said, /^has more than 5000 elements open inside each other/);
  const text = await textOf('html', Buffer.from(`<ul>${'<li>river'.repeat(20_000)}`));
  assert.equal(text.split('river').length, 20_001);
});

test('tables keep their columns, whatever spans; one that is wide is told cell by cell', async () => {
  const rows = [
    '<tr><th rowspan="2">river<th colspan="2">length</tr>',
    '<tr><th>km<th>miles</tr>',
    '<tr><td>Rhein<td>1233<td>766</tr>',
  ];
  const text = await textOf(
    'html',
    latin(`<table><caption>Long</caption>${rows.join('')}</table>`),
  );
  assert.equal(text, 'Long\n\nriver   length\n        km     miles\nRhein   1233   766');
  const long = 'water '.repeat(80).trim();
  const wide = `<table><tr><td>${long}<td>b</tr><tr><td>c<td><p>d<p>e</tr></table>`;
  assert.equal(await textOf('html', latin(wide)), `${long} | b\nc\nd\n\ne`);
});

test('what cells say of their spans costs nothing, nor does how many rows there are', async () => {
  const lying = '<tr><td rowspan=50 colspan=20>a<td rowspan=-3 colspan=0.5>b</tr>'.repeat(2_000);
  assert.match(await textOf('html', latin(`<table>${lying}</table>`)), /^a {3}b\n/);
  const giant = '<table><tr><td colspan=999999999 rowspan=999999999>a</td></tr></table>';
  assert.equal(await textOf('html', latin(giant)), 'a');
  const long = await textOf(
    'html',
    latin(`<table>${'<tr><td>a<td>b</tr>'.repeat(100_000)}</table>`),
  );
  assert.equal(long.length, 100_000 * 6 - 1);
});

test('a document that takes too long ends by its bound; the event loop goes on, and so does the next', async () => {
  await using quick = createDocumentReader(SILENT, { readers: 1, readMs: 4_000 });
  let turns = 0;
  const turning = setInterval(() => turns++, 5);
  // Ends of what is not open, each looked for in all that is: a minute of work where nothing ends it.
  const labour = Buffer.from('<div>'.repeat(4_990) + '</b>'.repeat(3_000_000));
  const [slow, next] = await Promise.all([
    quick.read({ kind: 'html', data: labour, charset: undefined }, CHAT, NEVER),
    quick.read({ kind: 'pdf', data: file('two-pages.pdf'), charset: undefined }, CHAT, NEVER),
  ]);
  clearInterval(turning);
  assert.ok('unreadable' in slow);
  assert.match(slow.unreadable, /^took longer than 4 s to read/);
  assert.ok('text' in next, 'the next one is read');
  assert.ok(turns > 20, `the event loop turned ${turns} times`);
});

test('a document that fills the memory ends by its bound, and not this process’s', async () => {
  const memoryBytes = 300 * 1024 * 1024;
  await using small = createDocumentReader(SILENT, { readers: 1, memoryBytes });
  const before = process.memoryUsage().rss;
  const bomb = pdfWithContent(Buffer.alloc(600 * 1024 * 1024, 'q Q '));
  assert.ok(bomb.length < 2 * 1024 * 1024);
  const made = process.memoryUsage().rss;
  const reading = await small.read({ kind: 'pdf', data: bomb, charset: undefined }, CHAT, NEVER);
  assert.ok('unreadable' in reading);
  assert.match(reading.unreadable, /^needs more than 300 MiB of memory to read/);
  assert.ok(process.memoryUsage().rss < Math.max(before, made) + 64 * 1024 * 1024);
  const next = await small.read(
    { kind: 'pdf', data: file('two-pages.pdf'), charset: undefined },
    CHAT,
    NEVER,
  );
  assert.ok('text' in next);
});

test('too much that waits is refused with when to come again; who leaves is not read', async () => {
  await using one = createDocumentReader(SILENT, { readers: 1, maxWaitingBytes: 2_500 });
  const document = { kind: 'pdf', data: file('two-pages.pdf'), charset: undefined } as const;
  const leaving = new AbortController();
  const first = one.read(document, CHAT, NEVER);
  const second = one.read(document, CHAT, leaving.signal);
  await assert.rejects(one.read(document, CHAT, NEVER), {
    reason: 'QUEUE_FULL',
    retryAfterMs: 2_000,
  });
  leaving.abort(new Error('left'));
  await assert.rejects(second, /left/);
  assert.ok('text' in (await first));
  assert.ok('text' in (await one.read(document, CHAT, NEVER)), 'there is room again');
});

test('processes come with the first document and go when there is nothing to read', async () => {
  await using brief = createDocumentReader(SILENT, { idleMs: 1_000 });
  await brief.read({ kind: 'text', data: latin('a'), charset: undefined }, CHAT, NEVER);
  assert.equal(brief.processes(), 0, 'plain text needs none');
  await brief.read({ kind: 'html', data: latin('<p>a'), charset: undefined }, CHAT, NEVER);
  assert.equal(brief.processes(), 1);
  await until('its end', async () => Promise.resolve(brief.processes() === 0));
  assert.ok(
    'text' in
      (await brief.read({ kind: 'html', data: latin('<p>a'), charset: undefined }, CHAT, NEVER)),
  );
});
