// What a chat has come to at one event: plain values, never changed once handed out. What has not changed is the same
// object as in the snapshot before, but for a lost attempt between them. Made by fold.ts.
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { Failure, Usage } from './gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamStatus, StopReason } from './gen/tailrace/v1/chat_stream_pb.ts';
import type { Citation, ContentBlock, ToolUseBlock } from './gen/tailrace/v1/content_pb.ts';
import type { WarningEvent } from './gen/tailrace/v1/event_pb.ts';

interface BlockBase {
  /** From 0 over the whole chat. A client's tool result has its call's. */
  readonly index: number;
  /** The model's turn, from 1. */
  readonly turn: number;
  /** Nothing more comes. */
  readonly done: boolean;
}

export interface TextPart extends BlockBase {
  readonly kind: 'text';
  readonly text: string;
  readonly citations: readonly Citation[];
}

export interface ThinkingPart extends BlockBase {
  readonly kind: 'thinking';
  readonly text: string;
  /** For handing the reasoning back in a later request. */
  readonly signature: string;
}

export interface ToolUsePart extends BlockBase {
  readonly kind: 'toolUse';
  /** Who runs the tool: the caller, or Tailrace. */
  readonly by: 'client' | 'server';
  readonly id: string;
  readonly name: string;
  /** Of an MCP server's tool: the server's name in the request. */
  readonly server: string;
  /** JSON text; whole when the block is done and not incomplete. */
  readonly input: string;
  /** The model was cut off within the call: it is not to be carried out. */
  readonly incomplete: boolean;
}

export interface ToolResultPart extends BlockBase {
  readonly kind: 'toolResult';
  readonly toolUseId: string;
  readonly content: readonly ContentBlock[];
  readonly isError: boolean;
}

export type AnswerPart = TextPart | ThinkingPart | ToolUsePart | ToolResultPart;

export interface ChatSnapshot {
  readonly streamId: string;
  /** The cursor: the sequence of the newest event in here. */
  readonly sequence: number;
  /** The newest event that the server has told of; more than `sequence` while a replay is under way. */
  readonly latestSequence: number;
  /** False where the chat was observed from a cursor without what came before: then the parts are what came since. */
  readonly fromStart: boolean;
  readonly status: ChatStreamStatus;
  /** How many chats are before it; only while pending. */
  readonly queuePosition: number | undefined;
  /** The model that is asked; empty while pending. */
  readonly model: string;
  /** From 1; 0 while pending. */
  readonly attempt: number;
  /** All text parts joined. */
  readonly text: string;
  /** All reasoning joined. */
  readonly thinking: string;
  /** The answer in order: a tool's result follows its call. What a lost attempt had said is not in it. Made when read. */
  readonly parts: readonly AnswerPart[];
  /** The calls that wait for submitToolResults, and until when. */
  readonly pendingToolUses: readonly ToolUseBlock[];
  readonly pendingUntil: Timestamp | undefined;
  readonly warnings: readonly WarningEvent[];
  readonly usage: Usage | undefined;
  /** The terminal event is in here. */
  readonly ended: boolean;
  readonly stopReason: StopReason;
  /** Set where the status is FAILED or ERROR. */
  readonly failure: Failure | undefined;
  /** The answer as JSON, where a form was asked for. */
  readonly outputJson: string;
  /** Why it was cancelled, in the caller's words. */
  readonly cancelReason: string;
  /** The end has come, and its count and SHA-256 are those of what is here. */
  readonly verified: boolean;
}

export function emptySnapshot(streamId: string, afterSequence: number): ChatSnapshot {
  return {
    streamId,
    sequence: afterSequence,
    latestSequence: afterSequence,
    fromStart: afterSequence === 0,
    status: ChatStreamStatus.UNSPECIFIED,
    queuePosition: undefined,
    model: '',
    attempt: 0,
    text: '',
    thinking: '',
    parts: [],
    pendingToolUses: [],
    pendingUntil: undefined,
    warnings: [],
    usage: undefined,
    ended: false,
    stopReason: StopReason.UNSPECIFIED,
    failure: undefined,
    outputJson: '',
    cancelReason: '',
    verified: false,
  };
}

const OVER: ReadonlySet<ChatStreamStatus> = new Set([
  ChatStreamStatus.COMPLETED,
  ChatStreamStatus.FAILED,
  ChatStreamStatus.CANCELLED,
  ChatStreamStatus.ERROR,
]);

/** The chat has ended, well or not. */
export function isOver(status: ChatStreamStatus): boolean {
  return OVER.has(status);
}
