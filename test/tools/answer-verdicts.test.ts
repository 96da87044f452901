// The verdicts on answers against those of a validator that others wrote, by interpreting what we compile.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Validator } from '@cfworker/json-schema';
import * as fc from 'fast-check';
import { answerSchema } from '../../src/tools/schemas/answer-schema.ts';

/** Those that every object inherits are the hard ones. */
const NAMES = ['a', 'b', 'constructor', 'toString', 'hasOwnProperty', 'length', '$ref', 'a/b', '~'];
const ANSWER_NAMES = [...NAMES, '', '__proto__'];

const scalar = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('', 'a', 'ab', '💥', 'constructor', 0.5, 1e300),
);

/** As JSON.parse makes them, __proto__ included. */
function dictionary(
  names: readonly string[],
  value: fc.Arbitrary<unknown>,
): fc.Arbitrary<Record<string, unknown>> {
  return fc
    .uniqueArray(fc.tuple(fc.constantFrom(...names), value), {
      maxLength: 3,
      selector: ([name]) => name,
    })
    .map((entries) => Object.fromEntries(entries));
}

const { value: anyValue } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    dictionary(ANSWER_NAMES, tie('value')),
  ),
}));

const { schema: anySchema } = fc.letrec<{ schema: unknown }>((tie) => {
  const schema = tie('schema');
  const list = fc.array(schema, { minLength: 1, maxLength: 2 });
  const names = fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 });
  const few = fc.nat(2);
  const keywords = {
    type: fc.oneof(
      fc.constantFrom('string', 'integer', 'number', 'object', 'array', 'null', 'boolean'),
      fc.constant(['integer', 'object']),
    ),
    enum: fc.uniqueArray(anyValue, {
      minLength: 1,
      maxLength: 3,
      comparator: (a, b) => JSON.stringify(a) === JSON.stringify(b),
    }),
    const: anyValue,
    minimum: fc.integer({ min: -2, max: 2 }),
    exclusiveMaximum: fc.integer({ min: -2, max: 2 }),
    multipleOf: fc.constantFrom(1, 2, 0.5),
    maxLength: few,
    minLength: few,
    pattern: fc.constantFrom('^a', 'b$', '[^a]', '^.$'),
    uniqueItems: fc.boolean(),
    minItems: few,
    items: schema,
    prefixItems: list,
    contains: schema,
    minContains: few,
    maxContains: few,
    properties: dictionary(NAMES, schema),
    required: names,
    additionalProperties: schema,
    patternProperties: dictionary(['^a', 'o', '^$'], schema),
    propertyNames: schema,
    minProperties: few,
    maxProperties: few,
    dependentRequired: dictionary(NAMES, names),
    dependentSchemas: dictionary(NAMES, schema),
    unevaluatedProperties: schema,
    unevaluatedItems: schema,
    allOf: list,
    anyOf: list,
    oneOf: list,
    not: schema,
    ...Object.fromEntries(['if', 'then', 'else'].map((branch) => [branch, schema])),
    $ref: fc.constantFrom('#/$defs/x', '#/$defs/toString'),
  };
  const some = fc
    .uniqueArray(fc.constantFrom(...Object.keys(keywords)), { minLength: 1, maxLength: 3 })
    .chain((chosen) =>
      fc.record(
        Object.fromEntries(Object.entries(keywords).filter(([key]) => chosen.includes(key))),
      ),
    );
  return { schema: fc.oneof({ maxDepth: 3 }, fc.boolean(), some) };
});

test('any schema and any answer: the verdict is that of a validator that others wrote', () => {
  let judged = 0;
  fc.assert(
    fc.property(anySchema, anySchema, anyValue, (schema, other, value) => {
      const text = JSON.stringify({
        $defs: { x: other, toString: { type: ['string', 'object'] } },
        allOf: [schema],
      });
      const compiled = answerSchema(text);
      // What ajv judges wrongly, and what goes round in circles.
      if (!compiled.ok) {
        assert.match(
          compiled.why,
          /not taken in a schema that says|without end|leads to no schema/,
        );
        return;
      }
      judged += 1;
      const answer: unknown = JSON.parse(JSON.stringify(value));
      const theirs = new Validator(JSON.parse(text) as object, '2020-12').validate(answer);
      assert.equal(compiled.schema.check(answer).fits, theirs.valid, text);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(judged > 1_000, `${judged} of 2000`);
});
