// How every process of a pool begins. Its thread does the work; this side only watches memory, since what is
// worked on may take any amount of it, and whether anybody is there, since a thread in a loop cannot be asked to end.
import { Worker } from 'node:worker_threads';
import type { Goodbye, ProcessWork, SentJob } from './process-pool.ts';

const WATCH_EVERY_MS = 20;

const { thread: entry, memoryBytes, heapMib } = JSON.parse(process.argv[2] ?? '') as ProcessWork;

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

const thread = new Worker(new URL(entry), {
  argv: [String(memoryBytes)],
  // Buffers lie outside the heap: the process is watched for them.
  resourceLimits: heapMib === undefined ? {} : { maxOldGenerationSizeMb: heapMib },
});
let watch: NodeJS.Timeout | undefined;
let goodbye: Goodbye | undefined;

thread.on('message', (reply: unknown) => {
  clearInterval(watch);
  goodbye = undefined;
  if (process.connected) process.send?.(reply);
  else end();
});
thread.on('error', (error: Error & { code?: string }) => {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') end();
});
// A fault of ours.
thread.on('exit', () => process.exit(1));

process.on('message', (sent: SentJob) => {
  goodbye = sent.goodbye;
  watch = setInterval(() => {
    if (process.memoryUsage.rss() > memoryBytes) end();
  }, WATCH_EVERY_MS);
  thread.postMessage(sent.job);
});
// It is wanted no more, or whoever asked is gone.
process.on('disconnect', () => {
  if (goodbye === undefined) return end();
  thread.postMessage(goodbye.job);
  setTimeout(end, goodbye.withinMs);
});
