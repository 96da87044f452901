// One chat as this process sees it, shared by all of its observers: listens first, then reads, then
// splices by sequence (law 6). Keeps the newest records in one bounded ring; who is further behind
// reads the log for itself.
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { ChatList } from '../../chat/ports/chat-list.ts';
import type { Command, CommandInbox } from '../../chat/ports/commands.ts';
import { statusOf } from '../../chat/decisions/decisions.ts';
import type { ChatError } from '../../chat/errors.ts';
import { streamDeleted } from '../../chat/errors.ts';
import type { EventLog, LiveFeed, LogRecord } from '../../chat/ports/event-log.ts';
import { preciseNowMs } from '../../chat/log/event-time.ts';
import { LIVE_RING_BYTES, SILENCE_READ_MS } from '../../chat/limits.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { readChat } from '../../chat/log/read-chat.ts';
import { recordsUpTo } from '../../chat/log/read-log.ts';
import { sequenceRange } from '../../chat/log/record.ts';
import { isOver } from '../../chat/decisions/status.ts';
import type { Frame } from './observe-frames.ts';
import { batchFrame } from './observe-frames.ts';

export interface FeedDeps {
  readonly log: EventLog;
  readonly inbox: CommandInbox;
  readonly live: LiveFeed;
  readonly logger: Logger;
  readonly list: Pick<ChatList, 'position'>;
}

/** A record with events, and the frame that all observers share. */
export class FeedRecord {
  readonly first: number;
  readonly last: number;
  readonly record: LogRecord;
  #frame: Frame | undefined;

  constructor(record: LogRecord, range: { readonly first: number; readonly last: number }) {
    this.record = record;
    this.first = range.first;
    this.last = range.last;
  }

  frame(): Frame {
    this.#frame ??= batchFrame([this.record.data], this.record.storedAtMs, preciseNowMs());
    return this.#frame;
  }
}

/** Told when there may be something new: a record, the end, a failure. */
export interface FeedListener {
  readonly wake: () => void;
}

export class ChatFeed {
  readonly chat: ChatKey;
  readonly log: EventLog;
  readonly listeners = new Set<FeedListener>();
  readonly #deps: FeedDeps;
  #ring: FeedRecord[] = [];
  #ringBytes = 0;
  /** Heard before the log was read; undefined from then on. */
  #early: LogRecord[] | undefined = [];
  #storeSequence = 0;
  #statusSequence = 0;
  #filling: Promise<void> | undefined;
  #silentSinceMs = performance.now();
  #silences = 0;
  /** When a fill failed last. */
  #failedMs = Number.NEGATIVE_INFINITY;
  #stopListening: () => void = () => undefined;

  earliestSequence = 0;
  latestSequence = 0;
  expiresAtMs = Number.POSITIVE_INFINITY;
  status: ChatStreamStatus = statusOf(undefined);
  attempt = 0;
  over = false;
  /** For its client's tools. */
  waiting = false;
  /** Its place in the queue is known by its start. */
  #start: Pick<Command, 'priority' | 'sequence' | 'meta'> | undefined;
  /** Set when nothing more can be observed though the end was not seen. */
  failure: ChatError | undefined;

  private constructor(deps: FeedDeps, chat: ChatKey) {
    this.#deps = deps;
    this.chat = chat;
    this.log = deps.log;
  }

