// All chats that this process observes, and who observes them: one subscription, one ring and one
// timer serve any number of observers of a chat.
import type { ChatKey } from '../../chat/chat-key.ts';
import { keyOf } from '../../chat/chat-key.ts';
import type { ControlQueue } from '../../chat/ports/commands.ts';
import { ChatError, streamDeleted, streamNotFound } from '../../chat/errors.ts';
import { EXPIRED_END_MS, MAX_OBSERVERS_PER_STREAM } from '../../chat/limits.ts';
import type { FeedDeps, FeedListener } from './chat-feed.ts';
import { ChatFeed } from './chat-feed.ts';
import type { ObserveCall, ObserveSource } from './observe-wire.ts';
import { Observer } from './observer.ts';

export interface ObserveHub {
  readonly observe: (call: ObserveCall) => Promise<ObserveSource>;
  /** Resolves when the chat is at its end, after the time, or when the call is over. */
  readonly untilOver: Until;
  /** The same, and when it waits for its client's tools. */
  readonly untilOverOrWaiting: Until;
  readonly observers: () => number;
  readonly close: () => void;
}

type Until = (chat: ChatKey, timeoutMs: number, signal: AbortSignal) => Promise<void>;

export interface HubDeps extends FeedDeps {
  /** Rings for each control command of any chat. */
  readonly onControl: ControlQueue['onControl'];
  readonly heartbeatMs: number;
}

interface Entry {
  readonly opened: Promise<ChatFeed>;
  feed: ChatFeed | undefined;
  users: number;
}

const LONGEST_TICK_MS = 250;
const TICKS_PER_HEARTBEAT = 8;

export function createObserveHub(deps: HubDeps): ObserveHub {
  const feeds = new Map<string, Entry>();
  /** The feeds that are open, with what holds them. */
  const open = new Map<ChatFeed, Entry>();

  const acquire = async (chat: ChatKey): Promise<ChatFeed> => {
    const key = keyOf(chat);
    let entry = feeds.get(key);
    // A feed that has failed is kept by who still reads from it; who comes now asks the log anew.
    if (entry === undefined || entry.feed?.failure !== undefined) {
      entry = { opened: ChatFeed.open(deps, chat), feed: undefined, users: 0 };
      feeds.set(key, entry);
    }
    entry.users++;
    try {
      const feed = await entry.opened;
      entry.feed = feed;
      open.set(feed, entry);
      return feed;
    } catch (error) {
      if (feeds.get(key) === entry) feeds.delete(key);
      throw error;
    }
  };

  const release = (feed: ChatFeed): void => {
    const entry = open.get(feed);
    if (entry === undefined || --entry.users > 0) return;
    const key = keyOf(feed.chat);
    if (feeds.get(key) === entry) feeds.delete(key);
    open.delete(feed);
    feed.close();
  };

  const observe = async ({ tenant, request }: ObserveCall): Promise<ObserveSource> => {
    const { streamId, afterSequence } = request;
    const feed = await acquire({ tenant, streamId });
    try {
      await checkCursor(feed, afterSequence);
      if (feed.listeners.size >= MAX_OBSERVERS_PER_STREAM) throw tooManyObservers();
      return new Observer(feed, afterSequence, () => release(feed));
    } catch (error) {
      release(feed);
      throw error;
    }
  };

  const until = async (
    isThere: (feed: ChatFeed) => boolean,
    chat: ChatKey,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<void> => {
    const feed = await acquire(chat);
    const { promise, resolve } = Promise.withResolvers<void>();
    const listener: FeedListener = {
      wake: () => {
        if (isThere(feed) || feed.failure !== undefined) resolve();
      },
    };
    const timer = setTimeout(resolve, Math.max(timeoutMs, 0));
    const onAbort = (): void => resolve();
    signal.addEventListener('abort', onAbort);
    feed.listeners.add(listener);
    listener.wake();
    if (signal.aborted) resolve();
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    feed.listeners.delete(listener);
    release(feed);
  };

  const tickMs = Math.min(LONGEST_TICK_MS, deps.heartbeatMs / TICKS_PER_HEARTBEAT);
  // A heartbeat that waited for the next tick would be late.
  const quietMs = deps.heartbeatMs - tickMs;
  const tick = (): void => {
    const now = performance.now();
    const wallMs = Date.now();
    for (const feed of open.keys()) {
      feed.fillIfSilent(now);
      if (feed.expiresAtMs + EXPIRED_END_MS <= wallMs && feed.failure === undefined) {
        feed.fail(streamNotFound(feed.chat.streamId));
      }
      for (const listener of feed.listeners) {
        if (listener instanceof Observer) listener.beat(now, quietMs);
      }
    }
  };
  const ticking = setInterval(tick, tickMs);
  const stopReconnect = deps.live.onReconnect(() => {
    for (const feed of open.keys()) feed.fillOrWarn();
  });

  // A delete ends its observers as such, before they see the end that it makes; where its bell is
  // lost, the tombstone says the same.
  const stopControl = deps.onControl(({ chat, verb }) => {
    if (verb !== 'delete') return;
    const opened = feeds.get(keyOf(chat))?.opened;
    void opened?.then(
      (feed) => feed.fail(streamDeleted(chat.streamId)),
      // It could not be opened: whoever wanted it has been told why.
      () => undefined,
    );
  });

  return {
    observe,
    untilOver: (...given) => until((feed) => feed.over, ...given),
    untilOverOrWaiting: (...given) => until((feed) => feed.over || feed.waiting, ...given),
    observers: () => {
      let count = 0;
      for (const feed of open.keys()) count += feed.listeners.size;
      return count;
    },
    close: () => {
      clearInterval(ticking);
      stopReconnect();
      stopControl();
      for (const feed of open.keys()) feed.close();
    },
  };
}

/** A cursor beyond the end is called so only after the leader was asked. */
async function checkCursor(feed: ChatFeed, afterSequence: number): Promise<void> {
  // Twice: the first may join a reading that began before the event was stored.
  if (afterSequence > feed.latestSequence) await feed.fill();
  if (afterSequence > feed.latestSequence) await feed.fill();
  if (afterSequence > feed.latestSequence) {
    throw new ChatError(
      'CURSOR_BEYOND_END',
      `after_sequence is ${afterSequence}, and the newest event of this chat stream is ${feed.latestSequence}. Give the sequence of the last event that you have seen, or 0 for all.`,
      { metadata: { latest_sequence: String(feed.latestSequence) } },
    );
  }
  if (afterSequence + 1 < feed.earliestSequence) {
    throw new ChatError(
      'CURSOR_EXPIRED',
      `Events after ${afterSequence} are no longer stored; the first that is has the sequence ${feed.earliestSequence}.`,
      { metadata: { earliest_sequence: String(feed.earliestSequence) } },
    );
  }
}

function tooManyObservers(): ChatError {
  return new ChatError(
    'TOO_MANY_OBSERVERS',
    `This chat stream has ${MAX_OBSERVERS_PER_STREAM} observers here already, the most that it may.`,
    { metadata: { max_observers: String(MAX_OBSERVERS_PER_STREAM) }, retryAfterMs: 5_000 },
  );
}
