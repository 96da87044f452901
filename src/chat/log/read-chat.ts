// A chat as it stands, read at the leader: for unary answers and for decisions.
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../chat-key.ts';
import type { Command, CommandInbox } from '../ports/commands.ts';
import type { ChatAtLeader, ChatReading } from '../decisions/decisions.ts';
import { chatAt } from '../decisions/decisions.ts';
import { streamNotFound } from '../errors.ts';
import { basicView } from '../fold/chat-view.ts';
import type { EventLog, LogTail } from '../ports/event-log.ts';
import { readAskedCalls } from './read-log.ts';

/** Rejects with STREAM_NOT_FOUND for unknown, deleted and expired chats, in the same words. */
export async function readChat(
  inbox: CommandInbox,
  log: EventLog,
  chat: ChatKey,
): Promise<ChatAtLeader> {
  const at = chatAt(await readBoth(inbox, log, chat), Date.now());
  if (at === undefined) throw streamNotFound(chat.streamId);
  return at;
}

/**
 * Reads what is decided and answered from; the start by itself only where something rests on it. Not
 * what an old leader believes, which knows of no end and no delete: no fence would refuse an answer.
 */
export async function readBoth(
  inbox: CommandInbox,
  log: EventLog,
  chat: ChatKey,
): Promise<ChatReading> {
  await inbox.confirmLeaders();
  const [newest, tail] = await Promise.all([inbox.last(chat), log.tail(chat)]);
  if (newest?.verb === 'start') return { newest, start: newest, tail };
  const nothing = newest === undefined && tail === undefined;
  if (nothing || newest?.verb === 'delete') return { newest, start: undefined, tail };
  const start = await inbox.start(chat);
  // A chat that was made between the two reads has a log and no command yet.
  return { newest: newest ?? start, start, tail };
}

/** The chat as BASIC shows it; of one that waits for its client's tools, the calls are read as well. */
export async function readView(
  log: EventLog,
  start: Command,
  tail: LogTail | undefined,
): Promise<ChatStream> {
  if (tail?.status.mark.kind !== 'wait') return basicView(start, tail);
  const calls = await readAskedCalls(log, start.chat, tail, 'newest');
  return basicView(start, tail, calls.pending());
}
