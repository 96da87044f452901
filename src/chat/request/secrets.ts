// Which texts of a message are secrets: those that the contract marks with debug_redact, found by its
// descriptor and by nothing else, so that a field that is marked later is covered as it is. What is done
// with them is not decided here.
import type { DescField, DescMessage, MessageShape } from '@bufbuild/protobuf';
import { clone, ScalarType } from '@bufbuild/protobuf';
import type { ReflectMessage } from '@bufbuild/protobuf/reflect';
import { reflect } from '@bufbuild/protobuf/reflect';

export interface Secret {
  /** From the message that was walked, as request.mcp_servers[0].headers["authorization"]. */
  readonly path: string;
  /** Never empty: an empty text is no secret. */
  readonly text: string;
}

/** What stands for a secret where a request is given back. */
export const REDACTED = '[redacted]';

export function hasSecrets<D extends DescMessage>(schema: D, message: MessageShape<D>): boolean {
  return placesIn(reflect(schema, message), '').next().done !== true;
}

/** The same message if it holds no secret, else a copy with what `change` makes of each. */
export function replaceSecrets<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  change: (secret: Secret) => string,
): MessageShape<D> {
  if (!hasSecrets(schema, message)) return message;
  const copy = clone(schema, message);
  for (const { replace, ...secret } of placesIn(reflect(schema, copy), '')) replace(change(secret));
  return copy;
}

export function redactSecrets<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
): MessageShape<D> {
  return replaceSecrets(schema, message, () => REDACTED);
}

interface Place extends Secret {
  readonly replace: (text: string) => void;
}

function* placesIn(inside: ReflectMessage, path: string): Generator<Place> {
  const prefix = path === '' ? '' : `${path}.`;
  const { marked, leading } = fieldsOf(inside.desc);
  for (const field of marked) yield* textsOf(inside, field, prefix + field.name);
  for (const field of leading) {
    for (const [message, at] of messagesOf(inside, field, prefix + field.name)) {
      yield* placesIn(message, at);
    }
  }
}

function* textsOf(inside: ReflectMessage, field: DescField, path: string): Generator<Place> {
  if (!inside.isSet(field)) return;
  const place = (text: unknown, at: string, replace: (text: string) => void): Place[] =>
    typeof text === 'string' && text !== '' ? [{ path: at, text, replace }] : [];
  if (field.fieldKind === 'scalar') {
    yield* place(inside.get(field), path, (text) => inside.set(field, text));
  } else if (field.fieldKind === 'list') {
    const list = inside.get(field);
    for (const [i, item] of [...list].entries()) {
      yield* place(item, `${path}[${i}]`, (text) => list.set(i, text));
    }
  } else if (field.fieldKind === 'map') {
    const map = inside.get(field);
    for (const [key, item] of map) {
      yield* place(item, `${path}[${JSON.stringify(key)}]`, (text) => map.set(key, text));
    }
  }
}

function* messagesOf(
  inside: ReflectMessage,
  field: DescField,
  path: string,
): Generator<readonly [ReflectMessage, string]> {
  if (!inside.isSet(field)) return;
  if (field.fieldKind === 'message') {
    yield [inside.get(field), path];
  } else if (field.fieldKind === 'list') {
    for (const [i, item] of inside.get(field).entries()) {
      yield [item as ReflectMessage, `${path}[${i}]`];
    }
  } else if (field.fieldKind === 'map') {
    for (const [key, item] of inside.get(field)) {
      yield [item as ReflectMessage, `${path}[${JSON.stringify(key)}]`];
    }
  }
}

interface Fields {
  readonly marked: readonly DescField[];
  /** Messages with marked fields in them, however deep: of a long conversation none is looked at. */
  readonly leading: readonly DescField[];
}

const KNOWN = new Map<DescMessage, Fields>();

function fieldsOf(desc: DescMessage): Fields {
  let fields = KNOWN.get(desc);
  if (fields === undefined) {
    fields = { marked: markedOf(desc), leading: desc.fields.filter(leads) };
    KNOWN.set(desc, fields);
  }
  return fields;
}

function leads({ message }: DescField): boolean {
  if (message === undefined) return false;
  const seen = new Set([message]);
  // A set is walked with what is added to it meanwhile, so that messages within themselves end it.
  for (const each of seen) {
    if (markedOf(each).length > 0) return true;
    for (const field of each.fields) if (field.message !== undefined) seen.add(field.message);
  }
  return false;
}

function markedOf(desc: DescMessage): readonly DescField[] {
  const marked = desc.fields.filter((field) => field.proto.options?.debugRedact === true);
  for (const field of marked) {
    // Passed over it would be stored as it came.
    if (field.scalar !== ScalarType.STRING) {
      throw new Error(`${field.toString()} is marked debug_redact; only texts can be sealed.`);
    }
  }
  return marked;
}