  /** Rejects with STREAM_NOT_FOUND or LOG_UNAVAILABLE. */
  static async open(deps: FeedDeps, chat: ChatKey): Promise<ChatFeed> {
    const feed = new ChatFeed(deps, chat);
    const subscription = deps.live.subscribe(chat, (record) => feed.#hear(record));
    feed.#stopListening = subscription.stop;
    try {
      await subscription.listening;
      await feed.#readPast();
      return feed;
    } catch (error) {
      feed.close();
      throw error;
    }
  }

  close(): void {
    this.#stopListening();
  }

  fail(error: ChatError): void {
    this.failure = error;
    this.#wakeAll();
  }

  /**
   * The ring's place of the first record that holds something after the cursor; -1 where there is
   * none yet; undefined where the ring does not reach back that far.
   */
  indexAfter(cursor: number): number | undefined {
    if (cursor >= this.latestSequence) return -1;
    const first = this.#ring[0]?.first;
    if (first === undefined || cursor + 1 < first) return undefined;
    let low = 0;
    let high = this.#ring.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ring[middle]?.last ?? 0) > cursor) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** How many are before it in the queue; undefined once it is taken. */
  get queuePosition(): number | undefined {
    if (this.status !== ChatStreamStatus.PENDING || this.#start === undefined) return undefined;
    return this.#deps.list.position(this.#start.priority, this.#start.sequence);
  }

  get correlationId(): string {
    return this.#start?.meta.correlationId ?? '';
  }

  get ring(): readonly FeedRecord[] {
    return this.#ring;
  }

  /** Reads what the leader has and this feed has not: after a gap, a reconnect, a silence. */
  fill(): Promise<void> {
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  /** Silence on an unfinished chat may be a lost message: it is filled by reading, ever more rarely. */
  fillIfSilent(nowMs: number): void {
    if (this.over || this.#filling !== undefined) return;
    const waitMs = SILENCE_READ_MS[Math.min(this.#silences, SILENCE_READ_MS.length - 1)] ?? 0;
    if (nowMs - this.#silentSinceMs < waitMs) return;
    this.#silences++;
    this.#silentSinceMs = nowMs;
    this.fillOrWarn();
  }

  /** A fill that nobody waits for; what it cannot do now is done after the next silence. */
  fillOrWarn(): void {
    this.fill().catch((error: unknown) => {
      this.#failedMs = performance.now();
      const { tenant, streamId } = this.chat;
      const known = this.#start === undefined ? {} : fieldsOf({ chat: this.chat, ...this.#start });
      this.#deps.logger.warn(
        { tenant, stream_id: streamId, ...known, err: error },
        'a chat could not be read',
      );
    });
  }

  async #readPast(): Promise<void> {
    const { start, tail } = await readChat(this.#deps.inbox, this.log, this.chat);
    this.expiresAtMs = start.meta.expiresAtMs;
    this.#start = start;
    if (tail !== undefined) {
      const { records } = await this.log.page(this.chat, 0, LIVE_RING_BYTES);
      const first = records[0] === undefined ? undefined : sequenceRange(records[0].data);
      this.earliestSequence = first?.first ?? 1;
      const whole = (records.at(-1)?.storeSequence ?? 0) >= tail.last.storeSequence;
      if (whole) for (const record of records) this.#take(record);
      this.latestSequence = Math.max(this.latestSequence, tail.lastSequence);
      this.#storeSequence = Math.max(this.#storeSequence, tail.last.storeSequence);
      this.#takeStatus(tail.status);
    }
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const record of early) this.#hear(record);
  }

  #hear(record: LogRecord): void {
    if (this.#early !== undefined) this.#early.push(record);
    // A gap that could not be filled is not tried again with each record that comes behind it.
    else if (!this.#take(record) && performance.now() - this.#failedMs > SILENCE_READ_MS[0]) {
      this.fillOrWarn();
    }
  }

  /** False: there is a gap before this record. */
  #take(record: LogRecord): boolean {
    const range = sequenceRange(record.data);
    if (range !== undefined && range.first > this.latestSequence + 1) return false;
    this.#takeStatus(record);
    this.#storeSequence = Math.max(this.#storeSequence, record.storeSequence);
    this.#silentSinceMs = performance.now();
    this.#silences = 0;
    if (range !== undefined && range.last > this.latestSequence) {
      this.#ring.push(new FeedRecord(record, range));
      this.#ringBytes += record.data.length;
      this.latestSequence = range.last;
      if (this.earliestSequence === 0) this.earliestSequence = range.first;
      while (this.#ringBytes > LIVE_RING_BYTES && this.#ring.length > 1) {
        this.#ringBytes -= this.#ring.shift()?.record.data.length ?? 0;
      }
    }
    this.#wakeAll();
    return true;
  }

  #takeStatus(record: LogRecord): void {
    const { mark } = record;
    if (mark === undefined || record.storeSequence <= this.#statusSequence) return;
    this.#statusSequence = record.storeSequence;
    this.status = mark.status;
    this.attempt = mark.attempt;
    this.over = isOver(mark);
    this.waiting = mark.kind === 'wait';
    if (mark.kind === 'tombstone') this.failure = streamDeleted(this.chat.streamId);
  }

  async #fill(): Promise<void> {
    const last = await this.log.last(this.chat);
    if (last === undefined || last.storeSequence <= this.#storeSequence) return;
    const from = this.#storeSequence + 1;
    for await (const records of recordsUpTo(this.log, this.chat, from, last.storeSequence)) {
      for (const record of records) this.#take(record);
    }
  }

  #wakeAll(): void {
    for (const listener of this.listeners) listener.wake();
  }
}
