// What is done with one chat, drawn from the seed before anything happens: the same seed makes the same
// plans, however the processes behave.
import type { ScriptInput } from '../model-server/script.ts';
import { COUNTING_TOOLS, type CountingInput } from './counting-tools.ts';
import { type Random, randomOf } from './random.ts';

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
  /** Turns in which it calls the counting tools. */
  readonly counts: number;
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

/** `counting`: there is a server of counting tools; it changes nothing else of a plan. */
export function planOf(seed: number, n: number, counting: boolean): ChatPlan {
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
  const own = randomOf(seed, `${chat}/counts`);
  const counts = counting && searches === 0 && own.chance(0.2) ? own.whole(1, 3) : 0;
  const turns = [
    ...Array.from({ length: searches }, () => search),
    ...Array.from({ length: counts }, (_, turn) => countingTurn(own, chat, turn)),
  ];
  const [first, ...more] = turns;
  const fate = random.next();
  const cancels = fate < 0.12;
  const deletes = fate >= 0.12 && fate < 0.17;
  return {
    chat,
    script: first === undefined ? answer : { ...first, rounds: [...more, answer] },
    words,
    searches,
    counts,
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

function countingTurn(random: Random, chat: string, turn: number): ScriptInput {
  const calls = Array.from({ length: random.whole(1, 3) }, (_, i) => {
    const id = `count-${turn}-${i}`;
    const input: CountingInput = { chat, call: id, ms: Math.round(random.between(0, 800)) };
    return { id, name: random.pick(COUNTING_TOOLS), input: JSON.stringify(input) };
  });
  return { tokens: 0, calls, id: chat };
}
