// Schemas of answers: what is refused before a chat begins, what answers are told, and that neither can
// be made to take for ever.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_ANSWER_SCHEMA_VALUES,
  MAX_SCHEMA_PATTERNS,
  MAX_SCHEMA_VIOLATION_CHARS,
  MAX_SCHEMA_VIOLATIONS,
} from '../../src/chat/limits.ts';
import { answerSchema, type AnswerVerdict } from '../../src/tools/schemas/answer-schema.ts';

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

const named = (count: number, value: unknown): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value]));

const REFUSED: readonly (readonly [unknown, RegExp])[] = [
  ['', /JSON text of an object/],
  ['true', /JSON text of an object/],
  ['[]', /JSON text of an object/],
  ['{"type":', /JSON text of an object/],
  [
    { type: 'strin' },
    /no JSON Schema of draft 2020-12: at \/type: must be one of array, boolean, integer, null, number, object, string$/,
  ],
  [{ type: ['string', 'strin'] }, /: at \/type\/1: must be one of array, /],
  [{ type: [] }, /: at \/type: must have at least 1 item$/],
  [{ properties: 5 }, /: at \/properties: must be an object$/],
  [{ properties: { a: 5 } }, /: at \/properties\/a: must be a schema: an object, true or false$/],
  [{ items: [{ type: 'string' }] }, /: at \/items: must be a schema: an object, true or false$/],
  [{ required: 'a' }, /: at \/required: must be an array$/],
  [{ required: [1] }, /: at \/required\/0: must be a string$/],
  [{ required: ['a', 'a'] }, /: at \/required: must not have the same item twice$/],
  [{ maxLength: -1 }, /: at \/maxLength: must be at least 0$/],
  [{ maxLength: 'x' }, /: at \/maxLength: must be a whole number$/],
  ['{"multipleOf":1e-400}', /: at \/multipleOf: must be above 0$/],
  [{ properties: { a: { $anchor: '1' } } }, /: at \/properties\/a\/\$anchor: must match \^/],
  ['{"items":{"maximum":1e400}}', /^has a number that is too large, such as 1e400$/],
  [{ items: { enum: [] } }, /^at \/items\/enum: is empty, so that nothing fits/],
  [
    { allOf: [{ $anchor: 'a' }, { $anchor: 'a' }] },
    /^at \/allOf\/1\/\$anchor: \/allOf\/0 has the same anchor$/,
  ],
  ['{"properties":{"__proto__":{}}}', /^at \/properties\/__proto__: the name __proto__ cannot be/],
  ['{"items":{"patternProperties":{"__proto__":{}}}}', /the name __proto__ cannot be checked/],
  ['{"$defs":{"__proto__":{}}}', /^at \/\$defs\/__proto__: the name __proto__ cannot be checked/],
  [{ required: ['a', '__proto__'] }, /^at \/required\/1: the name __proto__ cannot be checked/],
  ['{"dependentRequired":{"__proto__":["a"]}}', /the name __proto__ cannot be checked/],
  [
    { dependentRequired: { a: ['__proto__'] } },
    /^at \/dependentRequired\/a\/0: the name __proto__/,
  ],
  [{ required: [''] }, /^at \/required\/0: the empty name cannot be required$/],
  ['{"properties":{"\\ud800":{}}}', /the name is no Unicode: half of a surrogate pair$/],
  [
    { contains: { type: 'string' }, items: { unevaluatedItems: false } },
    /^at \/items\/unevaluatedItems: is not taken in a schema that says "contains" as well/,
  ],
  [
    { oneOf: [true, { unevaluatedItems: false }], unevaluatedItems: false },
    /^at \/(oneOf\/1\/)?unevaluatedItems: is not taken in a schema that says "oneOf" as well; say "items"$/,
  ],
  [
    { if: { properties: { a: {} } }, unevaluatedProperties: false },
    /^at \/unevaluatedProperties: is not taken in a schema that says "if" as well; say "anyOf"$/,
  ],
  ...(['oneOf', 'anyOf', 'allOf', 'prefixItems'] as const).map(
    (word) =>
      [
        { items: { [word]: Array.from({ length: 401 }, (_, i) => ({ const: i })) } },
        /^at \/items: has more than 400 schemas beside and inside each other; move parts of it to \$defs$/,
      ] as const,
  ),
  [{ properties: named(401, { type: 'string' }) }, /^has more than 400 schemas beside and inside/],
  [{ properties: named(401, false) }, /^has more than 400 schemas beside and inside/],
  [{ dependentRequired: named(401, ['b']) }, /^has more than 400 schemas beside and inside/],
  [
    { pattern: '\\p{L}'.repeat(166), allOf: [{ pattern: '\\p{L}'.repeat(166) }] },
    /patterns of more than 10000 steps together/,
  ],
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
    { allOf: Array.from({ length: 390 }, () => ({ maxLength: 1_000_000 })) },
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

test('names that every object inherits are names like others in an answer', () => {
  const odd: unknown = JSON.parse(
    '{"toString":1,"valueOf":{},"constructor":"x","hasOwnProperty":0,"__proto__":{"a":1}}',
  );
  assert.equal(check({ const: odd }, odd).fits, true);
  assert.equal(check({ enum: [{}, { a: 1 }] }, odd).fits, false);
  assert.equal(check({ const: {} }, JSON.parse('{"__proto__":{}}')).fits, false);
  assert.equal(check({ uniqueItems: true }, [odd, odd]).fits, false);
  assert.equal(check({ additionalProperties: false }, JSON.parse('{"__proto__":1}')).fits, false);
  for (const name of ['toString', 'constructor', '__defineGetter__']) {
    const answer: unknown = JSON.parse(`{"${name}":1}`);
    const strict = { unevaluatedProperties: false, patternProperties: { '^a': {} } };
    assert.equal(check(strict, answer).fits, false, name);
    assert.equal(check({ ...strict, patternProperties: { [name]: {} } }, answer).fits, true, name);
  }
});

test('a caller’s name that looks like code is a name', () => {
  const name = '"; props0 = {} || props1 = {}; //`${1}\u2028*/';
  const schema = { patternProperties: { '^a': {} }, properties: { [name]: { type: 'string' } } };
  const strict = { ...schema, unevaluatedProperties: false, required: [name] };
  assert.equal(check(strict, { [name]: 'x' }).fits, true);
  assert.equal(check(strict, { [name]: 1 }).fits, false);
  assert.equal(check(strict, { [`${name} `]: 'x' }).fits, false);
});

test('an empty list contains nothing, and numbers too large for JSON are equal to themselves alone', () => {
  const contains = { prefixItems: [{ type: 'string' }], contains: { type: 'number' } };
  assert.equal(check(contains, []).fits, false);
  assert.equal(check({ ...contains, minContains: 0 }, []).fits, true);
  assert.equal(check({ uniqueItems: true }, JSON.parse('[1e400, null]')).fits, true);
  assert.equal(check({ uniqueItems: true }, JSON.parse('[1e400, 1e500]')).fits, false);
  assert.equal(check({ enum: [0] }, JSON.parse('-0')).fits, true);
});

test('as many schemas side by side as are taken can be checked', () => {
  for (const schema of [
    { properties: named(400, { type: 'string' }) },
    { oneOf: Array.from({ length: 399 }, (_, i) => ({ properties: { k1: { const: `${i}` } } })) },
    { dependentRequired: named(400, ['k1']) },
    {
      properties: named(4, { $ref: '#/$defs/a' }),
      $defs: { a: { properties: named(390, { type: 'string' }) } },
    },
  ]) {
    assert.notEqual(check(schema, { k1: '7' }).fits, undefined, Object.keys(schema)[0]);
  }
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
