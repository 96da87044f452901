// W3C Trace Context: which header is taken on, and what becomes of it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { childOf, traceIdOf, traceparentOf } from '../../src/chat/trace.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

test('a valid traceparent is the chat’s own, that of a later version in the known one', () => {
  assert.equal(traceparentOf(`00-${TRACE}-${SPAN}-00`), `00-${TRACE}-${SPAN}-00`);
  assert.equal(traceparentOf(` 00-${TRACE}-${SPAN}-01 `), `00-${TRACE}-${SPAN}-01`);
  assert.equal(traceparentOf(`cc-${TRACE}-${SPAN}-01-what-comes`), `00-${TRACE}-${SPAN}-01`);
});

test('what is not valid begins a new trace, each its own', () => {
  const wrong = [
    null,
    '',
    'nonsense',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01\r\nx: y`,
  ];
  const made = wrong.map((header) => traceparentOf(header));
  for (const each of made) {
    assert.match(each, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    assert.notEqual(traceIdOf(each), TRACE);
  }
  assert.equal(new Set(made.map(traceIdOf)).size, wrong.length);
});

test('a call is a span of its own in the same trace, with the same flags', () => {
  const parent = `00-${TRACE}-${SPAN}-00`;
  const calls = [childOf(parent), childOf(parent)];
  for (const call of calls) assert.match(call, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
  assert.equal(new Set([parent, ...calls]).size, 3);
});
