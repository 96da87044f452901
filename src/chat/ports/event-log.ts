// The port to the log of one chat: records appended under a fence by one writer, read by everyone.
// src/nats implements it; test/support/chats/memory-log.ts is the reference model.
import type { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../chat-key.ts';

/** What a record that changes the status says of the chat's life, readable without decoding events. */
export interface StatusMark {
  /**
   * claim: a worker took the chat. hand-back: it gave it back cleanly; the record has no events.
   * wait: the chat waits for its client's tools; that it began to, or some of the results, are in the
   * record. results: the last of the results are; a continue that names this record takes it on.
   * end: the terminal event is in the record. tombstone: the chat is deleted; no events.
   */
  readonly kind: 'claim' | 'hand-back' | 'wait' | 'results' | 'end' | 'tombstone';
  readonly status: ChatStreamStatus;
  readonly attempt: number;
  /** Claims since the last finished step, this one included, less those handed back cleanly. */
  readonly tries: number;
  /** The last event of the last finished step; what an attempt says after it may be superseded. */
  readonly stepSequence: number;
  /** The sequence in COMMANDS of the command that drives the claim; 0 where no claim was made. */
  readonly command: number;
  /** The worker that made the claim; empty where no claim was made. */
  readonly owner: string;
  readonly startedAtMs: number;
  /** The store sequence of the results record that the claim went on from; 0: from none yet. */
  readonly results: number;
  /** wait, results: the store sequence of the record that began the wait; 0: this one. Else 0. */
  readonly waitRecord: number;
  /** wait, results: since when the run's time stands still. Else 0. */
  readonly waitingSinceMs: number;
  /** Time since startedAtMs that is not the run's: its waits that are over. */
  readonly waitedMs: number;
  /** wait: when it ends as FAILED. Else 0. */
  readonly deadlineMs: number;
  /** Of the chat: the longest run from startedAtMs on, over all attempts. */
  readonly runTimeoutMs: number;
  /** Of the record's events; last is the newest event of the chat also where the record has none. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly correlationId: string;
  readonly model: string;
  readonly priority: number;
}

/** One record: an encoded EventBatch. `mark` is set on records that change the status. */
export interface LogRecord {
  readonly storeSequence: number;
  readonly storedAtMs: number;
  readonly appendId: string;
  readonly data: Uint8Array;
  readonly mark: StatusMark | undefined;
}

/** The end of a log as its leader has it. Undefined: the log is empty. */
export interface LogTail {
  readonly last: LogRecord;
  /** The newest record that changed the status; the same as `last` or older. */
  readonly status: LogRecord & { readonly mark: StatusMark };
  /** The sequence of the newest event. */
  readonly lastSequence: number;
}

export interface Append {
  readonly appendId: string;
  readonly data: Uint8Array;
  readonly mark: StatusMark | undefined;
}

/**
 * stored: it is durable. refused: the view that it was based on is old (law 2). doubt: it may or may
 * not be there; nothing else may be appended until that is settled; `closed`: by this process it cannot be,
 * whose connection is closed. full: the store takes no more.
 */
export type AppendOutcome =
  | { readonly type: 'stored'; readonly storeSequence: number }
  | { readonly type: 'refused' }
  | { readonly type: 'doubt'; readonly cause: unknown; readonly closed?: boolean }
  | { readonly type: 'full'; readonly cause: unknown };

export interface EventLog {
  /** Appends if the chat's newest record still has this store sequence; 0: if the log is empty. */
  readonly append: (chat: ChatKey, expectedLast: number, append: Append) => Promise<AppendOutcome>;
  /** Reads the end of the log at the leader. Rejects with ChatError LOG_UNAVAILABLE. */
  readonly tail: (chat: ChatKey) => Promise<LogTail | undefined>;
  /** The newest record that the leader has, alone: half the price of `tail`. */
  readonly last: (chat: ChatKey) => Promise<LogRecord | undefined>;
  /**
   * Reads a page of records from a store sequence on, oldest first; perhaps from a follower that is
   * behind. `more` is false when the reader saw nothing after the page.
   */
  readonly page: (
    chat: ChatKey,
    fromStoreSequence: number,
    maxBytes: number,
  ) => Promise<{ readonly records: readonly LogRecord[]; readonly more: boolean }>;
}

/** Erasure of a deleted chat. Kept apart: nothing else may remove a record. */
export interface LogEraser {
  /** Removes the chat's records before this store sequence. Rejects with LOG_UNAVAILABLE. */
  readonly eraseBefore: (chat: ChatKey, storeSequence: number) => Promise<void>;
}

/** The live edge: best effort, at most once, possibly with gaps; the log is the truth. */
export interface LiveFeed {
  /** `listening` resolves once every record stored from then on will be heard. */
  readonly subscribe: (
    chat: ChatKey,
    onRecord: (record: LogRecord) => void,
  ) => { readonly listening: Promise<void>; readonly stop: () => void };
  /** Called after the connection came back: whatever was sent meanwhile is lost. */
  readonly onReconnect: (listener: () => void) => () => void;
}
