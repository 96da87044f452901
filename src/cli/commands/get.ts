// `tailrace get`: a chat as it stands.
import type { Command } from 'commander';
import { ChatStreamView } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { callOptions, connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { given, showChat } from '../terminal/show-chat.ts';

interface GetOptions extends ConnectionOptions, JsonOption {
  readonly full?: true;
}

export function getCommand(): Command {
  const made = command('get', 'show a chat as it stands', [
    ['tailrace get 0199f…', 'its status, times and usage'],
    ['tailrace get 0199f… --full', 'and its answer so far'],
    ["tailrace get 0199f… --full --json | jq '.output'", 'the answer’s blocks'],
  ])
    .argument('<stream-id>', 'the chat')
    .option('--full', 'with the answer so far; in JSON also with the request');
  return withConnection(withJson(made)).action(
    ending<GetOptions>(async (options, [streamId = '']) => {
      const view = options.full === true ? ChatStreamView.FULL : ChatStreamView.BASIC;
      const { client } = connect(options);
      const { chatStream } = await client.getChatStream({ streamId, view }, callOptions());
      showChat(given(chatStream), options);
      return EXIT.ok;
    }),
  );
}
