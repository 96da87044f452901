// Schemas of answers: what is refused before a chat begins, what answers are told, and that neither can
// be made to take for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import * as fc from 'fast-check';
import {
  MAX_ANSWER_SCHEMA_VALUES,
  MAX_SCHEMA_PATTERNS,
  MAX_SCHEMA_VIOLATION_CHARS,
  MAX_SCHEMA_VIOLATIONS,
} from '../../src/chat/limits.ts';
import { answerSchema, type AnswerVerdict } from '../../src/tools/answer-schema.ts';

function check(schema: unknown, value: unknown): AnswerVerdict {
  const compiled = answerSchema(JSON.stringify(schema));
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.why);
  return compiled.schema.check(value);
}

function why(schema: unknown): string {
  const compiled = answerSchema(typeof schema === 'string' ? schema : JSON.stringify(schema));
  return compiled.ok ? '' : compiled.why;
}

const nested = (depth: number): unknown =>
  depth === 0 ? { type: 'string' } : { type: 'array', items: nested(depth - 1) };
const doubling = (levels: number): Record<string, unknown> =>
  Object.fromEntries(
    Array.from({ length: levels }, (_, i) => {
      const next = { $ref: `#/$defs/a${i + 1}` };
      return [`a${i}`, i === levels - 1 ? {} : { allOf: [next, next] }];
    }),
  );

const REFUSED: readonly (readonly [unknown, RegExp])[] = [
  ['', /JSON text of an object/],
  ['true', /JSON text of an object/],
  ['[]', /JSON text of an object/],
  ['{"type":', /JSON text of an object/],
  [{ type: 'strin' }, /no JSON Schema of draft 2020-12: .*type must be/],
  [{ properties: 5 }, /properties must be object/],
  [{ properties: { a: 5 } }, /properties\/a must be object,boolean/],
  [{ items: [{ type: 'string' }] }, /items must be object,boolean/],
  [{ required: ['a', 'a'] }, /required must NOT have duplicate items/],
  [{ maxLength: -1 }, /maxLength must be >= 0/],
  [nested(65), /more than 64 levels/],
  [{ enum: Array(MAX_ANSWER_SCHEMA_VALUES).fill(1) }, /more than 4000 JSON values/],
  [{ $ref: 'https://example.com/a' }, /at \/\$ref: leads out of the schema; nothing is fetched/],
  [{ $ref: 'other.json#/a' }, /leads out of the schema/],
  [{ $ref: '#/$defs/b', $defs: { a: {} } }, /at \/\$ref: leads to no schema here/],
  [{ $ref: '#/example', example: { type: 'string' } }, /leads to no schema here/],
  [{ $ref: '#nowhere' }, /leads to no schema here/],
  [{ properties: { a: { $id: 'b' } } }, /at \/properties\/a\/\$id: moves what references lead to/],
  [{ $dynamicRef: '#a' }, /at \/\$dynamicRef: is not supported/],
  [{ $ref: '#' }, /applies itself to the same value again, without end/],
  [{ anyOf: [{ not: { $ref: '#' } }] }, /without end/],
  [{ $ref: '#/$defs/a0', $defs: doubling(30) }, /applies too many schemas to one value/],
  [{ pattern: '(' }, /at \/pattern: the pattern is no regular expression/],
  [{ items: { pattern: '(?=a)b' } }, /at \/items\/pattern: .*linear time \(no lookahead/],
  [{ pattern: '(a)\\1' }, /linear time/],
  [{ pattern: 'a{1,2000}' }, /at most 1000 repetitions/],
  [{ pattern: '((a{90}){90}){90}' }, /repetitions written out \(\d+ steps/],
  [{ pattern: '(?:\\p{L}?){900}'.repeat(60) }, /repetitions written out \(\d+ steps/],
  [
    { allOf: Array.from({ length: 40 }, (_, i) => ({ pattern: `${i}a{1,900}` })) },
    /patterns of more than 10000 steps together/,
  ],
  [
    {
      unevaluatedProperties: false,
      properties: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`k${i}`, true])),
    },
    /at \/unevaluatedProperties: is taken beside at most 500 named properties; there are 501/,
  ],
  [{ pattern: 'a'.repeat(1_001) }, /more than 1000 characters/],
  [{ patternProperties: { '(?!a)': {} } }, /at \/patternProperties\/\(\?!a\): .*linear time/],
  [
    { allOf: Array.from({ length: MAX_SCHEMA_PATTERNS + 1 }, () => ({ pattern: 'a' })) },
    /more than 50 patterns/,
  ],
];

