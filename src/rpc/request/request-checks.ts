// From bytes to a message that keeps the contract's rules, or an error that names everything that
// is wrong. Fields that this server does not know are refused: ignoring them would break a promise
// that the caller thinks was made.
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  type MessageShape,
} from '@bufbuild/protobuf';
import { pathToString, reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import { createValidator, type Violation as RuleViolation } from '@bufbuild/protovalidate';
import { type ChatError, invalidRequest, type Violation } from '../../chat/errors.ts';
import { MAX_MESSAGE_DEPTH, MAX_VIOLATIONS } from '../../chat/limits.ts';
import { malformedRequest } from '../edge/errors.ts';
import { jsonFindings } from './json-checks.ts';
import { exampleOf } from './request-forms.ts';

// Keeps what it has compiled of the rules; compiling takes 100 ms.
const VALIDATOR = createValidator();

/** Compiles the rules of what the rpcs take, so that no first caller waits for it. */
export function warmUpChecks(inputs: readonly DescMessage[]): void {
  for (const input of inputs) VALIDATOR.validate(input, create(input));
}

export function messageFromJson<I extends DescMessage>(
  schema: I,
  json: JsonValue,
): MessageShape<I> {
  let message: MessageShape<I>;
  try {
    if (nests(json, MAX_MESSAGE_DEPTH)) throw new Error('messages in it are nested too deep');
    message = fromJson(schema, json);
  } catch (error) {
    throw jsonRefusal(schema, json, error);
  }
  refuse('INVALID_REQUEST', brokenRules(schema, message));
  return message;
}

export function messageFromBinary<I extends DescMessage>(
  schema: I,
  bytes: Uint8Array,
): MessageShape<I> {
  let message: MessageShape<I>;
  try {
    message = fromBinary(schema, bytes, { recursionLimit: MAX_MESSAGE_DEPTH });
  } catch (error) {
    throw malformedRequest(
      `The body is no ${schema.typeName} in protobuf’s binary form: ${text(error)}`,
    );
  }
  const unknown = unknownFields(reflect(schema, message));
  const broken = brokenRules(schema, message);
  refuse(broken.length === 0 ? 'UNKNOWN_FIELD' : 'INVALID_REQUEST', [...unknown, ...broken]);
  return message;
}

function refuse(
  reason: 'INVALID_REQUEST' | 'UNKNOWN_FIELD',
  violations: readonly Violation[],
): void {
  if (violations.length > 0) throw invalidRequest(reason, violations);
}

function jsonRefusal(schema: DescMessage, json: JsonValue, error: unknown): ChatError {
  const { violations, unknownOnly } = jsonFindings(schema, json);
  if (violations.length === 0) {
    return malformedRequest(`The body is no ${schema.typeName} in JSON: ${text(error)}`);
  }
  const named = new Set(violations.map((violation) => violation.path));
  const broken = rulesOfTheRest(schema, json).filter((violation) => !named.has(violation.path));
  return invalidRequest(
    unknownOnly && broken.length === 0 ? 'UNKNOWN_FIELD' : 'INVALID_REQUEST',
    [...violations, ...broken].slice(0, MAX_VIOLATIONS),
  );
}

/** The rules that are broken beside unknown names; none can be told beside wrong types. */
function rulesOfTheRest(schema: DescMessage, json: JsonValue): readonly Violation[] {
  try {
    return brokenRules(schema, fromJson(schema, json, { ignoreUnknownFields: true }));
  } catch {
    return [];
  }
}

function brokenRules(schema: DescMessage, message: Message): readonly Violation[] {
  const result = VALIDATOR.validate(schema, message);
  if (result.kind === 'valid') return [];
  if (result.kind === 'error') throw result.error;
  // A field that breaks two rules, as NaN does, is told once.
  const byPath = new Map<string, string>();
  for (const violation of result.violations.slice(0, MAX_VIOLATIONS)) {
    const path = pathOf(violation);
    const before = byPath.get(path);
    const said = inWords(violation);
    byPath.set(path, before === undefined ? said : `${before}, and ${said}`);
  }
  return Array.from(byPath, ([path, description]) => ({ path, description }));
}

/** A oneof has no name in JSON: it is what it stands in that lacks something. */
function pathOf({ field }: RuleViolation): string {
  const path = pathToString(field.at(-1)?.kind === 'oneof' ? field.slice(0, -1) : field);
  return path === '' ? '(body)' : path;
}

function inWords(violation: RuleViolation): string {
  const last = violation.field.at(-1);
  if (violation.ruleId.startsWith('enum.') && last?.kind === 'field' && last.enum) {
    const names = last.enum.values.filter((value) => value.number !== 0).map((value) => value.name);
    return `must be one of ${names.join(', ')}`;
  }
  if (last?.kind === 'oneof' && violation.ruleId === 'required') {
    const names = last.fields.map((field) => field.name).join(', ');
    const example = exampleOf(last.parent);
    return `must have one of ${names}${example ? `, as in ${example}` : ''}`;
  }
  return violation.message.replace('does not match regex pattern', 'must match');
}

/** Fields that came with the message and that its schema does not have, all the way down. */
function unknownFields(message: ReflectMessage): readonly Violation[] {
  const found: Violation[] = [];
  visit(message, '');
  return found;

  function visit(inside: ReflectMessage, path: string): void {
    const prefix = path === '' ? '' : `${path}.`;
    for (const no of new Set(inside.getUnknown()?.map((unknown) => unknown.no))) {
      if (found.length >= MAX_VIOLATIONS) return;
      const description = `there is no field ${no} in ${inside.desc.typeName}`;
      found.push({ path: `${prefix}${no}`, description });
    }
    for (const field of inside.fields) visitField(inside, field, `${prefix}${field.name}`);
  }

  function visitField(inside: ReflectMessage, field: DescField, path: string): void {
    if (field.message === undefined || !inside.isSet(field)) return;
    if (field.fieldKind === 'message') {
      visit(inside.get(field), path);
    } else if (field.fieldKind === 'list') {
      for (const [index, item] of inside.get(field).entries()) {
        visit(item as ReflectMessage, `${path}[${index}]`);
      }
    } else if (field.fieldKind === 'map') {
      for (const [key, item] of inside.get(field)) {
        visit(item as ReflectMessage, `${path}[${JSON.stringify(key)}]`);
      }
    }
  }
}

/** JSON has no bound of its own, and what is read from it must be readable from its binary form. */
function nests(json: JsonValue, levels: number): boolean {
  if (typeof json !== 'object' || json === null) return false;
  if (Array.isArray(json)) return json.some((item) => nests(item, levels));
  return levels === 0 || Object.values(json).some((item) => nests(item, levels - 1));
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
