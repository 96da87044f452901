// A history, chat by chat.
import type { ChatLog } from './chat-log.ts';
import { joinLog } from './chat-log.ts';
import type { History, Observation, StartCall } from './history.ts';

/** All that a history holds of one chat. */
export interface ChatHistory {
  readonly chat: string;
  readonly starts: readonly StartCall[];
  readonly cancels: History['cancels'];
  readonly deletes: History['deletes'];
  readonly reads: History['reads'];
  readonly observations: readonly Observation[];
  readonly taken: History['taken'];
  readonly calls: History['calls'];
  readonly toolRuns: History['toolRuns'];
  readonly log: ChatLog;
}

export function chatsOf(history: History): ChatHistory[] {
  const by = <T extends { readonly chat: string }>(all: readonly T[]) =>
    Map.groupBy(all, ({ chat }) => chat);
  const cancels = by(history.cancels);
  const deletes = by(history.deletes);
  const reads = by(history.reads);
  const observations = by(history.observations);
  const taken = by(history.taken);
  const calls = by(history.calls);
  const toolRuns = by(history.toolRuns);
  return [...by(history.starts)].map(([chat, starts]) => ({
    chat,
    starts,
    cancels: cancels.get(chat) ?? [],
    deletes: deletes.get(chat) ?? [],
    reads: reads.get(chat) ?? [],
    observations: observations.get(chat) ?? [],
    taken: taken.get(chat) ?? [],
    calls: calls.get(chat) ?? [],
    toolRuns: toolRuns.get(chat) ?? [],
    log: joinLog(observations.get(chat) ?? []),
  }));
}
