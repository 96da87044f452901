// src/tools: what tools and answers need that is no adapter of a store or a model. May not live here:
// anything of NATS, rpcs, or a chat's life. This file: the text of a caller's schema, bounded before
// anything is made of it.
import { MAX_SCHEMA_DEPTH } from '../../chat/limits.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export type SchemaText =
  /** `values`: how many JSON values it has, a measure of what it costs. */
  { readonly ok: true; readonly schema: JsonObject; readonly values: number } | Refused;

/** `why` goes on: "the schema …". */
export interface Refused {
  readonly ok: false;
  readonly why: string;
}

export function readSchemaText(text: string, maxValues: number): SchemaText {
  const schema = parsed(text);
  if (!isObject(schema)) return refused('must be the JSON text of an object, a JSON Schema');
  const values = countValues(schema, MAX_SCHEMA_DEPTH, maxValues);
  if (values === undefined) return refused(`is nested more than ${MAX_SCHEMA_DEPTH} levels deep`);
  if (values > maxValues) {
    return refused(`has more than ${maxValues} JSON values`);
  }
  // It would go to the model server as null.
  if (hasInfinity(schema)) return refused('has a number that is too large, such as 1e400');
  return { ok: true, schema, values };
}

export function refused(why: string): Refused {
  return { ok: false, why };
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hasInfinity(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasInfinity);
}

/** Undefined: deeper than that. Counts no further than it must. */
function countValues(value: unknown, depth: number, most: number): number | undefined {
  if (typeof value !== 'object' || value === null) return 1;
  if (depth === 0) return undefined;
  let count = 1;
  for (const inner of Object.values(value)) {
    const more = countValues(inner, depth - 1, most);
    if (more === undefined) return undefined;
    count += more;
    if (count > most) return count;
  }
  return count;
}
