// The inbox of commands on the stream COMMANDS, as callers write and read it.
import type { ChatKey } from '../chat/chat-key.ts';
import type { Command, CommandInbox } from '../chat/ports/commands.ts';
import type { Exchange } from './exchange.ts';
import { commandHeaders, commandMetaIn } from './headers.ts';
import type { StoredMessage } from './leader.ts';
import { lastAtLeader } from './leader.ts';
import { purgeBefore } from './purge.ts';
import { publishFenced } from './publish-fenced.ts';
import {
  COMMANDS,
  commandFence,
  commandSubject,
  parseCommandSubject,
  startFilter,
} from './subjects.ts';

export function natsCommandInbox(writes: Exchange, confirmed: () => Promise<void>): CommandInbox {
  return {
    confirmLeaders: confirmed,
    publish: (command, expectedLast) => {
      const { chat, verb, priority, meta, data } = command;
      const fence = { subject: commandFence(chat), expectedLast };
      const subject = commandSubject(chat, verb, priority);
      return publishFenced(writes, subject, data, commandHeaders(meta, fence));
    },
    last: (chat) => readLast(writes, commandFence(chat)),
    start: (chat) => startAtLeader(writes, chat),
    eraseBefore: (chat, sequence) => purgeBefore(writes, COMMANDS, commandFence(chat), sequence),
  };
}

/** Rejects with ChatError LOG_UNAVAILABLE. */
export function startAtLeader(writes: Exchange, chat: ChatKey): Promise<Command | undefined> {
  return readLast(writes, startFilter(chat));
}

async function readLast(writes: Exchange, filter: string): Promise<Command | undefined> {
  const found = await lastAtLeader(writes, COMMANDS, filter);
  return found === undefined ? undefined : toCommand(found);
}

function toCommand(message: StoredMessage): Command {
  return {
    ...parseCommandSubject(message.subject),
    sequence: message.sequence,
    meta: commandMetaIn(message.headers),
    data: message.data,
  };
}
