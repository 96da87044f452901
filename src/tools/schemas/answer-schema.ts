// The schema of an answer: compiled by ajv, and answers checked against it at a bounded cost, since a
// schema and an answer can be written so that checking would take for ever. Each look at a value is
// counted; a count, unlike a clock, decides alike on a busy machine.
import { _, Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import {
  KEPT_ANSWER_SCHEMAS,
  MAX_ANSWER_SCHEMA_VALUES,
  MAX_SCHEMA_CHECK_COST,
  MAX_SCHEMA_ERRORS_SAID,
  MAX_SCHEMA_REPORT_COST,
  MAX_SCHEMA_VIOLATION_CHARS,
  MAX_SCHEMA_VIOLATIONS,
} from '../../chat/limits.ts';
import { areDifferent, oneOfThese } from './json-equality.ts';
import { readSchemaText, refused, type Refused } from './json-schema-text.ts';
import { LINEAR_PATTERNS, linearPattern } from './linear-pattern.ts';
import { checkNesting } from './schema-nesting.ts';
import { COST_KEYWORD, SchemaFault, walkedSchema, type WalkedSchema } from './schema-walk.ts';
import { schemaFault } from './schema-words.ts';

export interface AnswerSchema {
  /** `what`: how a violation calls the whole. */
  readonly check: (value: unknown, what?: string) => AnswerVerdict;
}

export type AnswerVerdict =
  | { readonly fits: true }
  /** Sentences, the first ones where there are many. Each begins with a place in the value. */
  | { readonly fits: false; readonly violations: readonly string[] }
  /** It cannot be told at a bounded cost. */
  | { readonly fits: undefined };

/** What is left to spend in the check that runs; checks do not wait, so there is one at a time. */
let left = Infinity;

class TooCostly extends Error {}

function spend(cost: number): void {
  left -= cost;
  if (left < 0) throw new TooCostly();
}

/** Equal schemas come with chat after chat; oldest first. */
const kept = new Map<string, AnswerSchema>();

/** Compiles the text of a schema. `why`, where it is refused, says what would be right. */
export function answerSchema(
  text: string,
): { readonly ok: true; readonly schema: AnswerSchema } | Refused {
  const before = kept.get(text);
  if (before !== undefined) return { ok: true, schema: before };
  const read = readSchemaText(text, MAX_ANSWER_SCHEMA_VALUES);
  if (!read.ok) return read;
  let schema: AnswerSchema;
  try {
    const walked = walkedSchema(read.schema, LINEAR_PATTERNS);
    const fault = schemaFault(engine(false, false), walked.schema);
    if (fault !== undefined) return refused(fault);
    checkNesting(walked.schema);
    schema = compiled(walked);
  } catch (error) {
    if (error instanceof SchemaFault) return refused(error.message);
    // The engine's own words for a stack that is full.
    if (error instanceof RangeError) return refused('is too large to be compiled; simplify it');
    throw error;
  }
  kept.set(text, schema);
  if (kept.size > KEPT_ANSWER_SCHEMAS) kept.delete(kept.keys().next().value ?? '');
  return { ok: true, schema };
}

function compiled(schema: WalkedSchema): AnswerSchema {
  const first = compile(schema, false);
  // Made when it is needed: most answers fit.
  let all: ValidateFunction | undefined;
  return {
    check(value, what = 'the answer') {
      const fits = run(first, value, MAX_SCHEMA_CHECK_COST);
      if (fits !== false) return { fits };
      const found = [...(first.errors ?? [])];
      all ??= compile(schema, true);
      if (run(all, value, MAX_SCHEMA_REPORT_COST) === false) found.push(...(all.errors ?? []));
      return { fits, violations: sentences(found, what) };
    },
  };
}

/** Undefined: too costly. */
function run(validate: ValidateFunction, value: unknown, budget: number): boolean | undefined {
  left = budget;
  try {
    return validate(value);
  } catch {
    // A schema that goes deeper than the stack has room for costs too much as well. Whatever else compiled
    // code may throw is about this one answer: no other chat of the process may suffer for it.
    return undefined;
  } finally {
    left = Infinity;
  }
}

const engines = new Map<string, Ajv2020>();

function engine(allErrors: boolean, unevaluated: boolean): Ajv2020 {
  const key = `${allErrors} ${unevaluated}`;
  const made = engines.get(key) ?? newAjv(allErrors, unevaluated);
  engines.set(key, made);
  return made;
}

function compile({ schema, unevaluated }: WalkedSchema, allErrors: boolean): ValidateFunction {
  const ajv = engine(allErrors, unevaluated);
  // A name by which it is forgotten again; without one "#" would be the newest schema's.
  const named = { $id: 'answer', ...schema };
  try {
    return ajv.compile(named);
  } finally {
    ajv.removeSchema(named);
  }
}

function newAjv(allErrors: boolean, unevaluated: boolean): Ajv2020 {
  const ajv = new Ajv2020({
    allErrors,
    strict: false,
    // Looked at before, for words of our own.
    validateSchema: false,
    // A note, as draft 2020-12 has it by default.
    validateFormats: false,
    // 19.99 is a multiple of 0.01.
    multipleOfPrecision: 9,
    inlineRefs: false,
    // An answer has what it says, and not what every object inherits.
    ownProperties: true,
    logger: false,
    code: { optimize: false, regExp: pattern, process: withoutInheritedNames },
  });
  // Else each look at a value notes which of its parts were looked at, for nobody.
  ajv.opts.unevaluated = unevaluated;
  ajv.addKeyword({
    keyword: COST_KEYWORD,
    before: '$ref',
    schemaType: 'number',
    errors: false,
    valid: true,
    validate: (weight: number, data: unknown) => {
      spend(weight + lookAt(data));
      return true;
    },
  });
  // Its own compares each with each.
  ajv.removeKeyword('uniqueItems');
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    error: { message: 'must NOT have duplicate items' },
    validate: (unique: boolean, data: unknown[]) => !unique || areDifferent(data, spend),
  });
  // Its own asks values for methods, which an answer may have as names.
  ajv.removeKeyword('enum');
  ajv.addKeyword({
    keyword: 'enum',
    schemaType: 'array',
    error: {
      message: 'must be equal to one of the allowed values',
      params: ({ schemaCode }) => _`{allowedValues: ${schemaCode}}`,
    },
    compile: (allowed: readonly unknown[]) => oneOfThese(allowed, spend),
  });
  ajv.removeKeyword('const');
  ajv.addKeyword({
    keyword: 'const',
    error: {
      message: 'must be equal to constant',
      params: ({ schemaCode }) => _`{allowedValue: ${schemaCode}}`,
    },
    compile: (allowed: unknown) => oneOfThese([allowed], spend),
  });
  return ajv;
}

