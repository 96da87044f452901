// One observer's place in a chat: replays what is after its cursor, then takes what the feed has.
// Replay and tail are the same loop. It holds one page of records at most, beside the shared ring.
import type { ChatError } from '../../chat/errors.ts';
import type { LogRecord } from '../../chat/ports/event-log.ts';
import { preciseNowMs } from '../../chat/log/event-time.ts';
import { MAX_FRAME_BYTES, REPLAY_PAGE_BYTES } from '../../chat/limits.ts';
import { AttachMode } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { cutAfter, sequenceRange } from '../../chat/log/record.ts';
import type { ChatFeed, FeedListener } from './chat-feed.ts';
import type { Frame } from './observe-frames.ts';
import { attachedFrame, batchFrame, heartbeatFrame } from './observe-frames.ts';
import type { ObserveSource } from './observe-wire.ts';

/** So far behind in the ring that packing beats sharing the frames. */
const PACK_FROM_RECORDS = 16;
const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 1_000;

export class Observer implements ObserveSource, FeedListener {
  readonly #feed: ChatFeed;
  readonly #onClose: () => void;
  #cursor: number;
  #attached = false;
  #heartbeatDue = false;
  #page: readonly LogRecord[] = [];
  #pageAt = 0;
  #readFrom = 0;
  #reading = false;
  #closed = false;
  #ready: (() => void) | undefined;
  #end: { readonly error?: ChatError } | undefined;
  #lastFrameMs = performance.now();

  constructor(feed: ChatFeed, afterSequence: number, onClose: () => void) {
    this.#feed = feed;
    this.#cursor = afterSequence;
    this.#onClose = onClose;
    feed.listeners.add(this);
  }

  get correlationId(): string {
    return this.#feed.correlationId;
  }

  get end(): { readonly error?: ChatError } | undefined {
    return this.#end;
  }

  next(): Frame | undefined {
    const frame = this.#next();
    if (frame !== undefined) this.#lastFrameMs = performance.now();
    return frame;
  }

  onReady(callback: () => void): void {
    this.#ready = callback;
  }

  wake(): void {
    const ready = this.#ready;
    if (ready === undefined) return;
    this.#ready = undefined;
    ready();
  }

  /** Sends a sign of life to an observer that has waited this long for a frame. */
  beat(nowMs: number, heartbeatMs: number): void {
    if (this.#ready === undefined || nowMs - this.#lastFrameMs < heartbeatMs) return;
    this.#heartbeatDue = true;
    this.wake();
  }

  close(): void {
    this.#closed = true;
    this.#page = [];
    this.#feed.listeners.delete(this);
    this.#onClose();
  }

  #next(): Frame | undefined {
    const feed = this.#feed;
    if (!this.#attached) return this.#attach();
    if (this.#end !== undefined) return undefined;
    if (feed.failure !== undefined) {
      this.#end = { error: feed.failure };
      return undefined;
    }
    const replayed = this.#fromPage();
    if (replayed !== undefined) return replayed;
    const index = feed.indexAfter(this.#cursor);
    if (index === undefined) {
      void this.#readPage();
    } else if (index >= 0) {
      return this.#fromRing(index);
    } else if (feed.over) {
      this.#end = {};
      return undefined;
    }
    if (!this.#heartbeatDue) return undefined;
    this.#heartbeatDue = false;
    return heartbeatFrame(
      { latestSequence: feed.latestSequence, status: feed.status, ...positionOf(feed) },
      preciseNowMs(),
    );
  }

  #attach(): Frame {
    this.#attached = true;
    const { earliestSequence, latestSequence, status, attempt } = this.#feed;
    const mode = this.#cursor === 0 ? AttachMode.FULL : AttachMode.SUFFIX;
    return attachedFrame(
      { mode, earliestSequence, latestSequence, status, attempt, ...positionOf(this.#feed) },
      preciseNowMs(),
    );
  }

  #fromRing(index: number): Frame | undefined {
    const { ring } = this.#feed;
    const entry = ring[index];
    if (entry === undefined) return undefined;
    const shared = entry.first === this.#cursor + 1 && ring.length - index < PACK_FROM_RECORDS;
    if (!shared) return this.#pack(ring.length - index, (i) => ring[index + i]?.record).frame;
    this.#cursor = entry.last;
    // Who falls out of the ring later reads on from here, not from the log's start.
    this.#readFrom = entry.record.storeSequence + 1;
    return entry.frame();
  }

  #fromPage(): Frame | undefined {
    if (this.#pageAt >= this.#page.length) return undefined;
    const at = this.#pageAt;
    const { frame, taken } = this.#pack(this.#page.length - at, (i) => this.#page[at + i]);
    this.#pageAt += taken;
    if (this.#pageAt >= this.#page.length) this.#page = [];
    return frame;
  }

  /** Joins what is after the cursor into one frame; the first record is cut if the cursor lies in it. */
  #pack(
    count: number,
    recordAt: (i: number) => LogRecord | undefined,
  ): { readonly frame: Frame | undefined; readonly taken: number } {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    let storedAtMs = 0;
    let taken = 0;
    for (; taken < count; taken++) {
      const record = recordAt(taken);
      const range = record === undefined ? undefined : sequenceRange(record.data);
      if (record === undefined || range === undefined || range.last <= this.#cursor) continue;
      const part = range.first > this.#cursor ? record.data : cutAfter(record.data, this.#cursor);
      if (bytes > 0 && bytes + part.length > MAX_FRAME_BYTES) break;
      parts.push(part);
      bytes += part.length;
      storedAtMs = record.storedAtMs;
      this.#cursor = range.last;
    }
    const frame = parts.length === 0 ? undefined : batchFrame(parts, storedAtMs, preciseNowMs());
    return { frame, taken };
  }

  /** Reads the next page; while the log is away it tries again, and the observer stays attached. */
  async #readPage(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    let waitMs = FIRST_RETRY_MS;
    while (!this.#closed) {
      const records = await this.#feed.log
        .page(this.#feed.chat, this.#readFrom, REPLAY_PAGE_BYTES)
        .then((page) => page.records)
        // The feed says in the log that the chat cannot be read; here it is only a reason to wait.
        .catch((): LogRecord[] => []);
      const last = records.at(-1);
      if (last !== undefined) {
        this.#page = records;
        this.#pageAt = 0;
        this.#readFrom = last.storeSequence + 1;
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS);
    }
    this.#reading = false;
    if (!this.#closed) this.wake();
  }
}

/** To protobuf-es a set undefined is no absence. */
function positionOf({ queuePosition }: ChatFeed): { readonly queuePosition?: number } {
  return queuePosition === undefined ? {} : { queuePosition };
}
