// The thread that counts tokens.
import { parentPort } from 'node:worker_threads';
import type { TokenizerName } from '../../chat/ports/model.ts';
import { countWithin } from './count-within.ts';
import type { CountJob, CountReply } from './counting-protocol.ts';

/** Merges that the library remembers; more would fill the memory with what strangers wrote. */
const REMEMBERED_MERGES = 10_000;
/** What looks like a special token in a caller's text is text. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

const counters = new Map<TokenizerName, Promise<(text: string) => number>>();

async function load(tokenizer: TokenizerName): Promise<(text: string) => number> {
  const { countTokens, setMergeCacheSize } =
    tokenizer === 'o200k_base'
      ? await import('gpt-tokenizer/encoding/o200k_base')
      : await import('gpt-tokenizer/encoding/cl100k_base');
  setMergeCacheSize(REMEMBERED_MERGES);
  return (text) => countTokens(text, AS_TEXT);
}

async function answer({ id, tokenizer, texts, limit, withinMs }: CountJob): Promise<CountReply> {
  const counter = counters.get(tokenizer) ?? load(tokenizer);
  counters.set(tokenizer, counter);
  const tokensIn = await counter;
  const deadline = performance.now() + withinMs;
  return { id, count: countWithin(texts, limit, tokensIn, () => performance.now() > deadline) };
}

parentPort?.on('message', (job: CountJob) => {
  void answer(job).then((reply) => parentPort?.postMessage(reply));
});
