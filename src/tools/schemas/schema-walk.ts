// A caller's schema, walked before it is compiled: only the keywords of draft 2020-12 that say something
// of a value are kept, references lead to schemas inside, and what could go round in circles is refused.
import {
  MAX_SCHEMA_COST,
  MAX_SCHEMA_PATTERN_STEPS,
  MAX_SCHEMA_PATTERNS,
  MAX_UNEVALUATED_NAMES,
} from '../../chat/limits.ts';
import { isObject, type JsonObject } from './json-schema-text.ts';

/** The keyword that says what one look at a schema costs; callers' keywords of that name are left out. */
export const COST_KEYWORD = 'x-cost';

export class SchemaFault extends Error {
  /** `at`: a JSON pointer into the schema; '' is the whole of it. */
  constructor(at: string, what: string) {
    super(at === '' ? what : `at ${at}: ${what}`);
    this.name = 'SchemaFault';
  }
}

/** Keywords of draft 2020-12: of one schema, a list of them, a map of them, and of anything else. */
export const SCHEMA_ONES = wordsOf(
  'additionalProperties contains else if items not propertyNames then',
  'unevaluatedItems unevaluatedProperties',
);
export const SCHEMA_LISTS = wordsOf('allOf anyOf oneOf prefixItems');
export const SCHEMA_MAPS = wordsOf(
  '$defs definitions dependentSchemas patternProperties properties',
);
const PLAIN = wordsOf(
  '$anchor $ref const dependentRequired enum exclusiveMaximum exclusiveMinimum',
  'maxContains maximum maxItems maxLength maxProperties minContains minimum',
  'minItems minLength minProperties multipleOf pattern required type uniqueItems',
);
/** They look at the same value, not at a part of it. */
const IN_PLACE = wordsOf('allOf anyOf dependentSchemas else if not oneOf then');
/** ajv does not always know which items they have looked at. */
const UNCLEAR_ITEMS = ['contains', 'if', 'anyOf', 'oneOf', 'dependentSchemas'];
const MOVES_THE_BASE = 'moves what references lead to; leave it out';
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['$id', MOVES_THE_BASE],
  ['$dynamicRef', 'is not supported; use $ref'],
  ['$recursiveRef', 'is not supported; use $ref'],
]);

interface Node {
  readonly at: string;
  /** JSON values of its own. */
  readonly weight: number;
  /** Where the schemas are that look at the same value. */
  readonly inPlace: string[];
  readonly ref: string | undefined;
}

export interface PatternRules {
  /** What making it costs, in steps; throws where that is too much for one. */
  readonly cost: (pattern: string) => number;
  /** Throws where it will not do. */
  readonly check: (pattern: string) => void;
}

export interface WalkedSchema {
  /** With what counts alone. */
  readonly schema: JsonObject;
  /** It says something of properties or items that nothing else in it has looked at. */
  readonly unevaluated: boolean;
}

/** Throws a SchemaFault. */
export function walkedSchema(schema: JsonObject, patterns: PatternRules): WalkedSchema {
  // What names the whole changes nothing inside it.
  const { $id: _id, $schema: _draft, ...inner } = schema;
  const walk = new Walk(patterns);
  const walked = walk.schema(inner, '');
  walk.checkReferences();
  return { schema: walked, unevaluated: walk.unevaluated };
}

class Walk {
  readonly #nodes = new Map<string, Node>();
  readonly #anchors = new Map<string, string>();
  readonly #patternRules: PatternRules;
  #patterns = 0;
  #patternSteps = 0;
  #names = 0;
  readonly #keywords = new Set<string>();
  /** Where `unevaluated…` stands first. */
  #unevaluated: string | undefined;
  #unevaluatedItems: string | undefined;

  constructor(patterns: PatternRules) {
    this.#patternRules = patterns;
  }

  get unevaluated(): boolean {
    return this.#unevaluated !== undefined;
  }

