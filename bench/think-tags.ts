// What it costs a token that the text is looked at for reasoning between tags: the answer is read with
// and without, from the same events.
import type { ModelSink } from '../src/chat/ports/model.ts';
import { createAnswer } from '../src/model/answer/answer.ts';
import { THINK_TAGS, type ThinkTags } from '../src/model/dialects/think-tags.ts';

export interface TagFigures {
  /** Reading an event of one token, µs. */
  readonly eventUs: number;
  /** What the tags add to it while the model reasons, and while it answers. */
  readonly thinkingUs: number;
  readonly textUs: number;
}

const TOKENS = 200_000;
const ROUNDS = 7;
const WORDS = [' the', ' water', ' <b>', ' x < y', '.', ' wheel', '\n', ' tail', 'race', ' </'];

/** By turns, and of each the best: the others had the compiler, the collector or a neighbour in them. */
export function tagCost(): TagFigures {
  const events = Array.from({ length: TOKENS }, (_, i) => eventOf(WORDS[i % WORDS.length] ?? ''));
  const thinking = [eventOf('<think>'), ...events];
  let [plain, thought, text] = [Infinity, Infinity, Infinity];
  for (let round = 0; round < ROUNDS; round++) {
    plain = Math.min(plain, read(events, undefined));
    thought = Math.min(thought, read(thinking, THINK_TAGS));
    text = Math.min(text, read(events, THINK_TAGS));
  }
  return { eventUs: plain, thinkingUs: thought - plain, textUs: text - plain };
}

function eventOf(content: string): string {
  return JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'test-model',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  });
}

/** µs for each event. */
function read(events: readonly string[], thinkTags: ThinkTags | undefined): number {
  const answer = createAnswer(SINK, { stops: [], tools: false, mostTokens: undefined, thinkTags });
  const begun = performance.now();
  for (const event of events) answer.take(event, '', false);
  return ((performance.now() - begun) * 1_000) / events.length;
}

const ignore = (): void => {};
const SINK: ModelSink = {
  text: ignore,
  thinking: ignore,
  signature: ignore,
  toolUse: ignore,
  toolInput: ignore,
  usage: ignore,
  warning: ignore,
  pressure: () => undefined,
};
