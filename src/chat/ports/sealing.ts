// The ports of sealing: what makes a secret unreadable for whoever has the store, and what reads it
// again. The keys are not known here.
import type { ChatKey } from '../chat-key.ts';

/** Where a secret belongs: a sealed text is good for nothing in another chat or another field. */
export interface SecretPlace {
  readonly chat: ChatKey;
  /** From InitiateChatStreamRequest. */
  readonly path: string;
}

export interface Sealer {
  /** Throws SEALING_KEY_MISSING where there is no key at all. */
  readonly seal: (text: string, place: SecretPlace) => string;
  /**
   * Keyed hashes of a digest for this chat, one by each key, first that of the key that seals: without
   * the key nobody can try out what was digested. Throws SEALING_KEY_MISSING where there is no key.
   */
  readonly keyed: (digest: string, chat: ChatKey) => readonly [string, ...string[]];
  /** The id of the key that a keyed hash was made with, if it is not here. */
  readonly missing: (keyed: string) => string | undefined;
}

export interface Opener {
  /** Throws an OpenError. */
  readonly open: (sealed: string, place: SecretPlace) => string;
}

/** A secret that cannot be opened. Its message is for callers too: it says which key is missing. */
export class OpenError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'OpenError';
  }
}
