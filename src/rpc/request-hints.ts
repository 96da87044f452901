// What to say to callers who come with the habits of other APIs: where the thing they mean belongs.
import type { DescEnum, DescMessage, JsonValue } from '@bufbuild/protobuf';
import { ContentBlockSchema, RoleSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';

export const WELL_KNOWN_FORMS: Readonly<Record<string, string>> = {
  'google.protobuf.Duration': 'a duration such as "30s"',
  'google.protobuf.Timestamp': 'a time such as "2026-11-23T08:00:00Z"',
};

const SYSTEM_TEXT = 'there is no such role: its text belongs in request.system.text';
const TOOL_RESULT =
  'there is no such role: a tool’s answer is a tool_result block in a message of ROLE_USER';

const ROLE_HINTS: Readonly<Record<string, string>> = {
  SYSTEM: SYSTEM_TEXT,
  DEVELOPER: SYSTEM_TEXT,
  TOOL: TOOL_RESULT,
  FUNCTION: TOOL_RESULT,
  HUMAN: 'did you mean ROLE_USER?',
  AI: 'did you mean ROLE_ASSISTANT?',
  BOT: 'did you mean ROLE_ASSISTANT?',
  MODEL: 'did you mean ROLE_ASSISTANT?',
};

const FIELD_HINTS = new Map<DescMessage, Readonly<Record<string, string>>>([
  [
    ChatRequestSchema,
    {
      max_completion_tokens: 'did you mean max_tokens?',
      max_output_tokens: 'did you mean max_tokens?',
      reasoning_effort: 'did you mean thinking.effort?',
      prompt: 'did you mean messages?',
      user: 'did you mean metadata or correlation_id?',
      n: 'a chat has one answer',
    },
  ],
  [
    ContentBlockSchema,
    {
      type: 'the kind of a block is the name of its field, as in {"text": "…"}',
      image_url: 'did you mean image.url?',
    },
  ],
]);

/** For a name that the enum does not have. */
export function enumHint(desc: DescEnum, value: JsonValue): string {
  if (typeof value !== 'string') return '';
  const short = value.toUpperCase().replace(/^ROLE_/, '');
  const role = desc === RoleSchema ? ROLE_HINTS[short] : undefined;
  if (role !== undefined) return `; ${role}`;
  const meant = desc.values.find((known) => {
    const plain = known.name.toUpperCase();
    return plain === value.toUpperCase() || plain.endsWith(`_${value.toUpperCase()}`);
  });
  return meant ? `; did you mean ${meant.name}?` : '';
}

/** For a key that the message does not have. */
export function unknownFieldHint(desc: DescMessage, key: string): string {
  const said = FIELD_HINTS.get(desc)?.[key];
  if (said !== undefined) return `; ${said}`;
  const near = desc.fields.find((field) => close(field.name, key));
  if (near) return `; did you mean ${near.name}?`;
  // One level too high: what belongs into the request stands beside it.
  for (const field of desc.fields) {
    if (field.fieldKind !== 'message') continue;
    const inner = field.message.fields.find((f) => f.name === key || f.jsonName === key);
    if (inner) return `; did you mean ${field.name}.${inner.name}?`;
  }
  return '';
}

/** For a text where blocks are wanted. */
export function blockHint(desc: DescMessage | undefined, value: JsonValue): string {
  return desc === ContentBlockSchema && typeof value === 'string'
    ? '; a text is [{"text": "…"}]'
    : '';
}

/** The same letters, or one letter added, left out, or changed. */
function close(name: string, given: string): boolean {
  const a = name.replaceAll('_', '');
  const b = given.replaceAll(/[-_]/g, '').toLowerCase();
  if (a === b) return true;
  if (Math.min(a.length, b.length) < 4 || Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  return Math.max(a.length, b.length) - start - end <= 1;
}
