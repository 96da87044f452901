// A thread for tests of the pool that says again what it is told, once it has taken its time to start.
import { setTimeout } from 'node:timers/promises';

await setTimeout(1_500);
await import('./echo-thread.ts');
