// From the call of CancelChatStream to the end of the chat, at each place where it can be seen: the
// model server is in this process, so that one clock sees them all.
import { randomUUID } from 'node:crypto';
import { startModelServer } from '../test/model-server/model-server.ts';
import { grpcLoad } from './load.ts';
import { startTailraceProcess } from './processes.ts';
import type { Summary } from './stats.ts';
import { summary } from './stats.ts';

export interface CancelFigures {
  /** The model server's socket of the call is closed. */
  readonly upstreamClosed: Summary;
  /** An observer has `cancelled` and its stream has ended: it is in the log, and more. */
  readonly observed: Summary;
  /** The call is answered. */
  readonly answered: Summary;
}

const INTERVAL_MS = 20;

/** One chat after another is cancelled while `others` run, all at 50 tokens a second. */
export async function cancelRunning(count: number, others: number): Promise<CancelFigures> {
  await using model = await startModelServer({ keptRequests: others + 10 });
  await using tailrace = await startTailraceProcess(model.url);
  const load = grpcLoad(tailrace.url);
  const ignore = (): void => undefined;
  const endless = { fault: 'endless', interval_ms: INTERVAL_MS } as const;
  const running = await Promise.all(Array.from({ length: others }, () => load.initiate(endless)));
  const watched = running.map((streamId) => load.observe(streamId, ignore));
  await model.waitForActive(others);

  const upstreamClosed: number[] = [];
  const observed: number[] = [];
  const answered: number[] = [];
  for (let i = 0; i < count; i++) {
    const id = randomUUID();
    const streamId = await load.initiate({ ...endless, id });
    const begun = Promise.withResolvers<void>();
    const seen = load.observe(streamId, () => begun.resolve());
    await begun.promise;
    const call = model.requests.findLast(({ body }) => JSON.stringify(body).includes(id));
    if (call === undefined) throw new Error('the model server was not asked');
    const cancelledMs = performance.now();
    const note = (times: number[]) => () => void times.push(performance.now() - cancelledMs);
    await Promise.all([
      call.ended.then(note(upstreamClosed)),
      seen.then(note(observed)),
      load.cancel(streamId).then(note(answered)),
    ]);
  }
  await Promise.all(running.map((streamId) => load.cancel(streamId)));
  await Promise.all(watched);
  load.close();
  return {
    upstreamClosed: summary(upstreamClosed),
    observed: summary(observed),
    answered: summary(answered),
  };
}
