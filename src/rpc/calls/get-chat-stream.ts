// GetChatStream: a chat as it stands at the leader.
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamView } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { ChatList } from '../../chat/ports/chat-list.ts';
import { fullView, withPosition } from '../../chat/fold/chat-view.ts';
import type { CommandInbox } from '../../chat/ports/commands.ts';
import type { EventLog } from '../../chat/ports/event-log.ts';
import { readChat, readView } from '../../chat/log/read-chat.ts';
import { foldLog } from '../../chat/log/read-log.ts';

export interface GetDeps {
  readonly inbox: CommandInbox;
  readonly log: EventLog;
  readonly list: Pick<ChatList, 'position'>;
}

export async function getChatStream(
  deps: GetDeps,
  chat: ChatKey,
  view: ChatStreamView,
): Promise<ChatStream> {
  const { start, tail } = await readChat(deps.inbox, deps.log, chat);
  const bare = await readView(deps.log, start, tail);
  const basic = withPosition(bare, start, deps.list.position);
  if (view !== ChatStreamView.FULL) return basic;
  return fullView(basic, start, await foldLog(deps.log, chat, tail));
}
