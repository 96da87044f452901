// What a test or a load asks of the test model server: JSON as the last user message.
import * as z from 'zod';

/** Faults that hit in the middle of the answer. */
const BREAKS = [
  /** After `after` deltas the connection is closed in the middle of the answer. */
  'cut',
  /** The same, inside a line and inside a UTF-8 character. */
  'cut_in_character',
  /** The same, with a TCP reset. */
  'reset',
  /** After `after` deltas the answer ends as if it were whole, without finish or [DONE]. */
  'end',
  /** After `after` deltas nothing more comes. */
  'silence',
  /** After `after` deltas an error object comes. */
  'error_in_stream',
  /** After `after` deltas a line comes that is not JSON. */
  'bad_json',
] as const;
export type Break = (typeof BREAKS)[number];

const FAULTS = [
  ...BREAKS,
  /** Answers with `status`. */
  'status',
  /** Takes the request and never answers. */
  'hang',
  /** Closes the connection before it answers. */
  'refuse',
  /** Goes on until the client leaves. */
  'endless',
  /** Two chunks with a finish_reason; the second one lies. */
  'finish_twice',
  /** No [DONE]. */
  'no_done',
  /** No finish_reason. */
  'no_finish',
  /** Everything but [DONE] comes, and the connection stays open. */
  'open_after_finish',
  /** Everything comes, and the connection stays open. */
  'open_after_done',
] as const;

const count = z.int().min(0);
const ms = z.number().min(0);

const callSchema = z.strictObject({
  /** Default: none is given, as some servers do. */
  id: z.string().optional(),
  name: z.string(),
  /** As JSON text, whole or in these pieces. */
  input: z.union([z.string(), z.array(z.string())]).default('{}'),
  /** Default: its place. null: none is given. */
  index: z.int().nullable().optional(),
});

const scriptSchema = z.strictObject({
  /** Deltas of text; each holds its number and when it was written: `<n>:<epoch µs> `. */
  tokens: count.default(5),
  /** 0: as fast as the client reads. */
  interval_ms: ms.default(0),
  /** Between the head of the answer and its first delta. */
  first_ms: ms.default(0),
  /** While nothing else is written, a comment comes this often. */
  comment_ms: ms.optional(),
  /** Deltas of reasoning before the text. */
  thinking: count.default(0),
  thinking_field: z.enum(['reasoning_content', 'reasoning']).default('reasoning_content'),
  refusal: z.boolean().default(false),
  /** Each delta is padded to this size. */
  delta_bytes: count.optional(),
  /** These deltas instead of numbered ones. */
  text: z.array(z.string()).optional(),
  /** Calls of tools, after the text. */
  calls: z.array(callSchema).default([]),
  /** Their pieces come by turns instead of call by call. */
  interleave: z.boolean().default(false),
  /** What the answers are to the tools' results: a script for each round, the last one for all others. */
  rounds: z.array(z.unknown()).default([]),
  /** These bytes (as UTF-8) instead of a whole answer. */
  raw: z.string().optional(),
  /** Default: "stop", after calls "tool_calls". */
  finish: z.string().optional(),
  /** A script: the answer once the user has gone on in words that are none. */
  again: z.unknown().optional(),
  stop_reason: z.union([z.string(), z.number()]).optional(),
  matched_stop: z.union([z.string(), z.number()]).optional(),
  usage: z.enum(['last', 'with_finish', 'every', 'none', 'only']).default('last'),
  line_end: z.enum(['\n', '\r\n', '\r']).default('\n'),
  /** The answer comes in pieces of this many bytes, wherever they cut. */
  split_bytes: z.int().min(1).optional(),
  encoding: z.enum(['identity', 'gzip', 'br']).default('identity'),
  content_type: z.string().default('text/event-stream; charset=utf-8'),
  fault: z.enum(FAULTS).optional(),
  /** Default: half of the tokens. */
  after: count.optional(),
  /** The fault hits so many requests with this very script; later ones are answered in full. */
  times: count.optional(),
  /** The fault, or `raw`, is for requests of this model alone. */
  fault_of: z.string().optional(),
  status: z.int().min(300).max(599).default(500),
  retry_after: z.union([z.string(), z.number()]).optional(),
  retry_after_ms: z.number().optional(),
  /** The error object of `status` and `error_in_stream`. */
  error: z.record(z.string(), z.unknown()).optional(),
  /** Tells requests apart that are alike otherwise. */
  id: z.string().optional(),
});

export type Script = z.output<typeof scriptSchema>;
/** What a test writes: every field may be left out. */
export type ScriptInput = z.input<typeof scriptSchema>;

const PLAIN_WORDS = 'Water that has done its work at the wheel leaves by the tailrace .'.split(' ');

export function breakOf({ fault }: Script): Break | undefined {
  return BREAKS.find((name) => name === fault);
}

/**
 * `round`: how often the model has called tools since that message. Throws if the message is JSON but no
 * script, so that no test runs on a typing error.
 */
export function scriptOf(lastUserMessage: string, round = 0): Script {
  if (!lastUserMessage.startsWith('{')) {
    return scriptSchema.parse({
      text: PLAIN_WORDS.map((word, i) => (i === 0 ? word : ` ${word}`)),
    });
  }
  const first = scriptSchema.parse(JSON.parse(lastUserMessage));
  if (round === 0 || first.rounds.length === 0) return first;
  return scriptSchema.parse(first.rounds[Math.min(round, first.rounds.length) - 1]);
}

/** The script of a conversation, given what its user has said. */
export function scriptOfUser(said: readonly string[], round: number): Script {
  const last = said.at(-1) ?? '';
  const before = last.startsWith('{') ? undefined : said.findLast((text) => text.startsWith('{'));
  const again = before === undefined ? undefined : scriptOf(before).again;
  return again === undefined ? scriptOf(last, round) : scriptSchema.parse(again);
}

/** The `tool_calls` of each delta, in their order. */
export function callDeltas({ calls, interleave }: Script): object[] {
  const pieces = calls.flatMap((call, place) => {
    const index = call.index === undefined ? place : call.index;
    const at = index === null ? {} : { index };
    const id = call.id === undefined ? {} : { id: call.id };
    const { name } = call;
    const head = { ...at, ...id, type: 'function', function: { name, arguments: '' } };
    const input = typeof call.input === 'string' ? [call.input] : call.input;
    const rest = input.map((text) => ({ ...at, function: { arguments: text } }));
    return [head, ...rest].map((piece, turn) => ({ piece, turn }));
  });
  if (interleave) pieces.sort((a, b) => a.turn - b.turn);
  return pieces.map(({ piece }) => piece);
}
