// What is done with one chat, drawn from the seed before anything happens: the same seed makes the same
// plans, however the processes behave.
import type { ScriptInput } from '../model-server/script.ts';
import { randomOf } from './random.ts';

export interface ObserverPlan {
  readonly name: string;
  /** After the start was acknowledged. */
  readonly afterMs: number;
  /** It leaves after so many events, and comes again at another api; once for each. */
  readonly leaveAfter: readonly number[];
  /** Its time for each frame. */
  readonly slowMs: number;
}

export interface ReadPlan {
  readonly kind: 'get' | 'wait' | 'list';
  readonly afterMs: number;
}

export interface ChatPlan {
  readonly chat: string;
  readonly script: ScriptInput;
  readonly words: number;
  /** Turns in which the model searches the document of the request, before its answer. */
  readonly searches: number;
  readonly deltas: boolean;
  readonly priority: number;
  readonly observers: readonly ObserverPlan[];
  /** The same start once more. */
  readonly repeatAfterMs: readonly number[];
  readonly cancelAfterMs: readonly number[];
  readonly deleteAfterMs: readonly number[];
  readonly reads: readonly ReadPlan[];
  /** Which api and which protocol each call takes: drawn in the order of the calls. */
  readonly seed: string;
}

export function planOf(seed: number, n: number): ChatPlan {
  const chat = `c${seed}-${n}`;
  const random = randomOf(seed, chat);
  const words = random.chance(0.05) ? random.whole(200, 400) : random.whole(3, 60);
  const lastsMs = random.between(50, 2_000);
  const firstMs = random.chance(0.3) ? random.between(0, 500) : 0;
  const some = (probability: number, most = lastsMs): number[] =>
    random.chance(probability) ? [random.between(0, most)] : [];
  const observers = Array.from({ length: random.whole(1, 3) }, (_, i): ObserverPlan => {
    const dropping = random.chance(0.3);
    return {
      name: `${chat}/o${i + 1}`,
      afterMs: i === 0 ? 0 : random.between(0, lastsMs * 1.5),
      leaveAfter: dropping
        ? Array.from({ length: random.whole(1, 3) }, () => random.whole(0, 20))
        : [],
      slowMs: random.chance(0.1) ? random.between(5, 50) : 0,
    };
  });
  const kinds = ['get', 'wait', 'list'] as const;
  const searches = random.chance(0.15) ? random.whole(1, 3) : 0;
  const answer: ScriptInput = {
    tokens: words,
    interval_ms: lastsMs / words,
    first_ms: firstMs,
    id: chat,
  };
  const call = { name: 'document_search', input: '{"query":"water"}' };
  const search: ScriptInput = { tokens: 0, calls: [call, call], id: chat };
  const more = Array.from({ length: Math.max(searches - 1, 0) }, () => search);
  const fate = random.next();
  const cancels = fate < 0.12;
  const deletes = fate >= 0.12 && fate < 0.17;
  return {
    chat,
    script: searches === 0 ? answer : { ...search, rounds: [...more, answer] },
    words,
    searches,
    deltas: !random.chance(0.1),
    priority: random.whole(0, 9),
    observers,
    repeatAfterMs: some(0.1),
    // Two cancels at once now and then.
    cancelAfterMs: cancels
      ? Array.from({ length: random.whole(1, 2) }, () => random.between(0, lastsMs))
      : [],
    deleteAfterMs: deletes ? [random.between(0, lastsMs * 1.5)] : [],
    reads: random.chance(0.25)
      ? Array.from({ length: random.whole(1, 2) }, () => ({
          kind: random.pick(kinds),
          afterMs: random.between(0, lastsMs * 2),
        }))
      : [],
    seed: chat,
  };
}
