// The port to the inbox of commands: what is asked of a chat, durable before anything is answered.
import type { ChatKey } from '../chat-key.ts';
import type { AppendOutcome } from './event-log.ts';

/** start and continue are work; cancel and delete are control and never wait behind work. */
export type Verb = 'start' | 'continue' | 'cancel' | 'delete';

/** What a command's headers say: all that a claim needs, without decoding. */
export interface CommandMeta {
  readonly appendId: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly correlationId: string;
  /** Of the chat's trace (W3C): the caller's own, or of one that began with the start. */
  readonly traceparent: string;
  readonly model: string;
  /** The longest run, from its first claim to its end, over all attempts. */
  readonly runTimeoutMs: number;
  /** start: the request's identity (seal-request.ts), for idempotent repeats. Else empty. */
  readonly requestHash: string;
  /** start: as given, for lists. Else empty. */
  readonly metadata: Readonly<Record<string, string>>;
  /** cancel: what the caller gave as reason. Else empty. */
  readonly reason: string;
  /** continue: the store sequence of the results record that it goes on from. Else 0. */
  readonly results: number;
}

export interface Command {
  readonly chat: ChatKey;
  readonly verb: Verb;
  readonly priority: number;
  /** Its sequence in COMMANDS. */
  readonly sequence: number;
  readonly meta: CommandMeta;
  /** start: an encoded InitiateChatStreamRequest, its secrets sealed. Else empty. */
  readonly data: Uint8Array;
}

/** A command in a worker's or control loop's hands, until it is acknowledged or handed back. */
export interface Delivery {
  readonly command: Command;
  /** How often it was handed out, this time included. */
  readonly deliveries: number;
  /** Done: the leader's log shows the effect (law 7). */
  readonly ack: () => void;
  /** Take it back; hand it out again after this long. */
  readonly nak: (delayMs: number) => void;
  /** Still at it: starts the ack wait anew. */
  readonly working: () => void;
}

export interface CommandInbox {
  /**
   * Resolves once a majority has shown that it still follows those who lead commands and logs: what is
   * read at them from then on holds all that was acknowledged before this call. Rejects with
   * LOG_UNAVAILABLE.
   */
  readonly confirmLeaders: () => Promise<void>;
  /** Appends if the chat's newest command still has this sequence; 0: if it has none. */
  readonly publish: (
    command: Omit<Command, 'sequence'>,
    expectedLast: number,
  ) => Promise<AppendOutcome>;
  /** The newest command of a chat at the leader. Rejects with ChatError LOG_UNAVAILABLE. */
  readonly last: (chat: ChatKey) => Promise<Command | undefined>;
  /** The start of a chat at the leader. Rejects with ChatError LOG_UNAVAILABLE. */
  readonly start: (chat: ChatKey) => Promise<Command | undefined>;
  /** Removes the chat's commands before this sequence. Rejects with ChatError LOG_UNAVAILABLE. */
  readonly eraseBefore: (chat: ChatKey, sequence: number) => Promise<void>;
}

/** Hands over every delivery as it arrives; `pull` resolves with how many its request brought. */
export interface Receiving {
  /** `linger`: a command was announced, so wait a moment for it if it is not there yet. */
  readonly pull: (batch: number, linger: boolean) => Promise<number>;
  readonly stop: () => void;
}

export interface ReceivingWork {
  /** Takes at most `batch` commands of this priority that are there now. One at a time for each. */
  readonly pull: (priority: number, batch: number, linger: boolean) => Promise<number>;
  readonly stop: () => void;
}

/** What a worker needs beside the log. */
export interface WorkQueue {
  readonly receiveWork: (onDelivery: (delivery: Delivery) => void) => ReceivingWork;
  /** Rings for each work command; at most once, so pull now and then without it too. */
  readonly onWork: (listener: (priority: number) => void) => () => void;
  /** The start of a chat at the leader: what a continue runs. Rejects with LOG_UNAVAILABLE. */
  readonly startOf: CommandInbox['start'];
  /** Rings the bell for a command that was handed back. */
  readonly ring: (chat: ChatKey, verb: Verb, priority: number) => void;
  /** Rings for each control command of any chat. */
  readonly onControl: (listener: (command: Omit<Command, 'data'>) => void) => () => void;
  /** Called after the connection came back. */
  readonly onReconnect: (listener: () => void) => () => void;
  /** Asks a worker whether it runs a chat for this command; false where nobody answers in time. */
  readonly askOwner: (owner: string, chat: ChatKey, command: number) => Promise<boolean>;
  readonly answerAsOwner: (
    owner: string,
    holds: (chat: ChatKey, command: number) => boolean,
  ) => () => void;
}

/** What a control loop needs beside the log. */
export interface ControlQueue {
  readonly receiveControl: (onDelivery: (delivery: Delivery) => void) => Receiving;
  /** Rings the bell for a control command once more. */
  readonly ring: (command: Command) => void;
  readonly onControl: WorkQueue['onControl'];
}
