// Schemas of tools' inputs: what is refused before a chat begins, and in which words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_SCHEMA_VALUES } from '../../src/chat/limits.ts';
import { checkInputSchema } from '../../src/tools/schemas/json-schema.ts';

function why(schema: unknown): string {
  const checked = checkInputSchema(typeof schema === 'string' ? schema : JSON.stringify(schema));
  return checked.ok ? '' : checked.why;
}

const REFUSED: readonly (readonly [unknown, RegExp])[] = [
  ['{', /^must be the JSON text of an object/],
  [{ type: 'string' }, /^must be of type "object": the input of a tool is an object$/],
  [{ type: ['object', 'null'] }, /^must be of type "object"/],
  [
    { properties: { a: 5 } },
    /^is no JSON Schema of draft 2020-12: at \/properties\/a: must be a schema: an object, true or false$/,
  ],
  [{ properties: { a: { type: 'strng' } } }, /: at \/properties\/a\/type: must be one of array, /],
  [{ required: 'a' }, /: at \/required: must be an array$/],
  [
    { properties: { a: { pattern: '(' } } },
    /^at \/properties\/a\/pattern: the pattern is no regular/,
  ],
  [{ patternProperties: { '[': {} } }, /^at \/patternProperties\/\[: the pattern is no regular/],
  [{ properties: { a: { pattern: 'a'.repeat(1_001) } } }, /more than 1000 characters$/],
  // JavaScript makes the table of each Unicode class as it reads the pattern: 45 µs for six bytes.
  [
    { allOf: Array.from({ length: 20 }, (_, i) => ({ pattern: `${i}${'\\p{L}'.repeat(160)}` })) },
    /^has patterns of more than 10000 steps together/,
  ],
  [
    { allOf: Array.from({ length: 51 }, (_, i) => ({ pattern: `${i}` })) },
    /^has more than 50 patterns$/,
  ],
  [{ properties: { a: { $ref: 'https://example.com/a' } } }, /nothing is fetched/],
  [{ properties: { a: { $dynamicRef: '#a' } } }, /\$dynamicRef: is not supported; use \$ref$/],
  ['{"properties":{"__proto__":{}}}', /^at \/properties\/__proto__: the name __proto__ cannot be/],
  ['{"properties":{"a":{"const":1e400}}}', /^has a number that is too large/],
  [{ enum: Array(MAX_SCHEMA_VALUES).fill(1) }, /^has more than 1000 JSON values$/],
];

test('a schema of a tool that is none, or too large, is refused with the place, in plain words', () => {
  for (const [schema, wanted] of REFUSED) {
    assert.match(why(schema), wanted, JSON.stringify(schema).slice(0, 100));
  }
});

test('what makers of tools write is taken, also what answers could not be held against', () => {
  for (const schema of [
    {},
    { type: 'object', properties: { a: { type: 'string', pattern: '^(?!x)a{1,5000}$' } } },
    { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'https://example.com/tool' },
    { properties: { toString: {}, constructor: {} }, required: ['constructor'] },
    { properties: { children: { type: 'array', items: { $ref: '#' } } } },
  ]) {
    assert.equal(why(schema), '', JSON.stringify(schema));
  }
});
