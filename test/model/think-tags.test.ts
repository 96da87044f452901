// Reasoning between tags within the text, wherever a server has cut it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  createTagSplitter,
  THINK_TAGS,
  type ThinkTags,
} from '../../src/model/dialects/think-tags.ts';

const OPENED: ThinkTags = { ...THINK_TAGS, opened: true };
const MISTRAL: ThinkTags = { open: '[THINK]', close: '[/THINK]', opened: false };

interface Said {
  readonly thinking: string;
  readonly text: string;
}

interface Split extends Said {
  /** In which order, neighbours together. */
  readonly kinds: readonly string[];
}

function split(tags: ThinkTags, pieces: readonly string[]): Split {
  const said = { thinking: '', text: '' };
  const kinds: string[] = [];
  const take = (kind: keyof Said) => (text: string) => {
    assert.notEqual(text, '', 'nothing is said with nothing');
    said[kind] += text;
    if (kinds.at(-1) !== kind) kinds.push(kind);
  };
  const splitter = createTagSplitter(tags, { text: take('text'), thinking: take('thinking') });
  for (const piece of pieces) splitter.push(piece);
  splitter.flush();
  return { ...said, kinds };
}

const FORMS: readonly (readonly [ThinkTags, string, Said])[] = [
  [THINK_TAGS, 'Hello', { thinking: '', text: 'Hello' }],
  [THINK_TAGS, '<think>hm</think>Hello', { thinking: 'hm', text: 'Hello' }],
  // Qwen, DeepSeek-R1-0528: lines apart.
  [THINK_TAGS, '<think>\nhm\n</think>\n\nHello', { thinking: 'hm\n', text: 'Hello' }],
  [THINK_TAGS, ' \n<think>hm</think> Hello ', { thinking: 'hm', text: 'Hello ' }],
  // Qwen3 that is told not to think.
  [THINK_TAGS, '<think>\n\n</think>\n\nHello', { thinking: '', text: 'Hello' }],
  // Only at the start, only once, and only whole.
  [THINK_TAGS, 'Say <think>hm</think>', { thinking: '', text: 'Say <think>hm</think>' }],
  [THINK_TAGS, '<think>a</think>b<think>c</think>', { thinking: 'a', text: 'b<think>c</think>' }],
  [THINK_TAGS, '<thin', { thinking: '', text: '<thin' }],
  [THINK_TAGS, '<thinking>hm</thinking>', { thinking: '', text: '<thinking>hm</thinking>' }],
  [THINK_TAGS, 'hm</think>Hello', { thinking: '', text: 'hm</think>Hello' }],
  [THINK_TAGS, ' '.repeat(17) + '<think>', { thinking: '', text: ' '.repeat(17) + '<think>' }],
  [THINK_TAGS, ' \n ', { thinking: '', text: ' \n ' }],
  // Cut off while it thinks.
  [THINK_TAGS, '<think>so far', { thinking: 'so far', text: '' }],
  [THINK_TAGS, '<think>so far</thi', { thinking: 'so far</thi', text: '' }],
  [THINK_TAGS, '<think>a < b, a </ b</think>c', { thinking: 'a < b, a </ b', text: 'c' }],
  // DeepSeek-R1, Qwen3.5, QwQ: the template has written the opening tag.
  [OPENED, 'hm</think>Hello', { thinking: 'hm', text: 'Hello' }],
  [OPENED, '\nhm\n</think>\n\nHello', { thinking: 'hm\n', text: 'Hello' }],
  [OPENED, '<think>hm</think>Hello', { thinking: 'hm', text: 'Hello' }],
  [OPENED, '</think>Hello', { thinking: '', text: 'Hello' }],
  [OPENED, 'so far', { thinking: 'so far', text: '' }],
  [OPENED, '<thi', { thinking: '<thi', text: '' }],
  [MISTRAL, '[THINK]hm[/THINK]Hello', { thinking: 'hm', text: 'Hello' }],
];

