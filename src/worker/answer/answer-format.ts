// An answer by a schema: whether what a turn has said is the JSON that was asked for, and how the model
// is asked once more where it is not.
import { create } from '@bufbuild/protobuf';
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { FailureReason, StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Message } from '../../../gen/tailrace/v1/content_pb.ts';
import { MessageSchema, Role } from '../../../gen/tailrace/v1/content_pb.ts';
import {
  MAX_OUTPUT_JSON_BYTES,
  MAX_OUTPUT_JSON_DEPTH,
  MAX_REPAIR_SCHEMA_CHARS,
} from '../../chat/limits.ts';
import type { End } from '../../chat/decisions/terminal.ts';
import { type AnswerSchema, answerSchema } from '../../tools/schemas/answer-schema.ts';

export interface AnswerFormat {
  readonly schema: AnswerSchema;
  readonly schemaText: string;
  /** The answer is the input of a call of this tool; undefined: it is text. */
  readonly tool?: string;
}

type Completed = Extract<End, { readonly kind: 'completed' }>;

/** What a completed turn comes to. */
export type Judged =
  | { readonly end: End }
  /** The model is asked once more, with these sentences. */
  | { readonly violations: readonly string[] };

/** Undefined: free text. */
export function answerFormat({ responseFormat, tools }: ChatRequest): AnswerFormat | undefined {
  const format = responseFormat?.format;
  switch (format?.case) {
    case 'jsonSchema':
      return { ...compiled(format.value.schema) };
    case 'tool': {
      const { name } = format.value;
      const kinds = tools.map(({ kind }) => kind);
      const tool = kinds.find((kind) => kind.case === 'client' && kind.value.name === name);
      const schema = tool?.case === 'client' ? tool.value.inputSchema : '';
      return { ...compiled(schema === '' ? '{"type":"object"}' : schema), tool: name };
    }
    default:
      return undefined;
  }
}

function compiled(schemaText: string): Pick<AnswerFormat, 'schema' | 'schemaText'> {
  const compiled = answerSchema(schemaText);
  // The door has compiled it, by the same rules.
  if (!compiled.ok) throw new Error(`The schema of the answer ${compiled.why}`);
  return { schema: compiled.schema, schemaText };
}

/** Ends by which the model was done; after the others an answer is short, and may be no JSON. */
const IS_WHOLE: ReadonlySet<StopReason> = new Set([StopReason.END_TURN, StopReason.STOP_SEQUENCE]);

const CALLED: ReadonlySet<StopReason> = new Set([StopReason.TOOL_USE]);

/** By the request's own max_tokens, or by what was left of its budget. */
const IS_CUT: ReadonlySet<StopReason> = new Set([StopReason.MAX_TOKENS, StopReason.BUDGET]);

/** `text`: what the turn has said, or the input of the call that is the answer. */
export function judge({ schema, tool }: AnswerFormat, text: string, end: Completed): Judged {
  const whole = tool === undefined ? IS_WHOLE.has(end.stopReason) : CALLED.has(end.stopReason);
  if (!whole && !IS_CUT.has(end.stopReason)) return { end };
  const what = tool === undefined ? 'the answer' : 'the input';
  const read = readJson(text, what);
  // Cut off, but not within the JSON: a number or a word may go on where it seems to end.
  if (!whole && (read.violation !== undefined || !/[}\]"]$/.test(read.json))) return { end };
  if (read.violation !== undefined) return { violations: [read.violation] };
  const verdict = schema.check(read.value, what);
  if (verdict.fits === true) {
    if (Buffer.byteLength(read.json) > MAX_OUTPUT_JSON_BYTES) return { end: tooLarge() };
    return { end: { ...end, outputJson: read.json } };
  }
  if (!whole) return { end };
  return verdict.fits === false ? { violations: verdict.violations } : { end: tooCostly() };
}

type ReadJson =
  | { readonly json: string; readonly value: unknown; readonly violation?: undefined }
  | { readonly violation: string };

/** The JSON text, or one Markdown fence around it, as models without a grammar like to write. */
function readJson(text: string, what: string): ReadJson {
  const json = unfenced(text.trim());
  if (json === '') return { violation: `${what} is empty; JSON is wanted` };
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    // Only the place: the engine's own words quote the text.
    const at = /at position \d+( \(line \d+ column \d+\))?/.exec(String(error))?.[0];
    const where = at === undefined ? 'it breaks off' : `it breaks ${at}`;
    return {
      violation: `${what} is not JSON: ${where}; JSON alone is wanted, without other words`,
    };
  }
  if (depthOf(value) > MAX_OUTPUT_JSON_DEPTH) {
    return { violation: `${what} is nested more than ${MAX_OUTPUT_JSON_DEPTH} levels deep` };
  }
  return { json, value };
}

