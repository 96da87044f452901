// What one state of the exploration holds: an abstract JetStream, and where each actor stands between
// two steps. Everything is immutable, so that states share what did not change.
import type { AppendView } from '../../src/chat/log/append.ts';
import type { Verb } from '../../src/chat/ports/commands.ts';
import type { StatusMark } from '../../src/chat/ports/event-log.ts';
import type { GivenResult } from '../../src/chat/decisions/tool-decisions.ts';
import type { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';

/** A command as it is published. */
export interface Job {
  readonly verb: Verb;
  /** Stands for its append id: the call that made it, with the number of its try where it makes anew. */
  readonly id: string;
  /** start: which request, so that two may be the same or not. */
  readonly request: number;
  /** continue: the results record that it names. Else 0. */
  readonly results: number;
  readonly atMs: number;
}

/** A command as it is stored, with what the durable consumer knows of it. */
export interface StoredJob extends Job {
  readonly seq: number;
  readonly hand: 'ready' | 'out' | 'acked';
  /** How often it was handed out; 2 stands for more. */
  readonly handed: 0 | 1 | 2;
}

export type HeldJob = Omit<StoredJob, 'hand' | 'handed'>;

/** A record of the log before it is stored. */
export interface Draft {
  /** Stands for its append id. Empty once nobody can be in doubt about it. */
  readonly id: string;
  /** The run that writes it; empty for the end or the tombstone by someone else. */
  readonly writer: string;
  readonly mark: StatusMark | undefined;
  /** Of its events; last is below first where it has none. */
  readonly first: number;
  readonly last: number;
  /** The calls that the client is asked for, and the results that came. */
  readonly asks?: readonly string[];
  readonly answers?: readonly GivenResult[];
  /** A step of a turn with a call of a tool of ours: the call, that it is begun, its result. */
  readonly tool?: 'called' | 'begun' | 'result';
}

export interface StoredRecord extends Draft {
  readonly seq: number;
  readonly atMs: number;
}

/** A publish whose sender knows nothing of it any more: it lands later, or never. */
export type Flight =
  | { readonly to: 'log'; readonly draft: Draft; readonly expectedLast: number }
  | { readonly to: 'inbox'; readonly job: Job; readonly expectedLast: number };

/** Where appendSettled stands. */
export interface Pending {
  readonly draft: Draft;
  readonly view: AppendView;
  readonly phase: 'send' | 'settle';
  /** The last outcome was a doubt, not a refusal. */
  readonly doubt: boolean;
}

export interface Writer {
  readonly claim: StatusMark;
  readonly runId: string;
  readonly storeSequence: number;
  readonly sequence: number;
  /** Deltas said so far. */
  readonly said: number;
  /** Which turn the model is asked for, from 1; or whose call is answered. */
  readonly turn: number;
  /** How far the call of a tool of ours is; unknown: a lost run had begun it. */
  readonly tool: 'none' | 'called' | 'begun' | 'unknown' | 'made';
}

export type RunPhase =
  | { readonly at: 'decide' }
  | {
      readonly at: 'ask';
      readonly owner: string;
      readonly otherwise: Pending;
      readonly next: 'claim' | 'end';
    }
  | { readonly at: 'append'; readonly pending: Pending; readonly next: 'claim' | 'end' }
  | {
      readonly at: 'write';
      readonly pending: Pending;
      readonly next: 'delta' | 'tool' | 'wait' | 'run-end' | 'hand-back';
      readonly writer: Writer;
    }
  | { readonly at: 'run'; readonly writer: Writer }
  | { readonly at: 'say'; readonly what: 'ack' | 'nak' };

export interface Run {
  readonly job: HeldJob;
  readonly handed: 0 | 1 | 2;
  readonly refused: boolean;
  readonly abort: 'no' | 'cancelled' | 'hand-back' | 'run-timeout';
  readonly phase: RunPhase;
}

export interface WorkerState {
  /** Counts its processes: a new one is a new owner. */
  readonly epoch: number;
  readonly stopping: boolean;
  readonly run: Run | undefined;
}

/** Where carryOutCancel or carryOutDelete stands. */
export type CarryPhase =
  | { readonly at: 'read' }
  | { readonly at: 'end'; readonly pending: Pending }
  | { readonly at: 'bury'; readonly pending: Pending }
  | { readonly at: 'erase-log'; readonly tombstone: number }
  | { readonly at: 'erase-inbox' }
  | { readonly at: 'done' };

export interface LoopState {
  readonly held: { readonly job: HeldJob; readonly phase: CarryPhase } | undefined;
}

export interface SweepState {
  readonly pending: Pending | undefined;
  /** A continue on its way. */
  readonly publish: Publication | undefined;
}

export interface Publication {
  readonly job: Job;
  readonly expectedLast: number;
}

/** What readBoth has read so far. */
export interface Reading {
  readonly newest: StoredJob | 'none' | undefined;
  readonly log: readonly StoredRecord[] | undefined;
}

export type Answer =
  | 'created'
  | 'same'
  | 'taken'
  | 'retired'
  | 'not found'
  | 'deleted'
  | 'seen'
  /** The results are in the log. */
  | 'accepted'
  | 'refused'
  | { readonly status: ChatStreamStatus }
  /** The process died, or the caller was told UNAVAILABLE: nothing was promised. */
  | 'nothing';

export type CallPhase =
  | { readonly at: 'new' }
  /** `next`: what the reading is for. */
  | {
      readonly at: 'read';
      readonly reading: Reading;
      readonly next: 'decide' | 'answer' | 'continue';
    }
  | { readonly at: 'publish'; readonly job: Job; readonly expectedLast: number }
  | { readonly at: 'read-back'; readonly job: Job; readonly outcome: 'refused' | 'doubt' }
  | { readonly at: 'end'; readonly pending: Pending }
  | { readonly at: 'submit'; readonly pending: Pending }
  | { readonly at: 'carry'; readonly job: HeldJob; readonly phase: CarryPhase }
  | { readonly at: 'over'; readonly answer: Answer };

export interface CallState {
  readonly phase: CallPhase;
  /** A delete had been answered when the call began. */
  readonly afterDelete: boolean;
}

/** How often each fault may still happen. */
export interface Faults {
  /** A worker, a call or a control loop dies between two steps. */
  readonly crash: number;
  /** The ack wait runs out though the holder is alive: it was paused, or NATS was away. */
  readonly redeliver: number;
  /** An acknowledgement is forgotten by a server that crashes; the count of deliveries goes with it. */
  readonly ackLost: number;
  /** A publish is not answered in time; it has landed, lands later, or never. */
  readonly timeout: number;
  /** A reading that is up to two records old: from a follower, or from a leader that is none. */
  readonly stale: number;
  /** A living owner does not answer in time. */
  readonly deaf: number;
  /** A worker is told to stop and hands its chats back. */
  readonly handBack: number;
  /** An append is given up unsettled: the log was away for too long. */
  readonly giveUp: number;
}

export interface World {
  /** Which of the setup's moments it is. */
  readonly moment: number;
  readonly commands: readonly StoredJob[];
  readonly commandSeq: number;
  readonly log: readonly StoredRecord[];
  readonly logSeq: number;
  readonly flights: readonly Flight[];
  readonly workers: readonly WorkerState[];
  readonly loops: readonly LoopState[];
  readonly sweeps: readonly SweepState[];
  readonly calls: readonly CallState[];
  readonly left: Faults;
  /** Attempts that really lost their worker, as far as that matters. */
  readonly losses: number;
  readonly deleteAnswered: boolean;
  /** Calls of a tool of ours that were made. */
  readonly made: number;
}

export interface Step {
  readonly world: World;
  readonly label: string;
  /** Only what happens by itself counts towards an end: not a fault, a call or the time. */
  readonly kind: 'step' | 'fault' | 'outside';
  /** The law that this step broke. */
  readonly broke: string | undefined;
}

export type Emit = (
  label: string,
  world: World,
  more?: { readonly kind?: Step['kind']; readonly broke?: string | undefined },
) => void;