  schema(schema: JsonObject, at: string): JsonObject {
    const kept: [string, unknown][] = [];
    const inPlace: string[] = [];
    let weight = 1;
    for (const [key, value] of Object.entries(schema)) {
      const why = REFUSED.get(key);
      if (why !== undefined) throw new SchemaFault(`${at}/${key}`, why);
      const place = `${at}/${escaped(key)}`;
      if (key.startsWith('unevaluated')) this.#unevaluated ??= place;
      if (key === 'unevaluatedItems') this.#unevaluatedItems ??= place;
      this.#keywords.add(key);
      if (key === 'properties' && isObject(value)) this.#names += Object.keys(value).length;
      if (SCHEMA_ONES.has(key)) {
        if (IN_PLACE.has(key)) inPlace.push(place);
        weight += 1;
        kept.push([key, this.#inner(value, place)]);
      } else if (SCHEMA_LISTS.has(key) || SCHEMA_MAPS.has(key)) {
        const inner = this.#each(value, place, key === 'patternProperties');
        if (IN_PLACE.has(key)) inPlace.push(...inner.places);
        weight += inner.places.length;
        kept.push([key, inner.value]);
      } else if (PLAIN.has(key)) {
        if (key === 'pattern') this.#pattern(value, place);
        if (key === 'required') checkNames(value, place);
        if (key === 'dependentRequired' && isObject(value)) checkNamesOf(value, place);
        if (key === 'enum' && Array.isArray(value) && value.length === 0) {
          throw new SchemaFault(place, 'is empty, so that nothing fits; name what is allowed');
        }
        weight += valuesIn(value);
        kept.push([key, value]);
      }
    }
    const { $anchor: anchor, $ref: ref } = schema;
    if (typeof anchor === 'string') {
      const other = this.#anchors.get(anchor);
      if (other !== undefined) {
        const where = other === '' ? 'the whole schema' : other;
        throw new SchemaFault(`${at}/$anchor`, `${where} has the same anchor`);
      }
      this.#anchors.set(anchor, at);
    }
    this.#nodes.set(at, { at, weight, inPlace, ref: typeof ref === 'string' ? ref : undefined });
    return Object.fromEntries([...kept, ...leastItems(schema), [COST_KEYWORD, weight]]);
  }

  /** What is no schema is left for the compiler to complain of. */
  #inner(value: unknown, at: string): unknown {
    return isObject(value) ? this.schema(value, at) : value;
  }

  #each(
    value: unknown,
    at: string,
    byPattern: boolean,
  ): { readonly value: unknown; readonly places: readonly string[] } {
    if (Array.isArray(value)) {
      const places = value.map((_, i) => `${at}/${i}`);
      return { value: value.map((each, i) => this.#inner(each, places[i] ?? '')), places };
    }
    if (!isObject(value)) return { value, places: [] };
    const places: string[] = [];
    const entries = Object.entries(value).map(([key, each]) => {
      const place = `${at}/${escaped(key)}`;
      checkName(key, place);
      if (byPattern) this.#pattern(key, place);
      places.push(place);
      return [key, this.#inner(each, place)];
    });
    return { value: Object.fromEntries(entries), places };
  }

  #pattern(pattern: unknown, at: string): void {
    if (typeof pattern !== 'string') return;
    if (++this.#patterns > MAX_SCHEMA_PATTERNS) {
      throw new SchemaFault('', `has more than ${MAX_SCHEMA_PATTERNS} patterns`);
    }
    try {
      this.#patternSteps += this.#patternRules.cost(pattern);
      if (this.#patternSteps <= MAX_SCHEMA_PATTERN_STEPS) this.#patternRules.check(pattern);
    } catch (error) {
      throw new SchemaFault(at, error instanceof Error ? error.message : String(error));
    }
    if (this.#patternSteps > MAX_SCHEMA_PATTERN_STEPS) {
      const what = `patterns of more than ${MAX_SCHEMA_PATTERN_STEPS} steps together`;
      throw new SchemaFault('', `has ${what}, their repetitions written out`);
    }
  }

  checkReferences(): void {
    if (this.#unevaluated !== undefined && this.#names > MAX_UNEVALUATED_NAMES) {
      const why = `is taken beside at most ${MAX_UNEVALUATED_NAMES} named properties; there are ${this.#names}`;
      throw new SchemaFault(this.#unevaluated, why);
    }
    this.#checkTogether(this.#unevaluated, ['if'], 'say "anyOf"');
    this.#checkTogether(this.#unevaluatedItems, UNCLEAR_ITEMS, 'say "items"');
    const costs = new Map<string, number | 'open'>();
    for (const at of this.#nodes.keys()) this.#cost(at, costs);
  }

  #checkTogether(at: string | undefined, unclear: readonly string[], better: string): void {
    const other = unclear.find((keyword) => this.#keywords.has(keyword));
    if (at === undefined || other === undefined) return;
    const why = `is not taken in a schema that says "${other}" as well; ${better}`;
    throw new SchemaFault(at, why);
  }

  /** What it costs to look at one value with all that applies to it. */
  #cost(at: string, costs: Map<string, number | 'open'>): number {
    const node = this.#nodes.get(at);
    if (node === undefined) return 1;
    const before = costs.get(at);
    if (before === 'open') {
      throw new SchemaFault(at, 'applies itself to the same value again, without end');
    }
    if (before !== undefined) return before;
    costs.set(at, 'open');
    const target = node.ref === undefined ? [] : [this.#target(node.ref, at)];
    let cost = node.weight;
    for (const place of [...node.inPlace, ...target]) cost += this.#cost(place, costs);
    if (cost > MAX_SCHEMA_COST) {
      throw new SchemaFault(at, 'applies too many schemas to one value; simplify it');
    }
    costs.set(at, cost);
    return cost;
  }

  #target(ref: string, at: string): string {
    const place = ref.startsWith('#') ? this.#placeOf(ref.slice(1)) : undefined;
    if (place !== undefined) return place;
    const what = ref.startsWith('#')
      ? 'leads to no schema here'
      : 'leads out of the schema; nothing is fetched, so it must begin with "#"';
    throw new SchemaFault(`${at}/$ref`, what);
  }

  #placeOf(fragment: string): string | undefined {
    const wanted = decoded(fragment);
    if (wanted === undefined) return undefined;
    if (wanted !== '' && !wanted.startsWith('/')) return this.#anchors.get(wanted);
    return this.#nodes.has(wanted) ? wanted : undefined;
  }
}

function wordsOf(...lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => line.split(' ')));
}

/** What contains so many has so many: ajv forgets it of an empty list beside prefixItems. */
function leastItems(schema: JsonObject): [string, unknown][] {
  if (!('contains' in schema)) return [];
  const { minContains = 1, minItems = 0 } = schema;
  if (typeof minContains !== 'number' || typeof minItems !== 'number') return [];
  return [['minItems', Math.max(minContains, minItems)]];
}

/** Names that cannot be checked: they are no property like others, or no text. */
function checkName(name: unknown, at: string): void {
  if (name === '__proto__') {
    throw new SchemaFault(at, 'the name __proto__ cannot be checked; choose another');
  }
  if (typeof name === 'string' && !name.isWellFormed()) {
    throw new SchemaFault(at.toWellFormed(), 'the name is no Unicode: half of a surrogate pair');
  }
}

function checkNames(names: unknown, at: string): void {
  if (!Array.isArray(names)) return;
  for (const [i, name] of names.entries()) {
    checkName(name, `${at}/${i}`);
    if (name === '') throw new SchemaFault(`${at}/${i}`, 'the empty name cannot be required');
  }
}

function checkNamesOf(map: JsonObject, at: string): void {
  for (const [name, wanted] of Object.entries(map)) {
    const place = `${at}/${escaped(name)}`;
    checkName(name, place);
    checkNames(wanted, place);
  }
}

function decoded(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return undefined;
  }
}

/** A step of a JSON pointer (RFC 6901). */
export function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, inner) => sum + valuesIn(inner), 1);
}
