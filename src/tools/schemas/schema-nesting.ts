// How deep the code of a compiled schema is nested. Each schema beside another one is a block inside the
// other's, so that a thousand properties make code that the engine takes seconds to read, or cannot.
import { MAX_SCHEMA_NESTING } from '../../chat/limits.ts';
import { isObject, type JsonObject } from './json-schema-text.ts';
import { escaped, SCHEMA_LISTS, SCHEMA_MAPS, SCHEMA_ONES, SchemaFault } from './schema-walk.ts';

/** They are compiled where they are referred to, as functions of their own. */
const APART: ReadonlySet<string> = new Set(['$defs', 'definitions']);

/** Throws a SchemaFault. */
export function checkNesting(schema: JsonObject): void {
  nesting(schema, '');
}

function nesting(schema: JsonObject, at: string): number {
  const { dependentRequired } = schema;
  let before = isObject(dependentRequired) ? Object.keys(dependentRequired).length : 0;
  let deepest = before;
  const check = (): void => {
    if (deepest <= MAX_SCHEMA_NESTING) return;
    const why = `has more than ${MAX_SCHEMA_NESTING} schemas beside and inside each other; move parts of it to $defs`;
    throw new SchemaFault(at, why);
  };
  check();
  for (const [inner, place, apart] of innerSchemas(schema, at)) {
    const depth = isObject(inner) ? nesting(inner, place) : 0;
    // What says nothing makes no code.
    if (apart || inner === true) continue;
    before += 1;
    deepest = Math.max(deepest, before + depth);
    check();
  }
  return deepest;
}

function* innerSchemas(
  schema: JsonObject,
  at: string,
): Generator<readonly [unknown, string, boolean]> {
  for (const [key, value] of Object.entries(schema)) {
    const place = `${at}/${key}`;
    if (SCHEMA_ONES.has(key)) yield [value, place, false];
    else if (SCHEMA_LISTS.has(key) && Array.isArray(value)) {
      for (const [i, each] of value.entries()) {
        yield [each, `${place}/${i}`, false];
      }
    } else if (SCHEMA_MAPS.has(key) && isObject(value)) {
      for (const [name, each] of Object.entries(value)) {
        yield [each, `${place}/${escaped(name)}`, APART.has(key)];
      }
    }
  }
}
