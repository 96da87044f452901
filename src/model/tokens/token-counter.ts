// Tokens are counted in a thread: its tables take 70 MB and a megabyte takes a tenth of a second. It is
// there from the first count on; who has no models with a tokenizer never starts it.
import { Worker } from 'node:worker_threads';
import type { TokenCount, TokenCounter } from '../../chat/request/context-fit.ts';
import { MAX_WAITING_COUNTS, TOKEN_COUNT_MS } from '../../chat/limits.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import type { TokenizerName } from '../../chat/ports/model.ts';
import type { CountJob, CountReply } from './counting-protocol.ts';

const entry = import.meta.url.endsWith('.ts') ? './counting-thread.ts' : './counting-thread.js';
/** The first count by a tokenizer waits for its tables too. */
const LOADING_MS = 3_000;

export interface TokenCounterThread extends TokenCounter, AsyncDisposable {}

export function createTokenCounter(logger: Logger): TokenCounterThread {
  const waiting = new Map<number, (count: TokenCount | undefined) => void>();
  let thread: Worker | undefined;
  const loaded = new Set<TokenizerName>();
  let lastId = 0;
  let closed = false;

  function threadOf(): Worker {
    if (thread !== undefined) return thread;
    const worker = new Worker(new URL(entry, import.meta.url));
    worker.on('message', ({ id, count }: CountReply) => waiting.get(id)?.(count));
    worker.once('error', (error: Error) => {
      logger.error({ err: error }, 'the thread that counts tokens died');
      if (thread === worker) thread = undefined;
      loaded.clear();
      for (const settle of waiting.values()) settle(undefined);
    });
    // It holds up nobody's end.
    worker.unref();
    thread = worker;
    return worker;
  }

  return {
    count: (tokenizer, texts, limit) => {
      if (closed || waiting.size >= MAX_WAITING_COUNTS) return Promise.resolve(undefined);
      const worker = threadOf();
      const id = ++lastId;
      const { promise, resolve } = Promise.withResolvers<TokenCount | undefined>();
      const timer = setTimeout(
        () => resolve(undefined),
        loaded.has(tokenizer) ? TOKEN_COUNT_MS : TOKEN_COUNT_MS + LOADING_MS,
      );
      waiting.set(id, resolve);
      const job: CountJob = { id, tokenizer, texts, limit, withinMs: TOKEN_COUNT_MS };
      worker.postMessage(job);
      return promise.finally(() => {
        loaded.add(tokenizer);
        clearTimeout(timer);
        waiting.delete(id);
      });
    },
    [Symbol.asyncDispose]: async () => {
      closed = true;
      await thread?.terminate();
      for (const settle of waiting.values()) settle(undefined);
    },
  };
}
