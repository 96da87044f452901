// What is measured, each with the load that it needs.
import type { Load } from './load.ts';
import { nowUs } from './load.ts';
import { cpuOf } from './processes.ts';
import type { Summary } from './stats.ts';
import { summary } from './stats.ts';

export async function initiateAlone(load: Load, count: number): Promise<Summary> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    await load.initiate({ tokens: 1 });
    times.push(performance.now() - started);
  }
  return summary(times);
}

export async function initiateParallel(
  load: Load,
  parallel: number,
  count: number,
): Promise<Summary & { readonly perSecond: number }> {
  const times: number[] = [];
  const started = performance.now();
  let left = count;
  const caller = async (): Promise<void> => {
    while (left-- > 0) {
      const begun = performance.now();
      await load.initiate({ tokens: 1 });
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: parallel }, caller));
  const perSecond = (count / (performance.now() - started)) * 1_000;
  return { ...summary(times), perSecond };
}

/** From the call of initiate to the first delta at the observer, this many chats at once, in rounds. */
export async function firstToken(load: Load, chats: number, rounds: number): Promise<Summary> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const each = async (): Promise<void> => {
      const started = nowUs();
      let first: number | undefined;
      const streamId = await load.initiate({ tokens: 3, interval_ms: 20 });
      await load.observe(streamId, (_, here) => {
        first ??= here;
      });
      if (first !== undefined) times.push((first - started) / 1_000);
    };
    await Promise.all(Array.from({ length: chats }, each));
  }
  return summary(times);
}

export interface TokenFigures {
  /** From the model server's send to the observer, ms. */
  readonly latency: Summary;
  readonly perSecond: number;
  /** CPU seconds for each 10,000 delivered tokens. */
  readonly cpuPer10k: number;
  readonly natsCpuPer10k: number;
}

/** Between the starts of the chats of one load: what is measured are tokens, not a burst of starts. */
const START_EVERY_MS = 10;

/** This many chats, each with tokens this far apart. */
export async function tokens(
  load: Load,
  pid: number,
  shape: {
    readonly chats: number;
    readonly tokens: number;
    readonly intervalMs: number;
    readonly observers?: number;
  },
): Promise<TokenFigures> {
  const latencies: number[] = [];
  let delivered = 0;
  const cpuBefore = cpuOf(pid);
  const started = performance.now();
  const each = async (i: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, i * START_EVERY_MS));
    const streamId = await load.initiate({ tokens: shape.tokens, interval_ms: shape.intervalMs });
    const observe = (): Promise<void> =>
      load.observe(streamId, (sent, here) => {
        delivered++;
        latencies.push((here - sent) / 1_000);
      });
    await Promise.all(Array.from({ length: shape.observers ?? 1 }, observe));
  };
  await Promise.all(Array.from({ length: shape.chats }, (_, i) => each(i)));
  const seconds = (performance.now() - started) / 1_000;
  const cpuAfter = cpuOf(pid);
  return {
    latency: summary(latencies),
    perSecond: delivered / seconds,
    cpuPer10k: ((cpuAfter.program - cpuBefore.program) / delivered) * 10_000,
    natsCpuPer10k: ((cpuAfter.natsServer - cpuBefore.natsServer) / delivered) * 10_000,
  };
}

/** How long an observer takes for all of a finished chat, ms. */
export async function replay(load: Load, events: number, rounds: number): Promise<Summary> {
  // Paced, so that each token is an event of its own.
  const streamId = await load.initiate({ tokens: events, interval_ms: 1 });
  await load.observe(streamId, () => undefined);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    let seen = 0;
    const started = performance.now();
    await load.observe(streamId, () => {
      seen++;
    });
    times.push(performance.now() - started);
    if (seen !== events) throw new Error(`a replay had ${seen} of ${events} tokens`);
  }
  return summary(times);
}
