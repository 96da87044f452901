// The flags that say what the model is asked, and the request that they and a file make together. Flags win over
// the file; a message given on the command line comes after the file's messages.
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { type Command, Option } from 'commander';
import { basename, extname } from 'node:path';
import { IMAGE_TYPES, imageTypeOf } from '../../chat/media-type.ts';
import { usageFailure } from '../outcome/failure.ts';
import { readInput, readText } from './input.ts';
import { addPair, addText, parseNumber, parseWhole } from './values.ts';

export interface RequestFlags {
  readonly model?: string;
  readonly system?: string;
  readonly guidelines?: string;
  readonly defaultPrompt?: boolean;
  readonly image?: readonly string[];
  readonly document?: readonly string[];
  readonly schema?: string;
  readonly thinking?: string | true;
  readonly stream?: boolean;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly priority?: number;
  readonly correlationId?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly strict?: true;
}

/** What chat and initiate have in common. */
export function withRequestFlags(command: Command): Command {
  return command
    .optionsGroup('What is asked:')
    .option('-m, --model <name>', 'the model; default: the first of `tailrace models`')
    .option('-s, --system <text>', 'the system text')
    .option('--guidelines <name>', 'which of the operator’s guidelines to follow')
    .option('--default-prompt', 'use the operator’s default prompt')
    .option('--no-default-prompt', 'leave it out')
    .option('--image <file or url>', 'an image for the message; may be repeated', addText)
    .option('--document <file or url>', 'a document for the message; may be repeated', addText)
    .option('--schema <file>', 'a JSON Schema that the answer must fit')
    .addOption(
      new Option('--thinking [effort]', 'let it reason').choices(['low', 'medium', 'high']),
    )
    .option('--max-tokens <count>', 'the most tokens of one model call', parseWhole)
    .option('--temperature <number>', '0 to 2', parseNumber)
    .option('--top-p <number>', '0 to 1', parseNumber)
    .option('--top-k <count>', 'from 0 on', parseWhole)
    .option('--min-p <number>', '0 to 1', parseNumber)
    .option('--seed <number>', 'the same seed, more or less the same answer', parseWhole)
    .option('--stop <text>', 'end where it says this; may be repeated', addText)
    .option('--priority <level>', '0 is soonest, 9 latest', parseWhole)
    .option('--correlation-id <id>', 'your own trace id')
    .option('--metadata <key=value>', 'kept with the chat; may be repeated', addPair('key=value'))
    .option('--strict', 'refuse what the model’s server does not read, instead of warning')
    .optionsGroup('Options:');
}

/** The request's fields but its messages. */
export async function fieldsOf(flags: RequestFlags): Promise<JsonObject> {
  const { system, guidelines, defaultPrompt, schema, thinking } = flags;
  const systemFields = given({
    text: system,
    guidelines,
    use_default_prompt: defaultPrompt,
  });
  return given({
    model: flags.model,
    system: Object.keys(systemFields).length === 0 ? undefined : systemFields,
    response_format: schema === undefined ? undefined : await schemaFormat(schema),
    thinking: thinking === undefined ? undefined : thinkingOf(thinking),
    max_tokens: flags.maxTokens,
    temperature: flags.temperature,
    top_p: flags.topP,
    top_k: flags.topK,
    min_p: flags.minP,
    seed: flags.seed,
    stop: flags.stop === undefined ? undefined : [...flags.stop],
    priority: flags.priority,
    correlation_id: flags.correlationId,
    metadata: flags.metadata === undefined ? undefined : { ...flags.metadata },
    strict: flags.strict,
  });
}

/** A message of the user; undefined where there is nothing to say. */
export async function userMessage(
  text: string | undefined,
  flags: RequestFlags,
): Promise<JsonObject | undefined> {
  const content: JsonObject[] = [];
  for (const source of flags.document ?? []) content.push({ document: await documentOf(source) });
  for (const source of flags.image ?? []) content.push({ image: await imageOf(source) });
  if (text !== undefined) content.push({ text });
  return content.length === 0 ? undefined : { role: 'ROLE_USER', content };
}

/** `fields` and `message` over what a file says. */
export function requestFrom(
  inFile: JsonObject,
  fields: JsonObject,
  message: JsonObject | undefined,
): JsonObject {
  const before = inFile['messages'];
  if (message === undefined) return { ...inFile, ...merged(inFile, fields) };
  if (before !== undefined && !Array.isArray(before)) {
    throw usageFailure('request.messages in the file must be a list: [{role, content}, …].');
  }
  return { ...inFile, ...merged(inFile, fields), messages: [...(before ?? []), message] };
}

/** Flags of one message field leave the others of the file in place. */
function merged(inFile: JsonObject, fields: JsonObject): JsonObject {
  const out = { ...fields };
  for (const name of ['system', 'metadata']) {
    const [below, over] = [inFile[name], fields[name]];
    if (isObject(below) && isObject(over)) out[name] = { ...below, ...over };
  }
  return out;
}

export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function given(fields: Readonly<Record<string, JsonValue | undefined>>): JsonObject {
  const out: JsonObject = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) out[name] = value;
  return out;
}

async function schemaFormat(file: string): Promise<JsonObject> {
  const schema = await readText(file);
  return { json_schema: { name: 'answer', schema, strict: true } };
}

function thinkingOf(effort: string | true): JsonObject {
  if (effort === true) return { enabled: true };
  return { enabled: true, effort: `THINKING_EFFORT_${effort.toUpperCase()}` };
}

function isUrl(source: string): boolean {
  return /^https?:\/\//i.test(source);
}

async function imageOf(source: string): Promise<JsonObject> {
  if (isUrl(source)) return { url: source };
  const bytes = await readInput(source);
  const type = imageTypeOf(bytes);
  if (type !== undefined) return { data: bytes.toString('base64'), media_type: type };
  throw usageFailure(
    `${source} is none of the images that model servers take: ${IMAGE_TYPES.join(', ')}.`,
    'convert it, or give it with --document.',
  );
}

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.pdf': 'application/pdf',
  '.docx': 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  '.html': 'text/html',
  '.htm': 'text/html',
  '.md': 'text/markdown',
  '.csv': 'text/csv',
};

async function documentOf(source: string): Promise<JsonObject> {
  if (isUrl(source)) return { url: source };
  return {
    title: basename(source),
    data: (await readInput(source)).toString('base64'),
    media_type: MEDIA_TYPES[extname(source).toLowerCase()] ?? 'text/plain',
  };
}
