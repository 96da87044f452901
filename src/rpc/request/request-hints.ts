// What to say to callers who come with the habits of other APIs: where the thing they mean belongs.
import type { DescEnum, DescMessage, JsonValue } from '@bufbuild/protobuf';
import {
  ChatRequestSchema,
  ClientToolSchema,
  ResponseFormatSchema,
  SystemSchema,
  ThinkingEffortSchema,
  ToolChoiceModeSchema,
  ToolSchema,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatStreamStatusSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ContentBlockSchema, RoleSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { nearest } from '../../chat/near-names.ts';
import { exampleOf } from './request-forms.ts';

/** So many can be told where none of them is near. */
const FEW_FIELDS = 6;
const SYSTEM_TEXT = 'there is no such role: its text belongs in request.system.text';
const TOOL_RESULT =
  'there is no such role: a tool’s answer is a tool_result block in a message of ROLE_USER';

/** What others call a value; without the enum's own prefix. */
const VALUE_HINTS = new Map<DescEnum, Readonly<Record<string, string>>>([
  [
    RoleSchema,
    {
      SYSTEM: SYSTEM_TEXT,
      DEVELOPER: SYSTEM_TEXT,
      TOOL: TOOL_RESULT,
      FUNCTION: TOOL_RESULT,
      HUMAN: 'did you mean ROLE_USER?',
      AI: 'did you mean ROLE_ASSISTANT?',
      BOT: 'did you mean ROLE_ASSISTANT?',
      MODEL: 'did you mean ROLE_ASSISTANT?',
    },
  ],
  [
    ChatStreamStatusSchema,
    {
      QUEUED: 'did you mean CHAT_STREAM_STATUS_PENDING?',
      RUNNING: 'did you mean CHAT_STREAM_STATUS_PROCESSING?',
      IN_PROGRESS: 'did you mean CHAT_STREAM_STATUS_PROCESSING?',
      DONE: 'did you mean CHAT_STREAM_STATUS_COMPLETED?',
      SUCCEEDED: 'did you mean CHAT_STREAM_STATUS_COMPLETED?',
      FINISHED: 'did you mean CHAT_STREAM_STATUS_COMPLETED?',
    },
  ],
  [
    ThinkingEffortSchema,
    {
      MINIMAL: 'did you mean THINKING_EFFORT_LOW?',
      MAX: 'did you mean THINKING_EFFORT_HIGH?',
      XHIGH: 'did you mean THINKING_EFFORT_HIGH?',
    },
  ],
  [
    ToolChoiceModeSchema,
    {
      REQUIRED: 'did you mean TOOL_CHOICE_MODE_ANY?',
      FUNCTION: 'did you mean TOOL_CHOICE_MODE_NAMED?',
      TOOL: 'did you mean TOOL_CHOICE_MODE_NAMED?',
    },
  ],
]);

const FIELD_HINTS = new Map<DescMessage, Readonly<Record<string, string>>>([
  [
    ChatRequestSchema,
    {
      max_completion_tokens: 'did you mean max_tokens?',
      max_output_tokens: 'did you mean max_tokens?',
      stop_sequences: 'did you mean stop?',
      reasoning_effort: 'did you mean thinking.effort?',
      reasoning: 'did you mean thinking?',
      system_prompt: 'did you mean system.text?',
      functions: 'did you mean tools?',
      parallel_tool_calls: 'did you mean tool_choice.parallel?',
      timeout: 'did you mean limits.run_timeout?',
      prompt: 'did you mean messages?',
      user: 'did you mean metadata or correlation_id?',
      n: 'a chat has one answer',
    },
  ],
  [
    ContentBlockSchema,
    { type: kindHint(ContentBlockSchema), image_url: 'did you mean image.url?' },
  ],
  [
    ToolSchema,
    {
      type: kindHint(ToolSchema),
      function: 'did you mean client?',
      name: 'did you mean client.name, or server.name for a tool that Tailrace runs?',
    },
  ],
  [ClientToolSchema, { parameters: 'did you mean input_schema?' }],
  [
    ResponseFormatSchema,
    { type: kindHint(ResponseFormatSchema), json_object: 'did you mean json_schema?' },
  ],
  [SystemSchema, { content: 'did you mean text?', prompt: 'did you mean text?' }],
]);

/** For `type`, by which others tell apart what here has a field for each kind. */
function kindHint(desc: DescMessage): string {
  return `the kind is the name of the field, as in ${exampleOf(desc)}`;
}

/** For a name that the enum does not have. */
export function enumHint(desc: DescEnum, value: JsonValue): string {
  if (typeof value !== 'string') return '';
  const prefix = (desc.sharedPrefix ?? '').toUpperCase();
  const own = desc.values.flatMap(({ name, number }) =>
    number === 0 ? [] : [[withoutPrefix(name, prefix), `did you mean ${name}?`] as const],
  );
  const hints = new Map([...Object.entries(VALUE_HINTS.get(desc) ?? {}), ...own]);
  const given = withoutPrefix(value.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_'), prefix);
  const meant = hints.has(given) ? given : nearest(given, [...hints.keys()]);
  return meant === undefined ? '' : `; ${hints.get(meant)}`;
}

/** Also without part of it, or with it behind: STATUS_FAILED and FULL_VIEW are clear. */
function withoutPrefix(name: string, prefix: string): string {
  if (name.startsWith(prefix)) return name.slice(prefix.length);
  const words = name.split('_');
  const own = new Set(prefix.split('_'));
  while (words.length > 1 && own.has(words[0] ?? '')) words.shift();
  while (words.length > 1 && own.has(words.at(-1) ?? '')) words.pop();
  return words.join('_');
}

/** For a key that the message does not have. */
export function unknownFieldHint(desc: DescMessage, key: string): string {
  const hints = FIELD_HINTS.get(desc) ?? {};
  if (Object.hasOwn(hints, key)) return `; ${hints[key]}`;
  const byLetters = new Map(desc.fields.map(({ name }) => [lettersOf(name), name] as const));
  const letters = lettersOf(key);
  const near =
    byLetters.get(letters) ??
    innerField(desc, key) ??
    byLetters.get(nearest(letters, [...byLetters.keys()]) ?? '') ??
    onlyFieldThatEnds(desc, key);
  if (near !== undefined) return `; did you mean ${near}?`;
  const names = desc.fields.map(({ name }) => name);
  return names.length > 0 && names.length <= FEW_FIELDS ? `; there are: ${names.join(', ')}` : '';
}

function lettersOf(name: string): string {
  return name.replaceAll(/[-_]/g, '').toLowerCase();
}

/** One level too high: what belongs into the request stands beside it. */
function innerField(desc: DescMessage, key: string): string | undefined {
  for (const field of desc.fields) {
    if (field.fieldKind !== 'message') continue;
    const inner = field.message.fields.find((f) => f.name === key || f.jsonName === key);
    if (inner) return `${field.name}.${inner.name}`;
  }
  return undefined;
}

/** `id` for `stream_id`. */
function onlyFieldThatEnds(desc: DescMessage, key: string): string | undefined {
  const found = desc.fields.filter(({ name }) => name.endsWith(`_${key}`));
  return found.length === 1 ? found[0]?.name : undefined;
}
