// The grammar of a call of the embedded model: what it leaves open and what not, and how a call is read again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callGrammar, readCall } from '../../src/model/embedded/tool-call.ts';
import type { SchemaNode } from '../../src/model/embedded/json-schema.ts';

/** The schemas of the input, one for each choice of optional properties. */
function inputs(parameters: SchemaNode): unknown[] {
  const source = callGrammar([{ name: 'look', parameters }]);
  assert.ok(source.kind === 'schema');
  return (source.schema['oneOf'] as { properties: Record<string, unknown> }[]).map((call) => {
    assert.deepEqual(call.properties['name'], { const: 'look' });
    return call.properties['arguments'];
  });
}

const object = (properties: object) => ({
  type: 'object',
  properties,
  additionalProperties: false,
});

test('what is required is always there, and each choice of the rest is one of the grammar', () => {
  const place = { enum: ['attic'] };
  const floor = { type: 'integer', minimum: 0, maximum: 2 };
  const properties = { place: { type: 'string', ...place }, why: { type: 'string' }, floor };
  const why = { type: 'string', maxLength: 500 };
  const listed = { enum: [0, 1, 2] };
  assert.deepEqual(inputs({ type: 'object', properties, required: ['place'] }), [
    object({ place }),
    object({ place, why }),
    object({ place, floor: listed }),
    object({ place, why, floor: listed }),
  ]);
  assert.deepEqual(inputs({}), [object({})]);
});

test('texts and lists have an end, and what the grammar cannot hold is any object', () => {
  const list = { type: 'array', items: { type: 'string', maxLength: 20_000 } };
  const bounded = { type: 'array', items: { type: 'string', maxLength: 500 }, maxItems: 8 };
  assert.deepEqual(inputs({ properties: { list }, required: ['list'] }), [
    object({ list: bounded }),
  ]);
  const $defs = { a: { type: 'string' } };
  const referring = { properties: { a: { $ref: '#/$defs/a' } }, required: ['a'], $defs };
  const any = [{ type: 'object', additionalProperties: true }];
  assert.deepEqual(inputs(referring), any);
  assert.deepEqual(inputs({ properties: { a: { type: 'stone' } }, required: ['a'] }), any);
});

test('many tools with many optional properties are a bounded grammar', () => {
  const properties = Object.fromEntries(
    Array.from({ length: 9 }, (_, i) => [`p${i}`, { type: 'boolean' }]),
  );
  const tools = Array.from({ length: 128 }, (_, i) => ({
    name: `t${i}`,
    parameters: { properties },
  }));
  const source = callGrammar(tools);
  assert.ok(source.kind === 'schema' && Array.isArray(source.schema['oneOf']));
  assert.equal(source.schema['oneOf'].length, 128);
  assert.equal(inputs({ properties }).length, 16);
});

test('a call is read again, and as far as it came where it was cut', () => {
  const said = '{"name": "look", "arguments": {"place": "attic"}}';
  assert.deepEqual(readCall(said), { name: 'look', arguments: '{"place":"attic"}' });
  assert.deepEqual(readCall(said.slice(0, -7)), {
    name: 'look',
    arguments: '{"place": "a',
  });
  assert.equal(readCall('{"name": "lo'), undefined);
});
