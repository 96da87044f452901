// `tailrace cancel` and `tailrace delete`: for one chat or several, one after the other; the first that fails
// ends the command.
import type { Command } from 'commander';
import { EXIT } from '../outcome/exit-codes.ts';
import { exitOfStatus } from '../outcome/exit-of.ts';
import { statusName } from '../terminal/chat-text.ts';
import { callOptions, connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { chatJson, given } from '../terminal/show-chat.ts';
import { harmless, print, printJsonLine } from '../terminal/terminal.ts';

interface CancelOptions extends ConnectionOptions, JsonOption {
  readonly reason?: string;
}

export function cancelCommand(): Command {
  const made = command('cancel', 'cancel chats', [
    ['tailrace cancel 0199f…', 'one that had ended stays as it was'],
    ['tailrace cancel 0199f… --reason "asked twice"', 'the reason stands in the cancelled event'],
    [
      "tailrace list --status pending --json | jq -r '.chat_streams[].stream_id' | xargs tailrace cancel",
      'all that wait',
    ],
  ])
    .argument('<stream-id...>', 'the chats')
    .option('--reason <text>', 'why, for those who watch');
  return withConnection(withJson(made, 'print a line of JSON for each chat')).action(
    ending<CancelOptions>(async (options, streamIds) => {
      const { client } = connect(options);
      for (const streamId of streamIds) {
        const { reason = '' } = options;
        const { chatStream } = await client.cancelChatStream({ streamId, reason }, callOptions());
        const chat = given(chatStream);
        if (options.json === true) printJsonLine(chatJson(chat));
        else {
          // A running one is told; its worker ends it in a moment.
          const asked =
            exitOfStatus(chat.status) === EXIT.chatNotOver ? ', and is being cancelled' : '';
          print(harmless(`${chat.streamId}: ${statusName(chat.status)}${asked}`));
        }
      }
      return EXIT.ok;
    }),
  );
}

export function deleteCommand(): Command {
  const made = command('delete', 'delete chats with all that they hold', [
    ['tailrace delete 0199f…', 'a running one is cancelled first; its id stays taken'],
  ]).argument('<stream-id...>', 'the chats');
  return withConnection(withJson(made, 'print a line of JSON for each chat')).action(
    ending<ConnectionOptions & JsonOption>(async (options, streamIds) => {
      const { client } = connect(options);
      for (const streamId of streamIds) {
        await client.deleteChatStream({ streamId }, callOptions());
        if (options.json === true) printJsonLine({ stream_id: streamId, deleted: true });
        else print(harmless(`${streamId}: deleted`));
      }
      return EXIT.ok;
    }),
  );
}
