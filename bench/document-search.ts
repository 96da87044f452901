// document_search over 1,000 pages: how long the index takes, how long it holds the process at a time,
// and how long a query takes then, by words alone and with vectors whose endpoint takes no time.
// `node bench/document-search.ts`.
import { create } from '@bufbuild/protobuf';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { ChatRequestSchema } from '../gen/tailrace/v1/chat_request_pb.ts';
import type { Embedder } from '../src/chat/ports/embedding.ts';
import { EMBEDDINGS_BATCH } from '../src/chat/limits.ts';
import type { ServerTool } from '../src/chat/ports/tool.ts';
import { documentSearchTool } from '../src/tools/search/document-search.ts';
import { summary } from './stats.ts';
import { traceparentOf } from '../src/chat/trace.ts';
import { toolRunScope } from '../test/support/chats/tool-run-scope.ts';

const PAGES = 1_000;
const PAGE_CHARS = 3_000;
const DOCUMENTS = 20;
const VOCABULARY = 30_000;
const QUERIES = 300;
const DIMENSIONS = 1_024;
const SYLLABLES = ['ba', 'den', 'fir', 'gol', 'hu', 'kes', 'lim', 'mor', 'na', 'pri', 'ste', 'vu'];

/** The same pages each time. */
let seed = 7;
function random(): number {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
}

/** As words of a language are: few of them are most of a text. */
function word(): string {
  let rest = Math.floor(VOCABULARY ** random());
  let made = '';
  do {
    made += SYLLABLES[rest % SYLLABLES.length] ?? '';
    rest = Math.floor(rest / SYLLABLES.length);
  } while (rest > 0);
  return made;
}

function page(): string {
  const words: string[] = [];
  for (let chars = 0; chars < PAGE_CHARS;) {
    const next = random() < 0.08 ? `${word()}.${random() < 0.2 ? '\n\n' : ''}` : word();
    words.push(next);
    chars += next.length + 1;
  }
  return words.join(' ');
}

const texts = Array.from({ length: DOCUMENTS }, () =>
  Array.from({ length: PAGES / DOCUMENTS }, page).join('\n\n'),
);
const request = create(ChatRequestSchema, {
  toolContext: texts.map((value, i) => {
    const document = { source: { case: 'text', value } } as const;
    return { name: `report ${i}`, item: { case: 'document', value: document } } as const;
  }),
});
const { signal } = new AbortController();
const chars = texts.reduce((sum, text) => sum + text.length, 0);

/** In no direction in particular. */
function vector(): Float32Array {
  const made = Float32Array.from({ length: DIMENSIONS }, () => random() - 0.5);
  const length = Math.hypot(...made);
  return made.map((value) => value / length);
}

const instant: Embedder = {
  batchSize: EMBEDDINGS_BATCH,
  embed: (_, given) => Promise.resolve(given.map(vector)),
};
const run = toolRunScope(({ message }) => {
  throw new Error(message);
});

async function measure(what: string, tool: ServerTool): Promise<void> {
  const before = process.memoryUsage.rss();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const begun = performance.now();
  await tool.call({ query: word() }, signal, traceparentOf(null));
  const indexMs = performance.now() - begun;
  delay.disable();
  const mib = (process.memoryUsage.rss() - before) / 1024 / 1024;
  process.stdout.write(
    `${what}: first call ${indexMs.toFixed(0)} ms, the loop held ${(delay.max / 1e6).toFixed(1)} ms at most, ${mib.toFixed(0)} MiB\n`,
  );
  for (const words of [1, 5, 20, 64]) {
    const times: number[] = [];
    const cpu = process.cpuUsage();
    for (let i = 0; i < QUERIES; i++) {
      const query = Array.from({ length: words }, word).join(' ');
      const asked = performance.now();
      await tool.call({ query, limit: 20 }, signal, traceparentOf(null));
      times.push(performance.now() - asked);
    }
    const { user, system } = process.cpuUsage(cpu);
    const cpuMs = (user + system) / 1_000 / QUERIES;
    const { p50, p99, max } = summary(times);
    process.stdout.write(
      `  query of ${words} words: p50 ${p50.toFixed(2)}  p99 ${p99.toFixed(2)}  max ${max.toFixed(1)} ms; CPU ${cpuMs.toFixed(2)} ms each\n`,
    );
  }
}

process.stdout.write(`${PAGES} pages, ${(chars / 1e6).toFixed(1)} MB\n`);
await measure('words', documentSearchTool(request));
await measure(
  `words and vectors of ${DIMENSIONS} dimensions (the index is there)`,
  documentSearchTool(request, { embedder: instant, run }),
);
