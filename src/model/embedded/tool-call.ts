// A call of a tool, as JSON that a grammar forces: which schemas hold it, and how it is read again.
import * as z from 'zod';
import { type GrammarSource, looseGrammarSource, type SchemaNode } from './json-schema.ts';

export interface CallableTool {
  readonly name: string;
  readonly parameters: SchemaNode;
}

export interface ToolCall {
  readonly name: string;
  /** JSON; only its beginning where the answer was cut. */
  readonly arguments: string;
}

/** The grammar has all properties of an object or none, so each choice of optional ones is an object of its own. */
const MAX_OPTIONAL = 4;
/** Of all tools together: the more of them, the fewer optional properties. */
const MAX_CHOICES = 128;
/** So small a model may never end a text that it need not. */
const MAX_TEXT_CHARS = 500;
const MAX_ITEMS = 8;
const MAX_LISTED_NUMBERS = 100;

/** One call of one of these. The name is the model's to choose, the arguments fit its schema as far as can be held. */
export function callGrammar(tools: readonly CallableTool[]): GrammarSource {
  const mostOptional = Math.min(
    MAX_OPTIONAL,
    Math.floor(Math.log2(MAX_CHOICES / Math.max(1, tools.length))),
  );
  const calls = tools.flatMap(({ name, parameters }) =>
    argumentSchemas(parameters, mostOptional).map((input) => ({
      type: 'object',
      properties: { name: { const: name }, arguments: input },
      additionalProperties: false,
    })),
  );
  return { kind: 'schema', schema: { oneOf: calls } };
}

function argumentSchemas(parameters: SchemaNode, mostOptional: number): readonly SchemaNode[] {
  const given = parameters['properties'];
  const properties = Object.entries(isRecord(given) ? given : {});
  const listed: unknown = parameters['required'];
  const required = new Set<unknown>(Array.isArray(listed) ? listed : []);
  const optional = properties.map(([name]) => name).filter((name) => !required.has(name));
  return choices(optional.slice(0, mostOptional)).map((chosen) => {
    const kept = properties.filter(([name]) => required.has(name) || chosen.includes(name));
    const source = looseGrammarSource({
      type: 'object',
      properties: Object.fromEntries(kept.map(([name, schema]) => [name, bounded(schema)])),
      ...(isRecord(parameters['$defs']) ? { $defs: bounded(parameters['$defs']) } : {}),
    });
    // Definitions cannot stand below the root: such arguments are any object.
    const held = source.kind === 'schema' && !('$defs' in source.schema);
    return held ? source.schema : { type: 'object', additionalProperties: true };
  });
}

/** Every choice among them, none and all included. */
function choices(names: readonly string[]): readonly (readonly string[])[] {
  return names.reduce<readonly (readonly string[])[]>(
    (all, name) => [...all, ...all.map((chosen) => [...chosen, name])],
    [[]],
  );
}

function bounded(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(bounded);
  if (!isRecord(schema)) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, at]) => [key, bounded(at)]));
  const { type, minimum, maximum } = schema;
  if (type === 'integer' && typeof minimum === 'number' && typeof maximum === 'number') {
    const count = maximum - minimum + 1;
    // The grammar knows no bounds of numbers, but it knows lists.
    if (count >= 1 && count <= MAX_LISTED_NUMBERS && Number.isInteger(minimum)) {
      return { enum: Array.from({ length: Math.floor(count) }, (_, i) => minimum + i) };
    }
  }
  if (type === 'string' && !('enum' in schema) && !('format' in schema)) {
    return { ...inner, maxLength: atMost(schema['maxLength'], MAX_TEXT_CHARS) };
  }
  return type === 'array' ? { ...inner, maxItems: atMost(schema['maxItems'], MAX_ITEMS) } : inner;
}

function atMost(asked: unknown, most: number): number {
  return typeof asked === 'number' ? Math.min(asked, most) : most;
}

const whole = z.object({ name: z.string(), arguments: z.record(z.string(), z.unknown()) });

/** Undefined: it was cut before there was a name. */
export function readCall(text: string): ToolCall | undefined {
  try {
    const read = whole.parse(JSON.parse(text));
    return { name: read.name, arguments: JSON.stringify(read.arguments) };
  } catch {
    const cut = /^\s*\{\s*"name"\s*:\s*"([\w-]+)"\s*,\s*"arguments"\s*:\s*/.exec(text);
    const name = cut?.[1];
    return name === undefined ? undefined : { name, arguments: text.slice(cut?.[0].length) };
  }
}

function isRecord(value: unknown): value is SchemaNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
