// What a chaos run leaves behind: all that was asked, answered, seen and done, with its time. Every time
// is in epoch ms of the one machine that all processes run on. The checker reads it, and nothing else.
import type { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';

/** How a call came out: `ok`, the reason of the product's error, or the code where there is none. */
export type Outcome = 'ok' | (string & {});

interface Call {
  readonly chat: string;
  readonly api: string;
  readonly beganMs: number;
  readonly answeredMs: number;
  readonly outcome: Outcome;
}

export interface StartCall extends Call {
  /** How many numbered words its answer has when it completes. */
  readonly words: number;
  /** Only where the outcome is ok. */
  readonly created: boolean;
}

export interface CancelCall extends Call {
  /** What the answer says; undefined where there is none. */
  readonly status: ChatStreamStatus | undefined;
}

export type DeleteCall = Call;

export interface ReadCall extends Call {
  readonly kind: 'get' | 'wait' | 'list';
  /** Undefined: no answer, or a list without the chat. */
  readonly status: ChatStreamStatus | undefined;
}

export interface SeenEvent {
  readonly sequence: number;
  /** The encoded Event. */
  readonly bytes: Uint8Array;
  readonly seenMs: number;
  /** When the log had the newest record of its frame. */
  readonly storedMs: number;
}

export interface Attachment {
  readonly api: string;
  readonly afterSequence: number;
  readonly beganMs: number;
  readonly events: readonly SeenEvent[];
  /** `ok`: the server ended the stream. `left`: the observer did. Else the error; '': it still lasts. */
  readonly end: Outcome;
  readonly endedMs: number;
}

/** One observer; each attachment resumes where the one before it ended. */
export interface Observation {
  readonly chat: string;
  readonly observer: string;
  readonly attachments: readonly Attachment[];
}

export type FaultKind =
  | 'kill-worker'
  | 'stop-worker'
  | 'pause-worker'
  | 'cut-worker'
  | 'kill-api'
  | 'stop-api'
  | 'cut-api'
  | 'kill-nats'
  | 'kill-nats-leader'
  | 'kill-nats-follower'
  | 'cut-nats';

export interface Fault {
  readonly kind: FaultKind;
  /** The incarnation: `worker-1#3`. */
  readonly target: string;
  readonly atMs: number;
  /** When it was undone: started again, continued, reconnected. */
  readonly untilMs: number;
}

/** A worker said that it took a chat. */
export interface Taken {
  readonly chat: string;
  readonly attempt: number;
  readonly worker: string;
}

/** A call that the model server got. */
export interface ModelCall {
  readonly chat: string;
  readonly worker: string;
  readonly beganMs: number;
  /** Undefined: it still ran at the end. */
  readonly endedMs: number | undefined;
  readonly how: 'answered' | 'aborted' | undefined;
}

/** A counting tool began to run. */
export interface ToolRun {
  /** Of all runs, from 1. */
  readonly run: number;
  readonly chat: string;
  /** The id of the call. */
  readonly call: string;
  /** It must not be repeated. */
  readonly once: boolean;
  readonly beganMs: number;
}

/** A process ended, or could not start, though nobody told it to. */
export interface Death {
  readonly name: string;
  readonly atMs: number;
  readonly said: string;
}

export interface History {
  readonly starts: readonly StartCall[];
  readonly cancels: readonly CancelCall[];
  readonly deletes: readonly DeleteCall[];
  readonly reads: readonly ReadCall[];
  readonly observations: readonly Observation[];
  readonly faults: readonly Fault[];
  readonly taken: readonly Taken[];
  readonly calls: readonly ModelCall[];
  readonly toolRuns: readonly ToolRun[];
  readonly deaths: readonly Death[];
}

type Mutable<T> = T extends readonly (infer E)[] ? E[] : never;
/** The same, being written. */
export type Recording = { readonly [K in keyof History]: Mutable<History[K]> };

export function emptyHistory(): Recording {
  return {
    starts: [],
    cancels: [],
    deletes: [],
    reads: [],
    observations: [],
    faults: [],
    taken: [],
    calls: [],
    toolRuns: [],
    deaths: [],
  };
}

export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
