// src/tools: what tools need that is no adapter of a store or a model. May not live here: anything of
// NATS, rpcs, or a chat's life. This file: schemas of callers, bounded before anything is made of them,
// and compiled, so that what is wrong with one is said before a chat is created.
import { createHash } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import draft7 from 'ajv/dist/refs/json-schema-draft-07.json' with { type: 'json' };
import { KNOWN_SCHEMAS, MAX_SCHEMA_DEPTH, MAX_SCHEMA_VALUES } from '../chat/limits.ts';

// Unknown keywords are notes to the model. Nothing is fetched: a reference leads into the schema itself.
const AJV = new Ajv2020({
  strict: false,
  validateFormats: false,
  addUsedSchema: false,
  inlineRefs: false,
  logger: false,
  code: { optimize: false },
});
// What most generators of schemas still write.
AJV.addMetaSchema(draft7);

/** Hashes of texts that were found to be in order, oldest first: the same tools come with every chat. */
const known = new Map<string, number>();

export type SchemaCheck =
  /** `values`: how many JSON values it has, a measure of what it costs. */
  { readonly ok: true; readonly values: number } | { readonly ok: false; readonly why: string };

/** Whether a text is a JSON Schema (draft 2020-12) for the input of a tool. */
export function checkInputSchema(text: string): SchemaCheck {
  const hash = createHash('sha256').update(text).digest('base64');
  const before = known.get(hash);
  if (before !== undefined) return { ok: true, values: before };
  const schema = parsed(text);
  if (!isObject(schema)) return refusal('must be the JSON text of an object, a JSON Schema');
  const values = countValues(schema, MAX_SCHEMA_DEPTH);
  if (values === undefined) return refusal(`is nested more than ${MAX_SCHEMA_DEPTH} levels deep`);
  if (values > MAX_SCHEMA_VALUES) {
    return refusal(`has more than ${MAX_SCHEMA_VALUES} JSON values`);
  }
  const { type } = schema as { readonly type?: unknown };
  if (type !== undefined && type !== 'object') {
    return refusal('must be of type "object": the input of a tool is an object');
  }
  try {
    AJV.compile(schema);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return refusal(`is no JSON Schema of draft 2020-12: ${said}`);
  } finally {
    AJV.removeSchema(schema);
  }
  known.set(hash, values);
  if (known.size > KNOWN_SCHEMAS) known.delete(known.keys().next().value ?? '');
  return { ok: true, values };
}

function refusal(why: string): SchemaCheck {
  return { ok: false, why };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Undefined: deeper than that. Counts no further than it must. */
function countValues(value: unknown, depth: number): number | undefined {
  if (typeof value !== 'object' || value === null) return 1;
  if (depth === 0) return undefined;
  let count = 1;
  for (const inner of Object.values(value)) {
    const more = countValues(inner, depth - 1);
    if (more === undefined) return undefined;
    count += more;
    if (count > MAX_SCHEMA_VALUES) return count;
  }
  return count;
}
