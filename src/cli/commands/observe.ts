// `tailrace observe`: what a chat has said and says, to its end; a lost connection is resumed.
import type { Command } from 'commander';
import { connect } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { followChat } from '../connection/follow.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { parseWhole } from '../request/values.ts';

interface ObserveOptions extends ConnectionOptions, JsonOption {
  readonly after?: number;
}

export function observeCommand(): Command {
  const made = command('observe', 'watch a chat, from any event on, to its end', [
    ['tailrace observe 0199f…', 'the answer as it comes; Ctrl-C leaves, the chat goes on'],
    ['tailrace observe 0199f… --after 17', 'what came after event 17'],
    [
      "tailrace observe 0199f… --json | jq -c '.text_delta // empty'",
      'a line of JSON for each event',
    ],
    ['tailrace observe 0199f… > answer.txt', 'no terminal: the text when it is final'],
  ])
    .argument('<stream-id>', 'the chat')
    .option('--after <sequence>', 'only what is after this event; default: all', parseWhole);
  return withConnection(withJson(made, 'print a line of JSON for each event, at once')).action(
    ending<ObserveOptions>((options, [streamId = '']) =>
      followChat(connect(options), streamId, options),
    ),
  );
}
