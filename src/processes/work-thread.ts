// How the thread of such a process begins: it says that it is there, and then answers each job with one reply.
import { parentPort } from 'node:worker_threads';

/** What `answer` rejects with ends the process. Undefined is no reply: that of another job counts for it. */
export function answerJobs(answer: (job: never) => Promise<object | undefined>): void {
  parentPort?.on('message', (job: unknown) => {
    void answer(job as never).then((reply) => {
      if (reply !== undefined) parentPort?.postMessage(reply);
    });
  });
  parentPort?.postMessage('ready');
}
