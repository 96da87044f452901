// Which priority gets the next free slots. The best one that has chats, but for one slot in
// TURN_EVERY_SLOTS while others wait too: that goes to the one which has gone longest without, so that
// none starves. Where n priorities wait beside the best, each of them gets one slot in 10 × n at least.
import { PRIORITY_LEVELS, TURN_EVERY_SLOTS } from '../chat/limits.ts';

/** Slots for one priority. */
export interface Grant {
  readonly priority: number;
  /** How many of the free slots may go to it before the order is asked again. */
  readonly slots: number;
  readonly by: 'order' | 'turn' | 'nobody-else';
}

export class ServingOrder {
  /** Slots given by order while others waited, since the last turn. */
  #byOrder = 0;
  /** The grants so far, and the newest of each priority. */
  #grants = 0;
  readonly #served: number[] = Array.from({ length: PRIORITY_LEVELS }, () => 0);

  /** `waiting`: the priorities that may have chats, at least one; `room`: the free slots. */
  grant(waiting: readonly number[], room: number): Grant {
    const best = Math.min(...waiting);
    if (waiting.length === 1) return { priority: best, slots: room, by: 'nobody-else' };
    const left = TURN_EVERY_SLOTS - 1 - this.#byOrder;
    if (left > 0) {
      const slots = Math.min(room, left);
      this.#byOrder += slots;
      return { priority: best, slots, by: 'order' };
    }
    this.#byOrder = 0;
    const others = waiting.filter((priority) => priority !== best).toSorted((a, b) => a - b);
    const served = (priority: number): number => this.#served[priority] ?? 0;
    const priority = others.reduce((a, b) => (served(b) < served(a) ? b : a));
    return { priority, slots: 1, by: 'turn' };
  }

  /** What came of a grant; slots that it was not used for count as not given. */
  used({ priority, slots, by }: Grant, used: number): void {
    if (used > 0) this.#served[priority] = ++this.#grants;
    if (by === 'order') this.#byOrder = Math.max(0, this.#byOrder - (slots - used));
    if (by === 'turn' && used === 0) this.#byOrder = TURN_EVERY_SLOTS - 1;
  }
}
