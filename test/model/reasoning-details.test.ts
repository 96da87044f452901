// What OpenRouter says beside reasoning goes into a signature, and comes out of it as it was.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ThinkingBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { MAX_THINKING_SIGNATURE_CHARS } from '../../src/chat/limits.ts';
import { createDetailCollector, detailsOf } from '../../src/model/dialects/reasoning-details.ts';

type Detail = Record<string, unknown>;

function collected(deltas: readonly (readonly Detail[])[]) {
  const collector = createDetailCollector();
  const text = deltas.map((details) => collector.take(details)).join('');
  return create(ThinkingBlockSchema, { text, signature: collector.signature() });
}

// As recorded from OpenRouter: Claude's reasoning in pieces, an announced signature, and the signature.
const CLAUDE = { type: 'reasoning.text', format: 'anthropic-claude-v1', index: 0 };
const CLAUDE_STREAM = [
  [],
  [{ ...CLAUDE, text: '', signature: '' }],
  [{ ...CLAUDE, text: 'The user ' }],
  [{ ...CLAUDE, text: 'asks.' }],
  [{ ...CLAUDE, signature: 'EqoBCkgIBxABGAIiQL2UoU0b' }],
];

test('a signature that came in a stream is handed back with its text, in one piece', () => {
  const block = collected(CLAUDE_STREAM);
  assert.equal(block.text, 'The user asks.');
  assert.ok(!block.signature.includes('user'), 'the text is there once');
  assert.deepEqual(detailsOf(block), [
    { ...CLAUDE, text: 'The user asks.', signature: 'EqoBCkgIBxABGAIiQL2UoU0b' },
  ]);
});

test('a summary and what is encrypted are handed back as they came', () => {
  const summary = { type: 'reasoning.summary', summary: 'In short.', id: 'rs_1', index: 0 };
  const encrypted = { type: 'reasoning.encrypted', data: 'gAAAA', id: 'rs_1', index: 1 };
  const block = collected([[summary], [encrypted]]);
  assert.equal(block.text, 'In short.');
  assert.deepEqual(detailsOf(block), [summary, encrypted]);
  const hidden = collected([[encrypted]]);
  assert.equal(hidden.text, '');
  assert.deepEqual(detailsOf(hidden), [encrypted]);
});

test('a text that was changed is not handed back under its signature', () => {
  const block = collected(CLAUDE_STREAM);
  const text = `${block.text} Really?`;
  assert.deepEqual(detailsOf({ ...block, text }), [{ type: 'reasoning.text', text }]);
});

test('a signature of another make is none of these', () => {
  for (const signature of ['', 'EqoBCkgI', '[', '[1]', '{"a":1}', '[null]']) {
    assert.equal(detailsOf(create(ThinkingBlockSchema, { text: 'x', signature })), undefined);
  }
});

test('what is longer than a block may hold is left out whole, the text stays', () => {
  const data = 'x'.repeat(MAX_THINKING_SIGNATURE_CHARS + 1);
  const block = collected([
    [{ type: 'reasoning.text', text: 'a', index: 0 }],
    [{ type: 'reasoning.encrypted', data, index: 1 }],
    [{ type: 'reasoning.text', text: 'b', index: 2 }],
  ]);
  assert.deepEqual([block.text, block.signature], ['ab', '']);
});

const detail = fc.oneof(
  fc.record({
    type: fc.constant('reasoning.text'),
    text: fc.string({ minLength: 1 }),
    format: fc.constantFrom('anthropic-claude-v1', 'unknown'),
    signature: fc.string({ minLength: 1 }),
  }),
  fc.record({ type: fc.constant('reasoning.summary'), summary: fc.string({ minLength: 1 }) }),
  fc.record({ type: fc.constant('reasoning.encrypted'), data: fc.string({ minLength: 1 }) }),
);

test('any list comes back as it was, wherever its texts were cut', () => {
  fc.assert(
    fc.property(fc.array(detail, { minLength: 1, maxLength: 6 }), fc.nat(5), (given, cut) => {
      const list = given.map((each, index): Detail => ({ ...each, index }));
      const deltas = list.flatMap((each) => {
        const key = 'text' in each ? 'text' : 'summary';
        const whole = each[key];
        if (typeof whole !== 'string' || whole.length <= cut || cut === 0) return [[each]];
        const { signature, ...rest } = each;
        const last = signature === undefined ? rest : { ...rest, signature };
        return [[{ ...rest, [key]: whole.slice(0, cut) }], [{ ...last, [key]: whole.slice(cut) }]];
      });
      assert.deepEqual(detailsOf(collected(deltas)), list);
    }),
  );
});
