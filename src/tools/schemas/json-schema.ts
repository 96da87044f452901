// Schemas of tools, checked so that what is wrong with one is said before a chat is created. They are for the
// model: nothing is held against them here, so that none is compiled.
import { createHash } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { KNOWN_SCHEMAS, MAX_SCHEMA_VALUES } from '../../chat/limits.ts';
import { readSchemaText, refused, type Refused } from './json-schema-text.ts';
import { TOLD_PATTERNS } from './linear-pattern.ts';
import { SchemaFault, walkedSchema } from './schema-walk.ts';
import { schemaFault } from './schema-words.ts';

/** Knows the draft's own rules. */
const AJV = new Ajv2020({ strict: false, validateFormats: false, logger: false });

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
  try {
    const fault = schemaFault(AJV, walkedSchema(schema, TOLD_PATTERNS).schema);
    if (fault !== undefined) return refused(fault);
  } catch (error) {
    if (error instanceof SchemaFault) return refused(error.message);
    throw error;
  }
  known.set(hash, values);
  if (known.size > KNOWN_SCHEMAS) known.delete(known.keys().next().value ?? '');
  return { ok: true, values };
}
