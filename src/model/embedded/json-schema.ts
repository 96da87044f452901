// Which JSON schemas the grammar can hold the model to. node-llama-cpp ignores the keywords that it
// does not know, so they are looked for here and refused by their path.
import { Refusal } from './refusal.ts';

export type GrammarSource =
  | { readonly kind: 'any-json' }
  | { readonly kind: 'schema'; readonly schema: SchemaNode };

export type SchemaNode = Readonly<Record<string, unknown>>;

const MAX_SCHEMA_NODES = 500;
/** llama.cpp unrolls repetitions and gives up beyond 2,000 of them. */
const MAX_REPETITIONS = 1_000;

const types = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);
const formats = new Set(['date-time', 'time', 'date']);
const notes = new Set(['description', 'title', 'default', 'examples', '$schema', '$id']);

interface Walk {
  readonly root: SchemaNode;
  /** False: what the grammar cannot hold the model to is left out. */
  readonly strict: boolean;
  nodes: number;
}

/** Throws a Refusal where the grammar cannot hold the model to all of it. */
export function grammarSource(schema: SchemaNode, path: string): GrammarSource {
  return {
    kind: 'schema',
    schema: checked(schema, path, { root: schema, strict: true, nodes: 0 }),
  };
}

/** What a strict request may not have in its schema; undefined: it is all right. */
export function grammarFault(schema: object): string | undefined {
  try {
    grammarSource({ ...schema }, 'schema');
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.message.replace(/\.$/, '');
    throw error;
  }
}

/** As much of the schema as the grammar can hold the model to; at the least that it is JSON. */
export function looseGrammarSource(schema: SchemaNode): GrammarSource {
  try {
    const walk = { root: schema, strict: false, nodes: 0 };
    return { kind: 'schema', schema: checked(schema, '', walk) };
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'any-json' };
    throw error;
  }
}

function checked(value: unknown, path: string, walk: Walk): SchemaNode {
  if (!isRecord(value)) throw refused(path, 'must be a schema object');
  walk.nodes += 1;
  if (walk.nodes > MAX_SCHEMA_NODES) throw refused(path, `has over ${MAX_SCHEMA_NODES} parts`);

  // Where one of these decides, the grammar does not look at what stands beside it.
  for (const decider of ['anyOf', 'oneOf', '$ref', 'const', 'enum']) {
    if (!(decider in value)) continue;
    const allowed = decider === 'const' || decider === 'enum' ? ['type', '$defs'] : ['$defs'];
    refuseOthers(value, [decider, ...allowed], path, walk);
    return { ...decided(decider, value, path, walk), ...definitions(value, path, walk) };
  }

  const declared = value['type'] ?? (walk.strict ? undefined : impliedType(value));
  const names: readonly unknown[] = Array.isArray(declared) ? declared : [declared];
  for (const name of names) {
    if (typeof name !== 'string' || !types.has(name)) {
      throw refused(`${path}.type`, `must be one of ${[...types].join(', ')}, or a list of them`);
    }
  }
  if (names.length > 1) {
    refuseOthers(value, ['type', '$defs'], path, walk);
    if (names.includes('object') || names.includes('array')) {
      throw refused(`${path}.type`, 'must put object and array under anyOf, not into a list');
    }
    return { type: names };
  }
  return { ...typed(String(names[0]), value, path, walk), ...definitions(value, path, walk) };
}

function impliedType(value: SchemaNode): string | undefined {
  if ('properties' in value) return 'object';
  return 'items' in value ? 'array' : undefined;
}

function decided(decider: string, value: SchemaNode, path: string, walk: Walk): SchemaNode {
  const inner = value[decider];
  switch (decider) {
    case 'const':
      if (!isScalar(inner)) throw refused(`${path}.const`, 'must be a scalar');
      return { const: inner };
    case 'enum':
      if (!Array.isArray(inner) || inner.length === 0 || !inner.every(isScalar)) {
        throw refused(`${path}.enum`, 'must be a list of scalars');
      }
      return { enum: inner };
    case '$ref': {
      const name = typeof inner === 'string' ? /^#\/\$defs\/(.+)$/.exec(inner)?.[1] : undefined;
      const known = walk.root['$defs'];
      if (name === undefined || !isRecord(known) || !Object.hasOwn(known, name)) {
        throw refused(`${path}.$ref`, 'must name an entry of the $defs at the root');
      }
      return { $ref: inner };
    }
    default:
      if (!Array.isArray(inner) || inner.length === 0) {
        throw refused(`${path}.${decider}`, 'must be a list of schemas');
      }
      // The grammar's oneOf takes any of its alternatives.
      return { oneOf: inner.map((item, i) => checked(item, `${path}.${decider}[${i}]`, walk)) };
  }
}