test('a schema that is none, is too large or leads astray is refused with the place', () => {
  for (const [schema, wanted] of REFUSED) {
    assert.match(why(schema), wanted, JSON.stringify(schema).slice(0, 100));
  }
});

test('what generators of schemas write is taken', () => {
  for (const schema of [
    {},
    { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' },
    { $schema: 'http://json-schema.org/draft-07/schema#', $id: 'https://example.com/person' },
    { definitions: { a: { type: 'string' } }, items: { $ref: '#/definitions/a' } },
    { $defs: { 'a/b c': {} }, properties: { x: { $ref: '#/$defs/a~1b%20c' } } },
    { $defs: { a: { $anchor: 'here' } }, properties: { x: { $ref: '#here' } } },
    { type: 'string', format: 'date-time', pattern: '^\\d{4}-\\d{2}-\\d{2}T' },
    // A tree.
    { type: 'object', properties: { children: { type: 'array', items: { $ref: '#' } } } },
    { properties: { $ref: { type: 'string' }, $id: {}, pattern: { const: 1 } } },
  ]) {
    assert.equal(why(schema), '', JSON.stringify(schema));
  }
});

test('an answer is told each place where it does not fit, and what would', () => {
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 2 },
      age: { type: 'integer' },
      size: { enum: ['S', 'M'] },
    },
    required: ['name', 'age'],
    additionalProperties: false,
  };
  assert.deepEqual(check(schema, { name: 'Ada', age: 36, size: 'M' }), { fits: true });
  assert.deepEqual(check(schema, { name: 'A', size: 'L', more: 1 }), {
    fits: false,
    violations: [
      "the answer must have required property 'age'",
      'the answer must NOT have additional properties: "more"',
      '/name must NOT have fewer than 2 characters',
      '/size must be equal to one of the allowed values: ["S","M"]',
    ],
  });
});

test('violations are few and short, however many there are', () => {
  const verdict = check(
    { items: { type: 'string', enum: ['x'.repeat(10_000)] } },
    Array.from({ length: 50_000 }, (_, i) => i),
  );
  assert.ok(verdict.fits === false);
  assert.ok(verdict.violations.length <= MAX_SCHEMA_VIOLATIONS);
  for (const each of verdict.violations) assert.ok(each.length <= MAX_SCHEMA_VIOLATION_CHARS);
});

test('prices are multiples of cents; equal items are equal whatever the order of their keys', () => {
  assert.equal(check({ multipleOf: 0.01 }, 19.99).fits, true);
  assert.equal(check({ multipleOf: 0.01 }, 19.995).fits, false);
  const unique = { uniqueItems: true };
  assert.equal(
    check(unique, [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ]).fits,
    false,
  );
  assert.equal(check(unique, [{ a: 1 }, { a: '1' }, 1, '1', [1], null]).fits, true);
});

test('words that are no keywords of JSON Schema change nothing', () => {
  for (const note of [
    '$async',
    'nullable',
    'discriminator',
    'x-cost',
    'format',
    '$comment',
    'id',
  ]) {
    assert.equal(check({ [note]: true, type: 'string' }, 1).fits, false, note);
    assert.equal(check({ [note]: true, type: 'string' }, 'a').fits, true, note);
  }
});

/** Deep in the data every level is looked at twice as often as the one above. */
const TREE = {
  allOf: [{ properties: { a: { $ref: '#' } } }, { properties: { a: { $ref: '#' } } }],
};
const deep = (levels: number): unknown => (levels === 0 ? {} : { a: deep(levels - 1) });

const COSTLY: readonly (readonly [string, unknown, unknown])[] = [
  ['a schema that doubles with each level of the answer', TREE, deep(150)],
  [
    'items compared each with each',
    { allOf: Array.from({ length: 300 }, () => ({ uniqueItems: true })) },
    Array.from({ length: 100_000 }, (_, i) => ({ i })),
  ],
  [
    'many patterns on a long text',
    { allOf: Array.from({ length: 50 }, (_, i) => ({ pattern: `^(a|aa)+(${i})?$` })) },
    'a'.repeat(600_000),
  ],
  [
    'a length counted again and again',
    { allOf: Array.from({ length: 1_000 }, () => ({ maxLength: 1_000_000 })) },
    'é'.repeat(600_000),
  ],
  [
    'names looked for in every object',
    { items: { patternProperties: { '^(a+)+$': {}, '^(b+)+$': {} } } },
    Array.from({ length: 300 }, () => ({ ['a'.repeat(10_000)]: 1 })),
  ],
];