/** The record of names that were looked at is a plain object in ajv's code, which has constructor and toString. */
function withoutInheritedNames(code: string): string {
  return code.replaceAll(
    /"(?:\\.|[^"\\])*"|(\bprops\d+ = (?:props\d+ \|\| )?)\{\}/g,
    (whole, before: string | undefined) =>
      before === undefined ? whole : `${before}{__proto__:null}`,
  );
}

const pattern = Object.assign(
  (source: string) => {
    const { steps, test } = linearPattern(source);
    return {
      test(text: string) {
        // Most machines are in few states at a time.
        spend(text.length * Math.max(1, steps / 8));
        return test(text);
      },
      // Tells patterns apart for ajv.
      toString: () => source,
    };
  },
  { code: 'linearPattern' },
);

/** Lengths are counted and names are listed however little a schema says of them. */
function lookAt(data: unknown): number {
  if (typeof data === 'string') return data.length / 8;
  return typeof data === 'object' && data !== null ? Object.keys(data).length : 0;
}

function sentences(errors: readonly ErrorObject[], what: string): readonly string[] {
  const said = new Set<string>();
  for (const error of errors.slice(0, MAX_SCHEMA_ERRORS_SAID)) {
    if (said.size === MAX_SCHEMA_VIOLATIONS) break;
    said.add(cutTo(sentence(error, what), MAX_SCHEMA_VIOLATION_CHARS));
  }
  return [...said];
}

function sentence(
  { instancePath, keyword, message = 'does not fit', params }: ErrorObject,
  what: string,
): string {
  const where = instancePath === '' ? what : cutTo(instancePath, 120);
  return `${where} ${message}${detail(keyword, params)}`;
}

/** What ajv's own words leave out. */
function detail(keyword: string, params: Readonly<Record<string, unknown>>): string {
  switch (keyword) {
    case 'enum':
      return `: ${JSON.stringify(params['allowedValues'])}`;
    case 'const':
      return `: ${JSON.stringify(params['allowedValue'])}`;
    case 'additionalProperties':
      return `: ${JSON.stringify(params['additionalProperty'])}`;
    case 'unevaluatedProperties':
      return `: ${JSON.stringify(params['unevaluatedProperty'])}`;
    default:
      return '';
  }
}

function cutTo(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars - 1).toWellFormed()}…`;
}
