// The process that reads documents. Its thread reads; this side only watches time and memory, so that a
// document which holds the thread in a loop or fills its buffers is ended all the same.
import { Worker } from 'node:worker_threads';
import type { DocumentReading } from '../chat/ports/document.ts';
import type { ReaderBounds, ReadJob, ReadReply } from './reader-protocol.ts';
import { tooLong, tooMuchMemory } from './unreadable.ts';

const WATCH_EVERY_MS = 20;

const bounds = JSON.parse(process.argv[2] ?? '') as ReaderBounds;
const entry = import.meta.url.endsWith('.ts') ? './reader-thread.ts' : './reader-thread.js';

let thread: Worker | undefined;

/** Buffers lie outside the heap that resourceLimits bounds: the process is watched for them. */
function threadOf(): Worker {
  if (thread !== undefined) return thread;
  thread = new Worker(new URL(entry, import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: bounds.heapMib },
  });
  // What a thread that is being ended still says is no news.
  thread.on('error', () => undefined);
  return thread;
}

function read(job: ReadJob): Promise<DocumentReading> {
  const { promise, resolve } = Promise.withResolvers<DocumentReading>();
  const worker = threadOf();
  const end = (unreadable: string): void => {
    thread = undefined;
    void worker.terminate();
    resolve({ unreadable });
  };
  const timer = setTimeout(() => end(tooLong(bounds.readMs)), bounds.readMs);
  const watch = setInterval(() => {
    if (process.memoryUsage.rss() > bounds.memoryBytes) end(tooMuchMemory(bounds.memoryBytes));
  }, WATCH_EVERY_MS);
  const onError = (error: Error & { code?: string }): void => {
    const memory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    end(memory ? tooMuchMemory(bounds.memoryBytes) : `is a broken ${job.kind.toUpperCase()}`);
  };
  worker.once('message', resolve).once('error', onError);
  worker.postMessage(job);
  return promise.finally(() => {
    clearTimeout(timer);
    clearInterval(watch);
    worker.off('message', resolve).off('error', onError);
  });
}

process.on('message', (job) => {
  void read(job as ReadJob).then((reading) => {
    // Memory that was once taken is seldom given back.
    const last = process.memoryUsage.rss() > bounds.memoryBytes / 2;
    const reply: ReadReply = { reading, last };
    process.send?.(reply, undefined, undefined, () => {
      if (last) process.exit();
    });
  });
});
// Whoever asked is gone.
process.on('disconnect', () => process.exit());
