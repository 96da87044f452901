// Who waits for something scarce, and whose turn it is: tenants by turns, a tenant's chats by turns, a chat's own
// in their order. Bounded: where it is full, whoever waits most gives way to who waits less.
import type { ChatKey } from '../chat/chat-key.ts';

export interface Waiting {
  readonly whose: ChatKey;
  /** What it takes up of the bound, such as 1, or its bytes. */
  readonly cost: number;
}

export interface FairQueue<W extends Waiting> {
  /**
   * Takes it in, or not. What had to give way for it is given back, and it itself where it would only take
   * the place of others that wait no more than it.
   */
  readonly add: (waiting: W) => readonly W[];
  /** Whose turn it is, of the tenants that may have one. */
  readonly next: (may?: (tenant: string) => boolean) => W | undefined;
  /** One that waits no more. */
  readonly remove: (waiting: W) => void;
}

/** In the order of their turns. */
type Chats<W> = Map<string, W[]>;

/** `most`: of what all that wait may cost together. */
export function createFairQueue<W extends Waiting>(most: number): FairQueue<W> {
  const tenants = new Map<string, Chats<W>>();
  let cost = 0;

  function remove(waiting: W): void {
    const { tenant, streamId } = waiting.whose;
    const chats = tenants.get(tenant);
    const list = chats?.get(streamId);
    const at = list?.indexOf(waiting) ?? -1;
    if (chats === undefined || list === undefined || at < 0) return;
    list.splice(at, 1);
    cost -= waiting.cost;
    if (list.length === 0) chats.delete(streamId);
    if (chats.size === 0) tenants.delete(tenant);
  }

  /** What came last of the chat that waits most, of the tenant that waits most. */
  function last(): W | undefined {
    const chats = largest(tenants.values(), (each) => [...each.values()].flat());
    return largest(chats?.values() ?? [], (each) => each)?.at(-1);
  }

  return {
    add: (waiting) => {
      const { tenant, streamId } = waiting.whose;
      const chats = tenants.get(tenant) ?? new Map<string, W[]>();
      const list = chats.get(streamId) ?? [];
      list.push(waiting);
      chats.set(streamId, list);
      tenants.set(tenant, chats);
      cost += waiting.cost;
      const gone: W[] = [];
      while (cost > most) {
        const out = last();
        if (out === undefined) break;
        remove(out);
        gone.push(out);
      }
      return gone;
    },
    next: (may = () => true) => {
      const turn = [...tenants].find(([tenant]) => may(tenant));
      if (turn === undefined) return undefined;
      const [tenant, chats] = turn;
      const [waiting] = [...chats.values()][0] ?? [];
      if (waiting === undefined) return undefined;
      const list = chats.get(waiting.whose.streamId) ?? [];
      remove(waiting);
      // To the end of its row, if there is more of it.
      if (list.length > 0) {
        chats.delete(waiting.whose.streamId);
        chats.set(waiting.whose.streamId, list);
      }
      if (chats.size > 0) {
        tenants.delete(tenant);
        tenants.set(tenant, chats);
      }
      return waiting;
    },
    remove,
  };
}

/** By cost; of equal ones the last, which came or had its turn last. */
function largest<E>(all: Iterable<E>, waitingOf: (each: E) => readonly Waiting[]): E | undefined {
  let found: E | undefined;
  let most = -1;
  for (const each of all) {
    const sum = waitingOf(each).reduce((costs, { cost }) => costs + cost, 0);
    if (sum < most) continue;
    found = each;
    most = sum;
  }
  return found;
}
