// What a field's JSON looks like, told with a small example to callers who wrote something else.
import type { DescField, DescMessage, JsonValue } from '@bufbuild/protobuf';
import {
  ChatRequestSchema,
  ClientToolSchema,
  DatabaseSchema,
  JsonSchemaFormatSchema,
  McpServerSchema,
  ResponseFormatSchema,
  ServerToolSchema,
  SystemSchema,
  TableSchema,
  ThinkingSchema,
  ToolChoiceSchema,
  ToolContextItemSchema,
  ToolSchema,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ContentBlockSchema,
  DocumentBlockSchema,
  ImageBlockSchema,
  MessageSchema,
  ToolUseBlockSchema,
} from '../../../gen/tailrace/v1/content_pb.ts';

const HI = '{"role": "ROLE_USER", "content": [{"text": "…"}]}';

const EXAMPLES: ReadonlyMap<DescMessage, string> = new Map<DescMessage, string>([
  [ChatRequestSchema, `{"messages": [${HI}]}`],
  [MessageSchema, HI],
  [ContentBlockSchema, '{"text": "…"}'],
  [ImageBlockSchema, '{"data": "<base64>", "media_type": "image/png"}'],
  [DocumentBlockSchema, '{"text": "…"}'],
  [
    ToolSchema,
    '{"client": {"name": "…", "input_schema": "{…}"}} or {"server": {"name": "web_fetch"}}',
  ],
  [ServerToolSchema, '{"name": "web_fetch"}'],
  [McpServerSchema, '{"name": "…", "url": "https://…"}'],
  [DatabaseSchema, '{"connection_string": "postgres://user:password@host:5432/database"}'],
  [TableSchema, '{"format": "csv", "data": "name,size\\na,1\\n"}'],
  [ToolChoiceSchema, '{"mode": "TOOL_CHOICE_MODE_AUTO"}'],
  [ToolContextItemSchema, '{"name": "…", "data": "{…}"}'],
  [ResponseFormatSchema, '{"json_schema": {"name": "…", "schema": "{…}"}}'],
  [SystemSchema, '{"text": "…"}'],
  [ThinkingSchema, '{"enabled": true}'],
]);

/** The smallest of its kind, where one helps. */
export function exampleOf(desc: DescMessage | undefined): string | undefined {
  return desc && EXAMPLES.get(desc);
}

/** Fields that hold JSON within a string. */
const JSON_TEXTS: ReadonlySet<DescField> = new Set([
  ClientToolSchema.field.inputSchema,
  JsonSchemaFormatSchema.field.schema,
  ToolUseBlockSchema.field.input,
  ToolContextItemSchema.field.data,
]);

/** For an object or array where its JSON text is wanted. */
export function jsonTextHint(field: DescField, value: JsonValue): string {
  return JSON_TEXTS.has(field) && typeof value === 'object' && value !== null
    ? '; it is given as JSON text, its quotes escaped, as in "{\\"type\\": \\"object\\"}"'
    : '';
}

const WELL_KNOWN_FORMS: Readonly<Record<string, string>> = {
  'google.protobuf.Duration': 'a duration in seconds such as "30s"',
  'google.protobuf.Timestamp': 'a time such as "2026-11-23T08:00:00Z"',
};

/** What is wanted in the place of a value that is no such message. */
export function wellKnownForm(desc: DescMessage, value: JsonValue): string {
  const form = WELL_KNOWN_FORMS[desc.typeName] ?? `a ${desc.typeName}`;
  const seconds = desc.typeName === 'google.protobuf.Duration' ? secondsMeant(value) : undefined;
  return seconds === undefined ? form : `${form}; did you mean "${seconds}s"?`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ['ms milli millis millisecond milliseconds', 0.001],
  ['s sec secs second seconds', 1],
  ['m min mins minute minutes', 60],
  ['h hr hrs hour hours', 3_600],
  ['d day days', 86_400],
];
const UNIT_SECONDS: ReadonlyMap<string, number> = new Map(
  UNITS.flatMap(([names, seconds]) => names.split(' ').map((name) => [name, seconds] as const)),
);
/** What protobuf's durations reach. */
const MAX_SECONDS = 315_576_000_000;
const MAX_DURATION_CHARS = 40;

/** "2h", "1h 30m", "500 ms" and plain numbers. */
function secondsMeant(value: JsonValue): string | undefined {
  let seconds = 0;
  if (typeof value === 'number' || (typeof value === 'string' && /^\d{1,15}$/.test(value))) {
    // A number alone says no unit; most read it as seconds.
    seconds = Number(value);
  } else if (typeof value === 'string' && value.length <= MAX_DURATION_CHARS) {
    const text = value.trim().toLowerCase();
    if (!/^(\d+(\.\d+)? ?[a-z]+ ?)+$/.test(text)) return undefined;
    for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?) ?([a-z]+)/g)) {
      const each = UNIT_SECONDS.get(unit ?? '');
      if (each === undefined) return undefined;
      seconds += Number(count) * each;
    }
  } else return undefined;
  if (!(seconds >= 0 && seconds <= MAX_SECONDS)) return undefined;
  return String(Number(seconds.toFixed(3)));
}