test('what would take for ever is given up at a bounded cost', async (t) => {
  for (const [name, schema, value] of COSTLY) {
    await t.test(name, () => assert.deepEqual(check(schema, value), { fits: undefined }));
  }
});

test('an answer has what it says, and not what every object inherits', () => {
  assert.equal(check({ required: ['toString'] }, {}).fits, false);
  assert.equal(check({ properties: { constructor: { type: 'string' } } }, {}).fits, true);
  assert.equal(check({ dependentRequired: { toString: ['x'] } }, {}).fits, true);
});

test('usual patterns are taken, their repetitions counted as they are nested', () => {
  for (const [pattern, fits, not] of [
    ['^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', '0b5d7a52-1c1e-4b0a-9d7e-000000000001', 'x'],
    ['^.{1,1000}$', 'a'.repeat(1_000), ''],
    ['^\\p{Lu}[\\p{L} .-]{0,199}$', 'Ä. Öhler', 'ä'],
    ['^(\\+\\d{1,3})?[ 0-9()-]{5,20}$', '+43 (1) 234-567', '+43'],
  ] as const) {
    assert.equal(check({ pattern }, fits).fits, true, pattern);
    assert.equal(check({ pattern }, not).fits, false, pattern);
  }
});

test('a pattern that would send a backtracking engine astray is matched', () => {
  assert.equal(check({ pattern: '^(a+)+$' }, `${'a'.repeat(50_000)}b`).fits, false);
  assert.equal(check({ pattern: '^(([a-z])+.)+[A-Z]([a-z])+$' }, 'a'.repeat(50_000)).fits, false);
});

test('a check that was given up leaves the next one its whole budget', () => {
  assert.equal(check(TREE, deep(150)).fits, undefined);
  assert.equal(check({ items: { type: 'integer' } }, Array(100_000).fill(1)).fits, true);
});

// Against ajv as it is, without bounds.
const scalar = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('', 'a', 'ab'),
);
const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    // As JSON.parse makes them: ajv takes objects of different prototypes for different.
    fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
}));
const BRANCHES = ['if', 'then', 'else'];
const { schema: anySchema } = fc.letrec<{ schema: unknown }>((tie) => {
  const list = fc.array(tie('schema'), { minLength: 1, maxLength: 2 });
  return {
    schema: fc.oneof(
      { maxDepth: 3 },
      fc.boolean(),
      fc.record({ type: fc.constantFrom('string', 'integer', 'object', 'array', 'null') }),
      fc.record({ enum: fc.uniqueArray(scalar, { minLength: 1, maxLength: 3 }) }),
      fc.record({ minimum: fc.integer({ min: -2, max: 2 }), maxLength: fc.nat(2) }),
      fc.record({ pattern: fc.constantFrom('^a', 'b$', '[^a]') }),
      fc.record({ uniqueItems: fc.boolean(), minItems: fc.nat(2) }),
      fc.record({ const: scalar }),
      fc.record({ items: tie('schema'), contains: tie('schema') }, { requiredKeys: [] }),
      fc.record({ prefixItems: list, items: tie('schema') }, { requiredKeys: ['prefixItems'] }),
      fc.record(
        {
          properties: fc.dictionary(fc.constantFrom('a', 'b'), tie('schema'), { maxKeys: 2 }),
          required: fc.constantFrom([], ['a']),
          additionalProperties: tie('schema'),
        },
        { requiredKeys: [] },
      ),
      fc.record({ allOf: list }),
      fc.record({ anyOf: list, unevaluatedProperties: fc.boolean() }),
      fc.record({ oneOf: list }),
      fc.record({ not: tie('schema') }),
      fc
        .tuple(tie('schema'), tie('schema'), tie('schema'))
        .map((each): unknown => Object.fromEntries(each.map((schema, i) => [BRANCHES[i], schema]))),
    ),
  };
});

test('any schema and any answer: the verdict is that of ajv without bounds', () => {
  const plain = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  fc.assert(
    fc.property(anySchema, anyValue, (schema, value) => {
      const whole = { anyOf: [schema] };
      const { fits } = check(whole, value);
      assert.equal(fits, plain.validate(whole, value));
    }),
    { numRuns: 500 },
  );
});
