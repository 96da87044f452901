// A thread for tests of the pool: says again what it is told, or never, and ends its process if it is to.
import { answerJobs } from '../../src/processes/work-thread.ts';

interface Job {
  readonly say: unknown;
  readonly act?: 'exit' | 'die' | 'hang' | 'grow';
}

const kept: Buffer[] = [];

answerJobs(async ({ act, say }: Job): Promise<object | undefined> => {
  if (act === 'exit') process.exit(3);
  if (act === 'die') process.kill(process.pid, 'SIGKILL');
  if (act === 'hang') return undefined;
  if (act === 'grow') {
    for (;;) kept.push(Buffer.alloc(16 * 1024 * 1024, 'a'));
  }
  return Promise.resolve({ pid: process.pid, said: say });
});
