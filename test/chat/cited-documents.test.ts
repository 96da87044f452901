// Whether what a model quotes is in the document: the words in their order, and a bounded time for it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { array, assert as holds, constantFrom, nat, property } from 'fast-check';
import { DocumentBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { type CitedDocuments, citedDocuments } from '../../src/chat/prompt/cited-documents.ts';
import { MAX_CITATION_MARKER_CHARS, MAX_DOCUMENT_TEXT_BYTES } from '../../src/chat/limits.ts';

function citing(text: string): CitedDocuments {
  const document = create(DocumentBlockSchema, { source: { case: 'text', value: text } });
  return citedDocuments(new Map([['d1', document]]));
}

test('a quote is kept where the document has its words in their order, white space being all alike', () => {
  const words =
    'Water that has done its work at the wheel leaves by the tailrace, and nobody sees it any more.';
  const { quoteOf } = citing(`A mill.\n\n${words.replaceAll(' ', '\n  ')}`);
  assert.equal(quoteOf('d1', words), words);
  assert.equal(quoteOf('d1', 'the wheel leaves'), 'the wheel leaves');
  assert.equal(quoteOf('d1', words.replace('wheel', 'weir')), '');
  assert.equal(quoteOf('d1', 'the weir'), '');
  assert.equal(quoteOf('d1', ''), '');
});

test('long quotes are found exactly where short ones would be', () => {
  const unit = constantFrom('a', 'b', '\u{1f600}');
  const text = array(unit, { maxLength: 400 }).map((units) => units.join(''));
  holds(
    property(text, text, nat(300), (before, after, from) => {
      const whole = `${before}${after}`.repeat(2);
      const { quoteOf } = citing(whole);
      const inside = whole.slice(from, from + 100);
      assert.equal(quoteOf('d1', inside), inside);
      const other = `${after}${before}`.slice(0, 100);
      assert.equal(quoteOf('d1', other), whole.includes(other) ? other : '');
    }),
  );
});

test('a quote that nearly repeats holds nobody up, in the largest document', () => {
  const text = 'a'.repeat(MAX_DOCUMENT_TEXT_BYTES);
  const { quoteOf } = citing(text);
  const half = 'a'.repeat(MAX_CITATION_MARKER_CHARS / 2 - 8);
  const quote = `${half}b${half}`;
  // Held against what the engine's own search takes on this machine, which begins anew at each place.
  const engineMs = timeOf(() => assert.ok(!text.includes(quote)));
  const ownMs = Array.from({ length: 6 }, () =>
    timeOf(() => assert.equal(quoteOf('d1', quote), '')),
  );
  assert.ok(Math.min(...ownMs) < engineMs / 4, `${Math.min(...ownMs)} ms of ${engineMs} ms`);
});

function timeOf(work: () => void): number {
  const beganMs = performance.now();
  work();
  return performance.now() - beganMs;
}
