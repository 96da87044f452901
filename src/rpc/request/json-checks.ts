// Why a JSON body is not the message that an rpc takes: every unknown field, wrong name and wrong
// type, not only the first one. Runs only on bodies that protobuf-es has refused.
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue,
  ScalarType,
} from '@bufbuild/protobuf';
import {
  BoolValueSchema,
  BytesValueSchema,
  DoubleValueSchema,
  FloatValueSchema,
  Int32ValueSchema,
  Int64ValueSchema,
  StringValueSchema,
  UInt32ValueSchema,
  UInt64ValueSchema,
} from '@bufbuild/protobuf/wkt';
import type { Violation } from '../../chat/errors.ts';
import { MAX_MESSAGE_DEPTH, MAX_VIOLATIONS } from '../../chat/limits.ts';
import { exampleOf, jsonTextHint, wellKnownForm } from './request-forms.ts';
import { enumHint, unknownFieldHint } from './request-hints.ts';

interface JsonFindings {
  readonly violations: readonly Violation[];
  /** Nothing but fields that this server does not know. */
  readonly unknownOnly: boolean;
}

/** A scalar's JSON forms are those of its wrapper message. */
const SCALARS: Readonly<Partial<Record<ScalarType, readonly [DescMessage, string]>>> = {
  [ScalarType.DOUBLE]: [DoubleValueSchema, 'a number'],
  [ScalarType.FLOAT]: [FloatValueSchema, 'a number'],
  [ScalarType.INT32]: [Int32ValueSchema, 'a whole number of 32 bits'],
  [ScalarType.INT64]: [Int64ValueSchema, 'a whole number of 64 bits'],
  [ScalarType.UINT32]: [UInt32ValueSchema, 'a whole number of 32 bits, not negative'],
  [ScalarType.UINT64]: [UInt64ValueSchema, 'a whole number of 64 bits, not negative'],
  [ScalarType.BOOL]: [BoolValueSchema, 'true or false'],
  [ScalarType.STRING]: [StringValueSchema, 'a string'],
  [ScalarType.BYTES]: [BytesValueSchema, 'a string in base64'],
};

export function jsonFindings(schema: DescMessage, json: JsonValue): JsonFindings {
  const violations: Violation[] = [];
  const names = new Map<DescMessage, ReadonlyMap<string, DescField>>();
  let unknownOnly = true;

  function wrong(path: string, description: string): void {
    unknownOnly = false;
    violations.push({ path: path === '' ? '(body)' : path, description });
  }

  function fieldsOf(desc: DescMessage): ReadonlyMap<string, DescField> {
    const known =
      names.get(desc) ??
      new Map(desc.fields.flatMap((f) => [[f.name, f] as const, [f.jsonName, f] as const]));
    names.set(desc, known);
    return known;
  }

  function message(desc: DescMessage, value: JsonValue, path: string, depth: number): void {
    if (depth > MAX_MESSAGE_DEPTH) {
      wrong(path, `messages may be at most ${MAX_MESSAGE_DEPTH} deep`);
      return;
    }
    if (desc.typeName.startsWith('google.protobuf.')) {
      if (!reads(desc, value)) {
        wrong(path, `must be ${wellKnownForm(desc, value)}`);
      }
      return;
    }
    if (!isObject(value)) {
      const example = exampleOf(desc);
      wrong(path, `must be an object${example ? ` such as ${example}` : ''}${not(value)}`);
      return;
    }
    const seen = new Map<object, string>();
    for (const [key, inner] of Object.entries(value)) {
      if (violations.length >= MAX_VIOLATIONS) return;
      const field = fieldsOf(desc).get(key);
      if (field === undefined) {
        const description = `there is no such field${unknownFieldHint(desc, key)}`;
        violations.push({ path: path + member(path, key), description });
        continue;
      }
      if (inner === null) continue;
      const at = path + member(path, field.name);
      const rival = seen.get(field.oneof ?? field);
      if (rival !== undefined) {
        wrong(at, rival === key ? 'is there twice' : `only one of ${rival} and ${key} may be set`);
      }
      seen.set(field.oneof ?? field, key);
      fieldValue(field, inner, at, depth);
    }
  }

  function fieldValue(field: DescField, value: JsonValue, path: string, depth: number): void {
    if (field.fieldKind === 'list') {
      if (!Array.isArray(value)) {
        const example = exampleOf(field.message);
        wrong(path, `must be an array${example ? ` such as [${example}]` : ''}${not(value)}`);
        return;
      }
      for (const [index, item] of value.entries()) {
        if (violations.length >= MAX_VIOLATIONS) return;
        single(field, field.listKind, item, `${path}[${index}]`, depth);
      }
    } else if (field.fieldKind === 'map') {
      if (!isObject(value)) {
        wrong(path, `must be an object${not(value)}`);
        return;
      }
      for (const [key, item] of Object.entries(value)) {
        if (violations.length >= MAX_VIOLATIONS) return;
        single(field, field.mapKind, item, `${path}[${JSON.stringify(key)}]`, depth);
      }
    } else {
      single(field, field.fieldKind, value, path, depth);
    }
  }

  function single(
    field: DescField,
    kind: 'message' | 'enum' | 'scalar',
    value: JsonValue,
    path: string,
    depth: number,
  ): void {
    if (kind === 'message' && field.message) {
      message(field.message, value, path, depth + 1);
    } else if (kind === 'enum' && field.enum) {
      const said = enumProblem(field.enum, value);
      if (said !== undefined) wrong(path, said);
    } else if (field.scalar !== undefined) {
      const [wrapper, form] = SCALARS[field.scalar] ?? [];
      if (field.scalar === ScalarType.STRING && typeof value === 'string') {
        if (!value.isWellFormed()) wrong(path, HALF_A_PAIR);
        return;
      }
      if (wrapper && (value === null || !reads(wrapper, value))) {
        wrong(path, `must be ${form}${not(value)}${jsonTextHint(field, value)}`);
      }
    }
  }

  message(schema, json, '', 1);
  return { violations, unknownOnly };
}

const HALF_A_PAIR =
  'has half of a surrogate pair, \\ud800 to \\udfff without its other half, which is no text';

function enumProblem(desc: DescEnum, value: JsonValue): string | undefined {
  if (typeof value === 'number' && Number.isInteger(value)) return undefined;
  if (desc.values.some((known) => known.name === value)) return undefined;
  const names = desc.values.filter((known) => known.number !== 0).map((known) => known.name);
  return `must be one of ${names.join(', ')}${enumHint(desc, value)}`;
}

function reads(schema: DescMessage, value: JsonValue): boolean {
  try {
    fromJson(schema, value);
    return true;
  } catch {
    return false;
  }
}

function isObject(value: JsonValue): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Names the kind of what is there. Never the value: it may be what a user wrote. */
function not(value: JsonValue): string {
  if (value === null) return ', not null';
  if (Array.isArray(value)) return ', not an array';
  return `, not ${typeof value === 'object' ? 'an object' : `this ${typeof value}`}`;
}

function member(path: string, key: string): string {
  if (!/^\w+$/.test(key)) return `[${JSON.stringify(key)}]`;
  return path === '' ? key : `.${key}`;
}
