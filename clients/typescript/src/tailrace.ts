// The package's entry: all that a user of the client may name. Nothing inside the package imports from here.
export { createTailraceClient } from './client.ts';
export type {
  CallOptions,
  CancelOptions,
  InitiateOptions,
  ObserveOptions,
  TailraceClient,
  TailraceClientOptions,
  ViewOptions,
} from './client.ts';
export type { Backoff } from './backoff.ts';
export type {
  BlockInput,
  ChatInput,
  ClientToolInput,
  MessageInput,
  ToolResultInput,
} from './chat-input.ts';
export { clientTool } from './chat-input.ts';
export type { FieldViolation, TailraceErrorReason } from './errors.ts';
export { TailraceError } from './errors.ts';
export { ChatFold } from './fold.ts';
export type { ChatList, ListFilter } from './list-chats.ts';
export type { ChatUpdate } from './observe.ts';
export type {
  AnswerPart,
  ChatSnapshot,
  TextPart,
  ThinkingPart,
  ToolResultPart,
  ToolUsePart,
} from './snapshot.ts';
export { isOver } from './snapshot.ts';
export { newStreamId } from './stream-id.ts';
export type { TokenSource } from './token.ts';

// The contract's own messages and enums, for what the functions above take and give, and for calling the service
// by a client of your own.
export * from './gen/tailrace/v1/chat_request_pb.ts';
export * from './gen/tailrace/v1/chat_stream_pb.ts';
export * from './gen/tailrace/v1/chat_stream_service_pb.ts';
export * from './gen/tailrace/v1/content_pb.ts';
export * from './gen/tailrace/v1/error_pb.ts';
export * from './gen/tailrace/v1/event_pb.ts';
