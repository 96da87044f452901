// The filter that takes citations out of a model's words: whatever the deltas, the same text and the same
// citations come out, no marker is shown in pieces, and nothing waits longer than a marker may be.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as holds, constantFrom, nat, property } from 'fast-check';
import { MAX_CITATION_MARKER_CHARS } from '../../src/chat/limits.ts';
import { CitationFilter } from '../../src/worker/answer/citation-filter.ts';

const IDS = new Set(['d1', 'd2', 'd12']);

interface Said {
  text: string;
  readonly cites: [id: string, quote: string, position: number][];
}

function filtered(
  deltas: readonly string[],
  after: (said: Said, given: string) => void = () => undefined,
): Said {
  const said: Said = { text: '', cites: [] };
  const filter = new CitationFilter(IDS, {
    text: (text) => (said.text += text),
    cite: (id, quote) => said.cites.push([id, quote, said.text.length]),
  });
  let given = '';
  for (const delta of deltas) {
    filter.push(delta);
    given += delta;
    after(said, given);
  }
  filter.end();
  return said;
}

test('markers leave the text and become citations with their place in it', () => {
  const { text, cites } = filtered([
    'Water leaves by the tailrace[[d1: "leaves by the tailrace"]], and the wheel[[d12]] turns[[d2:“it turns”]].',
  ]);
  assert.equal(text, 'Water leaves by the tailrace, and the wheel turns.');
  assert.deepEqual(cites, [
    ['d1', 'leaves by the tailrace', 28],
    ['d12', '', 43],
    ['d2', 'it turns', 49],
  ]);
});

test('what is no marker stays text: unknown ids, single brackets, code, what is too long', () => {
  const long = `[[d1: ${'x'.repeat(MAX_CITATION_MARKER_CHARS)}]]`;
  for (const text of [
    '[[d3]]',
    '[[d]]',
    '[d1]',
    'a[0][1]',
    '[[1, 2], [3]]',
    '[[',
    '[',
    long,
    `[[d1: ${'[]'.repeat(MAX_CITATION_MARKER_CHARS)}]]`,
    '[[d1] ]',
    '[[d1: "words"] and what it goes on with',
    '[[d1: words and no end\n\nbut another paragraph',
  ]) {
    assert.deepEqual(filtered([text]), { text, cites: [] }, text);
  }
  assert.deepEqual(filtered(['[[[d1]]']), { text: '[', cites: [['d1', '', 1]] });
  assert.deepEqual(filtered(['[[d1: a [[d2]]']), { text: '[[d1: a ', cites: [['d2', '', 8]] });
  assert.deepEqual(filtered(['[[d1: a]b]]']), { text: '', cites: [['d1', 'a]b', 0]] });
});

test('quotes may have brackets, as those of a document with notes', () => {
  for (const [quote, quoted = quote] of [
    ['"as the survey says [3] it is"', 'as the survey says [3] it is'],
    ['"seen [3][4], and [sic]"', 'seen [3][4], and [sic]'],
    ['a list [x'],
    ['a[0] is ]['],
  ] as const) {
    const said = filtered([`It is [[d1: ${quote}]] so.`]);
    assert.deepEqual(said, { text: 'It is  so.', cites: [['d1', quoted, 6]] }, quote);
  }
});

test('no piece of text ends within a character, wherever a marker turns out to be none', () => {
  for (const text of ['[😀', '[[😀', '[[d1😀', '[[d1]😀', '[[d3: 😀', 'a [😀[😀[[😀]]']) {
    const pieces: string[] = [];
    const filter = new CitationFilter(IDS, {
      text: (piece) => void pieces.push(piece),
      cite: () => assert.fail('there is no marker'),
    });
    filter.push(text);
    filter.end();
    assert.equal(pieces.join(''), text);
    assert.ok(
      pieces.every((piece) => piece.isWellFormed()),
      text,
    );
  }
});

test('a marker that is cut off by the end is never shown', () => {
  for (const cut of [
    '[[d1',
    '[[d1]',
    '[[d1: ',
    '[[d1: "quo',
    '[[d1: "quote"]',
    '[[d1: [x]',
    '[[d1: [',
  ]) {
    assert.deepEqual(filtered([`so ${cut}`]), { text: 'so ', cites: [] }, cut);
  }
});

const PIECES = [
  '[',
  '[[',
  ']',
  ']]',
  'd1',
  'd12',
  'd',
  ':',
  ' ',
  '"',
  'words',
  '[[d1]]',
  '[[d2: "q"]]',
  '\n',
  '“',
];

test('however the text is cut into deltas, the same comes out, and text before any bracket is not held back', () => {
  holds(
    property(array(constantFrom(...PIECES), { maxLength: 40 }), array(nat(7)), (pieces, cuts) => {
      const whole = pieces.join('');
      const deltas: string[] = [];
      for (let at = 0, i = 0; at < whole.length; i++) {
        const length = 1 + (cuts[i % Math.max(cuts.length, 1)] ?? 0);
        deltas.push(whole.slice(at, at + length));
        at += length;
      }
      const once = filtered([whole]);
      const cut = filtered(deltas, (said, given) => {
        if (!given.includes('[')) assert.equal(said.text, given);
      });
      assert.deepEqual(cut, once);
    }),
    { numRuns: 500 },
  );
});

test('the cost is linear in the text, also where every character begins a marker', () => {
  let calls = 0;
  const filter = new CitationFilter(IDS, { text: () => calls++, cite: () => calls++ });
  const text = '[[d1: '.repeat(20_000);
  filter.push(text);
  filter.end();
  assert.ok(calls <= text.length);
});
