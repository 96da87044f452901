// The process that queries databases. Its thread does; this side only watches memory, since a server may send
// whatever it likes, and whether anybody is there: a query of a worker that is gone is called off.
import { Worker } from 'node:worker_threads';
import { DATABASE_CANCEL_MS } from '../../chat/limits.ts';
import type { DatabaseJob } from './database-protocol.ts';

const WATCH_EVERY_MS = 20;

const memoryBytes = Number(process.argv[2]);
const entry = import.meta.url.endsWith('.ts') ? './database-thread.ts' : './database-thread.js';

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

const thread = new Worker(new URL(entry, import.meta.url));
let watch: NodeJS.Timeout | undefined;

thread.on('message', (reply: unknown) => {
  clearInterval(watch);
  if (process.connected) process.send?.(reply);
  else end();
});
thread.on('error', (error: Error & { code?: string }) => {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') end();
  // A fault of ours.
  else process.exit(1);
});

process.on('message', (job) => {
  clearInterval(watch);
  watch = setInterval(() => {
    if (process.memoryUsage.rss() > memoryBytes) end();
  }, WATCH_EVERY_MS);
  thread.postMessage(job);
});
process.on('disconnect', () => {
  const job: DatabaseJob = { do: 'cancel' };
  thread.postMessage(job);
  setTimeout(end, DATABASE_CANCEL_MS);
});
