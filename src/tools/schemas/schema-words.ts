// What is wrong with a caller's schema by the rules of draft 2020-12 itself, in words for who wrote it: the place
// as a JSON pointer, and what would be right.
import type { Ajv2020, ErrorObject } from 'ajv/dist/2020.js';
import type { JsonObject } from './json-schema-text.ts';

const MAX_PLACE_CHARS = 200;

/** Undefined: nothing. `ajv` must take schemas of the draft as they are ("strict" off). */
export function schemaFault(ajv: Ajv2020, schema: JsonObject): string | undefined {
  if (ajv.validateSchema(schema) === true) return undefined;
  const error = mostTelling(ajv.errors ?? []);
  if (error === undefined) return 'is no JSON Schema of draft 2020-12';
  const { instancePath } = error;
  const place =
    instancePath.length > MAX_PLACE_CHARS
      ? `${instancePath.slice(0, MAX_PLACE_CHARS - 1).toWellFormed()}…`
      : instancePath;
  const at = place === '' ? '' : `at ${place}: `;
  return `is no JSON Schema of draft 2020-12: ${at}${wanted(error)}`;
}

/** What lies deepest; an alternative that was tried and failed says less than a rule within it. */
function mostTelling(errors: readonly ErrorObject[]): ErrorObject | undefined {
  const rank = ({ keyword }: ErrorObject): number =>
    keyword === 'anyOf' ? 0 : keyword === 'type' ? 1 : keyword === 'enum' ? 2 : 3;
  return errors.toSorted(
    (a, b) => b.instancePath.length - a.instancePath.length || rank(b) - rank(a),
  )[0];
}

const TYPE_WORDS: ReadonlyMap<string, string> = new Map([
  ['object,boolean', 'a schema: an object, true or false'],
  ['object', 'an object'],
  ['array', 'an array'],
  ['string', 'a string'],
  ['integer', 'a whole number'],
  ['number', 'a number'],
  ['boolean', 'true or false'],
]);

function wanted({ keyword, params }: ErrorObject): string {
  const limit = String(params['limit']);
  switch (keyword) {
    case 'type': {
      const type = String(params['type']);
      return `must be ${TYPE_WORDS.get(type) ?? `of type ${type}`}`;
    }
    case 'enum':
      return `must be one of ${(params['allowedValues'] as unknown[]).join(', ')}`;
    case 'minimum':
      return `must be at least ${limit}`;
    case 'exclusiveMinimum':
      return `must be above ${limit}`;
    case 'minItems':
      return `must have at least ${limit} item`;
    case 'uniqueItems':
      return 'must not have the same item twice';
    case 'pattern':
      return `must match ${String(params['pattern'])}`;
    default:
      return 'is not as the draft has it';
  }
}