test('reasoning is told apart in every form that models write', () => {
  for (const [tags, whole, { thinking, text }] of FORMS) {
    const said = split(tags, [whole]);
    assert.deepEqual({ thinking: said.thinking, text: said.text }, { thinking, text }, whole);
  }
});

test('each form cut at every place, and into single characters, is the same', () => {
  for (const [tags, whole] of FORMS) {
    const wanted = split(tags, [whole]);
    assert.deepEqual(split(tags, Array.from(whole)), wanted, whole);
    for (let at = 1; at < whole.length; at++) {
      assert.deepEqual(split(tags, [whole.slice(0, at), whole.slice(at)]), wanted, whole);
    }
  }
});

/** Text that is mostly tags and their beginnings. */
const tagged = fc
  .array(
    fc.oneof(
      fc.constantFrom('<think>', '</think>', '<', '</', 'th', 'ink>', '>', ' ', '\n', '🙂', '/'),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

/** A text, and the same in pieces. */
const cut = fc.tuple(tagged, fc.array(fc.nat(80), { maxLength: 20 })).map(([whole, places]) => {
  const cuts = [0, ...places.filter((at) => at < whole.length), whole.length].toSorted(
    (a, b) => a - b,
  );
  return { whole, pieces: cuts.slice(1).map((end, i) => whole.slice(cuts[i], end)) };
});

test('any text with tags, split anywhere, gives the same blocks', () => {
  fc.assert(
    fc.property(cut, fc.constantFrom(THINK_TAGS, OPENED), ({ whole, pieces }, tags) => {
      assert.deepEqual(split(tags, pieces), split(tags, [whole]));
    }),
    { numRuns: 2_000 },
  );
});

const CLOSED = /^\s*([\s\S]*?)(?:<\/think>\s*([\s\S]*))?$/;

/** The whole text at once, as a parser reads it that does not stream. */
function readWhole({ opened }: ThinkTags, whole: string): Said {
  const [tag] = /^\s{0,16}<think>/.exec(whole) ?? [];
  if (tag === undefined && !opened) return { thinking: '', text: whole };
  const [, thinking = '', text = ''] = CLOSED.exec(whole.slice(tag?.length ?? 0)) ?? [];
  return { thinking, text };
}

test('what streams is what a parser of the whole text finds, reasoning first', () => {
  fc.assert(
    fc.property(tagged, fc.constantFrom(THINK_TAGS, OPENED), (whole, tags) => {
      const { kinds, ...said } = split(tags, Array.from(whole));
      assert.deepEqual(said, readWhole(tags, whole));
      const order = (['thinking', 'text'] as const).filter((kind) => said[kind] !== '');
      assert.deepEqual(kinds, order);
    }),
    { numRuns: 2_000 },
  );
});

test('text is held back no longer than a tag is', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 4 }), { maxLength: 30 }), (pieces) => {
      let pushed = '';
      let said = '';
      const take = (text: string): void => void (said += text);
      const splitter = createTagSplitter(THINK_TAGS, { text: take, thinking: take });
      for (const piece of pieces) {
        pushed += piece;
        splitter.push(piece);
        const seen = (text: string): number => text.replaceAll(/\s/g, '').length;
        const tags = seen('<think></think>');
        assert.ok(seen(pushed) - seen(said) < tags + seen('</think>'));
        if (!/^\s*</.test(pushed)) assert.ok(seen(pushed) - seen(said) < seen('</think>'));
      }
    }),
  );
});

test('a server that hands reasoning over by itself has its text left alone', () => {
  const said: string[] = [];
  const take = (text: string): void => void said.push(text);
  const splitter = createTagSplitter(THINK_TAGS, { text: take, thinking: assert.fail });
  splitter.push('<th');
  splitter.off();
  splitter.push('ink>not reasoning</think>');
  splitter.flush();
  assert.deepEqual(said, ['<th', 'ink>not reasoning</think>']);
});
