// How a command shows the chat that it got: lines for people, the message as the API has it with --json.
import { toJson } from '@bufbuild/protobuf';
import { type ChatStream, ChatStreamSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { answerText, chatLines } from './chat-text.ts';
import { harmless, onOut, print, printJson, shown } from './terminal.ts';

export function showChat(chat: ChatStream, options: { readonly json?: true }): void {
  if (options.json === true) return printJson(chatJson(chat));
  const lines = chatLines(chat);
  const width = Math.max(...lines.map(([key]) => key.length));
  for (const [key, value] of lines) {
    print(`${onOut('bold', key.padEnd(width))}  ${harmless(value)}`);
  }
  const text = answerText(chat.output);
  if (text !== '') print(`\n${shown(text)}`);
}

export function chatJson(chat: ChatStream): ReturnType<typeof toJson<typeof ChatStreamSchema>> {
  return toJson(ChatStreamSchema, chat, { useProtoFieldName: true });
}

/** What every rpc about one chat answers with. */
export function given(chat: ChatStream | undefined): ChatStream {
  if (chat === undefined) throw new Error('The server has answered without a chat stream.');
  return chat;
}
