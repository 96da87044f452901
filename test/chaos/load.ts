// The load: chats are started at a steady rate and each lives by its plan, until the time is over. Then
// everything is let to finish.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Callers } from './callers.ts';
import type { Attachment, Recording, SeenEvent } from './history.ts';
import { nowMs } from './history.ts';
import type { ChatPlan, ObserverPlan } from './plan.ts';
import { planOf } from './plan.ts';
import { randomOf, type Random } from './random.ts';

export interface LoadOptions {
  readonly seed: number;
  readonly chatsPerSecond: number;
  readonly callers: Callers;
  readonly history: Recording;
  /** Some chats call the counting tools that the callers know of. */
  readonly counting?: boolean;
}

export interface Load {
  readonly underWay: () => number;
  readonly begun: () => number;
  /** Starts no more; resolves when all observers have seen their chats' ends, or the time is over. */
  readonly finish: (withinMs: number) => Promise<void>;
}

const MAX_UNDER_WAY = 800;
/** A start is tried again for so long. */
const START_WITHIN_MS = 60_000;
/** Outcomes after which the same call may be repeated; everything else is final. */
const AGAIN: ReadonlySet<string> = new Set([
  'LOG_UNAVAILABLE',
  'MODELS_UNAVAILABLE',
  'SHUTTING_DOWN',
  'Unavailable',
  'Aborted',
  'Canceled',
  'Internal',
  'Unknown',
  'DeadlineExceeded',
]);

export function startLoad(options: LoadOptions): Load {
  const { seed, chatsPerSecond, callers, history, counting = false } = options;
  const underWay = new Set<Promise<void>>();
  const over = new AbortController();
  const stopping = new AbortController();
  let begun = 0;

  const run = (work: Promise<void>): Promise<void> => {
    underWay.add(work);
    return work.finally(() => underWay.delete(work));
  };

  async function live(plan: ChatPlan): Promise<void> {
    const { chat } = plan;
    const random = randomOf(seed, `${plan.seed}/calls`);
    const end = nowMs() + START_WITHIN_MS;
    for (;;) {
      const outcome = await callers.start(plan, random);
      if (outcome === 'ok') break;
      if (!AGAIN.has(outcome) || nowMs() > end || over.signal.aborted) return;
      await sleep(random.between(100, 1_000));
    }
    const later = async (afterMs: number, act: () => Promise<unknown>): Promise<void> => {
      await sleep(afterMs);
      await act();
    };
    const own = (name: string): Random => randomOf(seed, `${plan.seed}/${name}`);
    await Promise.all([
      ...plan.observers.map((observer) => observe(chat, observer, own(observer.name))),
      ...plan.repeatAfterMs.map((ms) => later(ms, () => callers.start(plan, own('repeat')))),
      ...plan.cancelAfterMs.map((ms, i) =>
        later(ms, () => untilAnswered(() => callers.cancel(chat, own(`cancel ${i}`)), random)),
      ),
      ...plan.deleteAfterMs.map((ms) => {
        const way = own('delete');
        return later(ms, () => untilAnswered(() => callers.remove(chat, way), random));
      }),
      ...plan.reads.map(({ kind, afterMs }, i) =>
        later(afterMs, () => callers.read(kind, chat, own(`read ${i}`))),
      ),
    ]);
    // What is said of it once it is over.
    await callers.read(random.pick(['get', 'list', 'wait']), chat, random);
  }

  async function untilAnswered(call: () => Promise<string>, random: Random): Promise<void> {
    while (AGAIN.has(await call()) && !over.signal.aborted) await sleep(random.between(100, 1_000));
  }

  async function observe(chat: string, plan: ObserverPlan, random: Random): Promise<void> {
    await sleep(plan.afterMs);
    const attachments: Attachment[] = [];
    history.observations.push({ chat, observer: plan.name, attachments });
    const leaveAfter = [...plan.leaveAfter];
    let cursor = 0;
    for (;;) {
      const afterSequence = cursor;
      const events: SeenEvent[] = [];
      const most = leaveAfter.shift() ?? Infinity;
      const { api, beganMs, end } = await callers.observe(
        chat,
        afterSequence,
        random,
        over.signal,
        async (seen) => {
          events.push(...seen);
          cursor = Math.max(cursor, ...seen.map(({ sequence }) => sequence));
          if (plan.slowMs > 0) await sleep(plan.slowMs);
          return events.length < most;
        },
      );
      attachments.push({ api, afterSequence, beganMs, events, end, endedMs: nowMs() });
      if (end !== 'left' && !AGAIN.has(end)) return;
      await sleep(random.between(50, 1_000));
    }
  }

  async function begin(): Promise<void> {
    const random = randomOf(seed, 'arrivals');
    while (!stopping.signal.aborted) {
      if (underWay.size < MAX_UNDER_WAY) void run(live(planOf(seed, ++begun, counting)));
      await sleep(-Math.log(1 - random.next()) * (1_000 / chatsPerSecond));
    }
  }
  const beginning = begin();

  return {
    underWay: () => underWay.size,
    begun: () => begun,
    finish: async (withinMs) => {
      stopping.abort();
      await beginning;
      const timer = setTimeout(() => over.abort(), withinMs);
      await Promise.all(underWay);
      clearTimeout(timer);
      await readAll();
    },
  };

  /** Everyone who comes later, at any api, sees what the others saw. */
  async function readAll(): Promise<void> {
    const chats = [...new Set(history.starts.filter((s) => s.outcome === 'ok').map((s) => s.chat))];
    const own = new AbortController();
    const timer = setTimeout(() => own.abort(), READ_ALL_WITHIN_MS);
    const next = chats.values();
    const reader = async (): Promise<void> => {
      for (const chat of next) {
        const random = randomOf(seed, `${chat}/last`);
        const events: SeenEvent[] = [];
        const attached = await callers.observe(chat, 0, random, own.signal, (seen) => {
          events.push(...seen);
          return Promise.resolve(true);
        });
        const attachment = { ...attached, afterSequence: 0, events, endedMs: nowMs() };
        history.observations.push({ chat, observer: `${chat}/last`, attachments: [attachment] });
      }
    };
    await Promise.all(Array.from({ length: READERS }, reader));
    clearTimeout(timer);
  }
}

const READERS = 8;
const READ_ALL_WITHIN_MS = 120_000;
