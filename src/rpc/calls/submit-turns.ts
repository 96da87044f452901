// Calls that bring results to one chat take turns in each api: of those side by side the fence lets one through, and
// the others read the log again, which is quadratic in them. What decides is the fence all the same.
import type { ChatKey } from '../../chat/chat-key.ts';
import { keyOf } from '../../chat/chat-key.ts';
import { NATS_REQUEST_MS } from '../../chat/limits.ts';

export class SubmitTurns {
  /** By chat: settles with the newest call's end. */
  readonly #newest = new Map<string, Promise<void>>();

  /** Waits for the call before, and no longer than one of the log may take. */
  async take<T>(chat: ChatKey, submit: () => Promise<T>): Promise<T> {
    const key = keyOf(chat);
    const before = this.#newest.get(key);
    const { promise: own, resolve: done } = Promise.withResolvers<void>();
    this.#newest.set(key, own);
    try {
      if (before !== undefined) await orLate(before);
      return await submit();
    } finally {
      done();
      if (this.#newest.get(key) === own) this.#newest.delete(key);
    }
  }
}

async function orLate(before: Promise<void>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, NATS_REQUEST_MS);
  await Promise.race([before, late]);
  clearTimeout(timer);
}
