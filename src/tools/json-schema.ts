// Schemas of tools, compiled so that what is wrong with one is said before a chat is created.
import { createHash } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { KNOWN_SCHEMAS, MAX_SCHEMA_VALUES } from '../chat/limits.ts';
import { type JsonObject, readSchemaText, refused, type Refused } from './json-schema-text.ts';
import { SchemaFault, walkedSchema } from './schema-walk.ts';

// Unknown keywords are notes to the model. Nothing is fetched: a reference leads into the schema itself.
const AJV = new Ajv2020({
  strict: false,
  validateFormats: false,
  inlineRefs: false,
  logger: false,
  code: { optimize: false },
});

/** Hashes of texts that were found to be in order, oldest first: the same tools come with every chat. */
const known = new Map<string, number>();

export type SchemaCheck =
  /** `values`: how many JSON values it has, a measure of what it costs. */
  { readonly ok: true; readonly values: number } | Refused;

/** Whether a text is a JSON Schema (draft 2020-12) for the input of a tool. */
export function checkInputSchema(text: string): SchemaCheck {
  const hash = createHash('sha256').update(text).digest('base64');
  const before = known.get(hash);
  if (before !== undefined) return { ok: true, values: before };
  const read = readSchemaText(text, MAX_SCHEMA_VALUES);
  if (!read.ok) return read;
  const { schema, values } = read;
  const { type } = schema;
  if (type !== undefined && type !== 'object') {
    return refused('must be of type "object": the input of a tool is an object');
  }
  let walked: JsonObject | undefined;
  try {
    // A name by which it is forgotten again; its own could be another's.
    walked = { $id: 'tool', ...walkedSchema(schema) };
    AJV.compile(walked);
  } catch (error) {
    if (error instanceof SchemaFault) return refused(error.message);
    const said = error instanceof Error ? error.message : String(error);
    return refused(`is no JSON Schema of draft 2020-12: ${said}`);
  } finally {
    if (walked !== undefined) AJV.removeSchema(walked);
  }
  known.set(hash, values);
  if (known.size > KNOWN_SCHEMAS) known.delete(known.keys().next().value ?? '');
  return { ok: true, values };
}
