// A chat as it stands, read at the leader: for unary answers and for decisions.
import type { ChatKey } from './chat-key.ts';
import type { Command, CommandInbox } from './commands.ts';
import { streamNotFound } from './errors.ts';
import type { EventLog, LogTail } from './event-log.ts';

export interface ChatAtLeader {
  readonly start: Command;
  readonly tail: LogTail | undefined;
  /** The newest command: what the next one is fenced by. */
  readonly newest: Command;
}

/** Rejects with STREAM_NOT_FOUND for unknown, deleted and expired chats, in the same words. */
export async function readChat(
  inbox: CommandInbox,
  log: EventLog,
  chat: ChatKey,
): Promise<ChatAtLeader> {
  const [newest, tail] = await Promise.all([inbox.last(chat), log.tail(chat)]);
  if (newest === undefined || newest.verb === 'delete') throw streamNotFound(chat.streamId);
  const start = newest.verb === 'start' ? newest : await inbox.start(chat);
  if (start === undefined || start.meta.expiresAtMs <= Date.now()) {
    throw streamNotFound(chat.streamId);
  }
  if (tail?.status.mark.kind === 'tombstone') throw streamNotFound(chat.streamId);
  return { start, tail, newest };
}