function typed(type: string, value: SchemaNode, path: string, walk: Walk): SchemaNode {
  switch (type) {
    case 'object': {
      refuseOthers(
        value,
        ['type', 'properties', 'required', 'additionalProperties', '$defs'],
        path,
        walk,
      );
      const given = value['properties'] ?? {};
      if (!isRecord(given)) throw refused(`${path}.properties`, 'must be an object');
      const properties = Object.fromEntries(
        Object.entries(given).map(([name, schema]) => {
          return [name, checked(schema, `${path}.properties.${name}`, walk)];
        }),
      );
      const required: unknown = value['required'] ?? [];
      const known = (name: unknown): boolean => {
        return typeof name === 'string' && Object.hasOwn(given, name);
      };
      if (walk.strict && (!Array.isArray(required) || !required.every(known))) {
        throw refused(`${path}.required`, 'must list names that are in properties');
      }
      const more = value['additionalProperties'] ?? false;
      const additionalProperties =
        typeof more === 'boolean' ? more : checked(more, `${path}.additionalProperties`, walk);
      return { type, properties, additionalProperties };
    }
    case 'array': {
      refuseOthers(value, ['type', 'items', 'minItems', 'maxItems', '$defs'], path, walk);
      return {
        type,
        ...('items' in value ? { items: checked(value['items'], `${path}.items`, walk) } : {}),
        ...counts(value, ['minItems', 'maxItems'], path),
      };
    }
    case 'string': {
      if ('format' in value) {
        refuseOthers(value, ['type', 'format', '$defs'], path, walk);
        const format = value['format'];
        if (typeof format !== 'string' || !formats.has(format)) {
          if (!walk.strict) return { type };
          throw refused(`${path}.format`, `must be one of ${[...formats].join(', ')}`);
        }
        return { type, format };
      }
      refuseOthers(value, ['type', 'minLength', 'maxLength', '$defs'], path, walk);
      return { type, ...counts(value, ['minLength', 'maxLength'], path) };
    }
    default:
      refuseOthers(value, ['type', '$defs'], path, walk);
      return { type };
  }
}

function definitions(value: SchemaNode, path: string, walk: Walk): SchemaNode {
  const defs = value['$defs'];
  if (defs === undefined) return {};
  if (!isRecord(defs) || value !== walk.root) {
    throw refused(`${path}.$defs`, 'must be an object, and stand at the root');
  }
  const entries = Object.entries(defs).map(([name, schema]) => {
    return [name, checked(schema, `${path}.$defs.${name}`, walk)];
  });
  return { $defs: Object.fromEntries(entries) };
}

function counts(value: SchemaNode, [least, most]: readonly [string, string], path: string) {
  const found: Record<string, number> = {};
  for (const name of [least, most]) {
    const count = value[name];
    if (count === undefined) continue;
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 0) {
      throw refused(`${path}.${name}`, 'must be a whole number, 0 or more');
    }
    if (count > MAX_REPETITIONS) throw refused(`${path}.${name}`, `is over ${MAX_REPETITIONS}`);
    found[name] = count;
  }
  if ((found[least] ?? 0) > (found[most] ?? Infinity)) {
    throw refused(`${path}.${most}`, `must not be below ${least}`);
  }
  return found;
}

function refuseOthers(
  value: SchemaNode,
  allowed: readonly string[],
  path: string,
  walk: Walk,
): void {
  if (!walk.strict) return;
  const other = Object.keys(value).find((key) => !allowed.includes(key) && !notes.has(key));
  if (other !== undefined) throw refused(`${path}.${other}`, 'cannot be kept by the grammar here');
}

function refused(param: string, what: string): Refusal {
  return new Refusal(400, 'invalid_json_schema', `'${param}' ${what}.`, { param });
}

function isRecord(value: unknown): value is SchemaNode {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
