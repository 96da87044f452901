// The ports of the list: what changes are fed to it, and what it is asked. The list is a view that can
// be thrown away and built again from the log and the commands; no decision rests on it alone.
import type { ChatStream, ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../chat-key.ts';
import type { CommandMeta } from './commands.ts';
import type { StatusMark } from './event-log.ts';

/** Something that the list has to know, with its place in its stream. */
export type ChatChange =
  | {
      readonly kind: 'start';
      readonly sequence: number;
      readonly chat: ChatKey;
      readonly priority: number;
      readonly meta: CommandMeta;
    }
  | {
      readonly kind: 'continue' | 'delete';
      readonly sequence: number;
      readonly chat: ChatKey;
      readonly meta: CommandMeta;
    }
  | {
      readonly kind: 'status';
      readonly sequence: number;
      readonly chat: ChatKey;
      readonly mark: StatusMark;
      /** The record: the terminal event is in it. */
      readonly data: Uint8Array;
    }
  /** Somebody else's message on our subjects: nothing to list, but a place that was passed. */
  | { readonly kind: 'foreign'; readonly sequence: number; readonly in: keyof ListPosition };

/** How far the list has read: sequences of COMMANDS and EVENTS. */
export interface ListPosition {
  readonly commands: number;
  readonly events: number;
}

export interface ChangeFeed {
  /** Which store this is; a list made from another is thrown away. */
  readonly storeId: () => Promise<string>;
  /** Hands over every change after the position, in the order of each stream, until it is stopped. */
  readonly follow: (
    after: ListPosition,
    onChange: (change: ChatChange) => void,
  ) => Promise<{ readonly stop: () => Promise<void> }>;
  /**
   * Where both streams end at their leaders, whom a majority still follows, by whatever message.
   * Rejects with LOG_UNAVAILABLE.
   */
  readonly end: () => Promise<ListPosition>;
  /** The first change after a position at the leaders; Infinity: none. Rejects with LOG_UNAVAILABLE. */
  readonly next: (after: ListPosition) => Promise<ListPosition>;
}

export interface ListFilter {
  readonly tenant: string;
  /** Empty: all. */
  readonly statuses: readonly ChatStreamStatus[];
  /** Empty: all. */
  readonly correlationId: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAfterMs: number | undefined;
  readonly createdBeforeMs: number | undefined;
}

/** Of the last chat on a page: the next page begins after it. */
export interface ListPlace {
  readonly createdAtMs: number;
  readonly streamId: string;
}

/** A chat that nobody else may be alive to do something for. */
export interface OverdueChat {
  readonly chat: ChatKey;
  readonly correlationId: string;
  /** What it is due for; the log decides. */
  readonly due: 'end' | 'continue';
}

export interface ChatList {
  /** Newest first. */
  readonly page: (
    filter: ListFilter,
    after: ListPlace | undefined,
    size: number,
  ) => readonly ChatStream[];
  /** Resolves once everything that the leaders have now is in; rejects with LOG_UNAVAILABLE. */
  readonly caughtUp: () => Promise<void>;
  /**
   * Chats that are not over and were created before a time, whose run was due before one (their waits
   * left out), whose wait or life ends before one; and those that had all their tools' results before
   * one and no continue.
   */
  readonly overdue: (before: {
    readonly pendingCreatedMs: number;
    readonly runDueMs: number;
    readonly endsMs: number;
    readonly answeredMs: number;
    readonly limit: number;
  }) => readonly OverdueChat[];
  /**
   * How many queued chats of all tenants are before the place of a start, by its priority and sequence:
   * of the newest that the list holds.
   */
  readonly position: (priority: number, startSequence: number) => number;
  /** How many chats of a tenant are queued. */
  readonly queued: (tenant: string) => number;
}
