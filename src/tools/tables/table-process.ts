// The process that queries tables. Its thread holds them; this side only watches memory and whether
// anybody is there, since a query in SQLite can be neither interrupted nor ended with its thread.
import { Worker } from 'node:worker_threads';

const WATCH_EVERY_MS = 20;

const memoryBytes = Number(process.argv[2]);
const entry = import.meta.url.endsWith('.ts') ? './table-thread.ts' : './table-thread.js';

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

const thread = new Worker(new URL(entry, import.meta.url));
let watch: NodeJS.Timeout | undefined;

thread.on('message', (reply: unknown) => {
  clearInterval(watch);
  process.send?.(reply);
});
thread.on('error', (error: Error & { code?: string }) => {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') end();
  // A fault of ours.
  else process.exit(1);
});

process.on('message', (job) => {
  watch = setInterval(() => {
    if (process.memoryUsage.rss() > memoryBytes) end();
  }, WATCH_EVERY_MS);
  thread.postMessage(job);
});
process.on('disconnect', end);