const FENCE = '```';

function unfenced(text: string): string {
  if (!text.startsWith(FENCE)) return text;
  const firstLine = text.indexOf('\n');
  const language = text.slice(FENCE.length, firstLine).trim().toLowerCase();
  if (firstLine < 0 || (language !== '' && language !== 'json')) return text;
  const inner = text.slice(firstLine + 1);
  // A stop text may have been what the model ends it with.
  return (inner.endsWith(FENCE) ? inner.slice(0, -FENCE.length) : inner).trim();
}

function depthOf(value: unknown): number {
  let depth = 0;
  let level = [value];
  while (level.length > 0 && depth <= MAX_OUTPUT_JSON_DEPTH) {
    const inner = level.filter((each) => typeof each === 'object' && each !== null);
    if (inner.length === 0) break;
    depth += 1;
    level = inner.flatMap((each) => Object.values(each) as unknown[]);
  }
  return depth;
}

/** What is said to the model after an answer that does not fit. */
export function repairRequest(
  { schemaText, tool }: AnswerFormat,
  violations: readonly string[],
): string {
  const schema =
    schemaText.length <= MAX_REPAIR_SCHEMA_CHARS ? `\n\nThe JSON Schema is: ${schemaText}` : '';
  const [what, again] =
    tool === undefined
      ? ['Your answer', 'Answer again, with the corrected JSON alone.']
      : [`The input of your call of "${tool}"`, 'Call it again, with the corrected input.'];
  const list = violations.join('\n- ');
  return `${what} does not fit the JSON Schema that it must fit:\n- ${list}\n\n${again}${schema}`;
}

/** What the model has said, and what is wanted instead. */
export function askedAgain(text: string, wanted: string): Message[] {
  // Templates want the roles in turns, and an answer that is not empty.
  return [said(Role.ASSISTANT, text.trim() === '' ? '…' : text), said(Role.USER, wanted)];
}

function said(role: Role, text: string): Message {
  return create(MessageSchema, { role, content: [{ block: { case: 'text', value: text } }] });
}

export function schemaNotMet(
  format: AnswerFormat | undefined,
  violations: readonly string[],
  asked: boolean,
): End {
  const { tool } = format ?? {};
  const what = tool === undefined ? 'The answer' : `The input of the call of "${tool}"`;
  const again = asked ? ', also after the model was asked again' : '';
  return {
    kind: 'failed',
    reason: FailureReason.SCHEMA_NOT_MET,
    message:
      `${what} does not fit the schema${again}: ` +
      `${violations.join('; ')}. Simplify the schema, or choose a model that keeps to it.`,
    retryable: true,
  };
}

function tooCostly(): End {
  return {
    kind: 'failed',
    reason: FailureReason.SCHEMA_NOT_MET,
    message:
      'The answer could not be checked against the schema within the bounds of this server: the schema ' +
      'applies too much to so large an answer. Simplify it, or ask for less.',
    retryable: false,
  };
}

function tooLarge(): End {
  return {
    kind: 'failed',
    reason: FailureReason.OUTPUT_TOO_LARGE,
    message:
      `The JSON of the answer has more than ${MAX_OUTPUT_JSON_BYTES} bytes, the most that the last ` +
      'event may hold. Ask for less.',
    retryable: false,
  };
}
