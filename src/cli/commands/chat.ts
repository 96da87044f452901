// `tailrace chat`: a conversation on a terminal. Each turn is a chat of its own that carries what was said before.
// With a text or with stdin from elsewhere it is one turn.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { connect, type Connection } from '../connection/connection.ts';
import { type ConnectionOptions, withConnection } from '../connection/connection-options.ts';
import { openConversation } from './conversation.ts';
import { EXIT, type ExitCode } from '../outcome/exit-codes.ts';
import { saidText } from '../request/input.ts';
import { openPrompt, signalled } from '../terminal/prompt.ts';
import {
  fieldsOf,
  type RequestFlags,
  userMessage,
  withRequestFlags,
} from '../request/request-flags.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { tell, toldOf, usageFailure } from '../outcome/failure.ts';
import { harmless, note, onErr } from '../terminal/terminal.ts';

type ChatOptions = ConnectionOptions & JsonOption & RequestFlags;

const HELP = `  /new            begin anew, with nothing said before
  /model <name>   ask this model from now on
  /id             the id of the last turn, for \`tailrace get\`
  /quit           leave; so does Ctrl-D, and Ctrl-C at an empty prompt
A line that ends with \\ goes on in the next. // begins a message that begins with /.`;

export function chatCommand(): Command {
  const made = command('chat', 'have a conversation', [
    ['tailrace chat', 'on a terminal; /help says what else can be typed'],
    ['tailrace chat -m gpt-5-mini -s "Answer in rhymes."', 'with a model and a system text'],
    ['tailrace chat "What is a river?"', 'one question, one answer'],
    ['git diff | tailrace chat "Review this."', 'stdin comes after the text'],
    ['tailrace chat --document report.pdf "Sum it up."', 'with a document'],
  ])
    .argument('[text...]', 'what you say; without it you are asked')
    .addHelpText(
      'after',
      '\nCtrl-C cancels the answer that is under way, a second one leaves. A lost connection is resumed.',
    );
  return withConnection(
    withJson(withRequestFlags(made), 'print a line of JSON for each event, at once'),
  ).action(
    ending<ChatOptions>(async (options, words) => {
      const connection = connect(options);
      const fields = await fieldsOf(options);
      if (words.length === 0 && process.stdin.isTTY) return talk(connection, fields, options);
      const message = await userMessage(await saidText(words), options);
      if (message === undefined) throw usageFailure('There is nothing to ask.', 'give a text.');
      return openConversation(connection, fields, { ...options, interrupts: signalled }).say(
        message,
      );
    }),
  );
}

async function talk(
  connection: Connection,
  fields: JsonObject,
  options: ChatOptions,
): Promise<ExitCode> {
  using prompt = openPrompt();
  const { interrupts } = prompt;
  const conversation = openConversation(connection, fields, { ...options, interrupts });
  note(onErr('dim', `${connection.address}; /help says what can be typed, Ctrl-D leaves.`));
  // What was given as a flag is part of the first thing that is said.
  let attached: RequestFlags = options;
  for (;;) {
    const line = await prompt.ask();
    if (line === undefined) return EXIT.ok;
    const text = line.trim();
    if (text === '') continue;
    if (text.startsWith('/') && !text.startsWith('//')) {
      if (text === '/quit' || text === '/exit') return EXIT.ok;
      obey(text, conversation);
      continue;
    }
    const said = text.startsWith('//') ? text.slice(1) : text;
    try {
      const message = await userMessage(said, attached);
      if (message === undefined) continue;
      const exit = await conversation.say(message);
      attached = {};
      if (exit === EXIT.interrupted) return exit;
    } catch (error) {
      // The conversation is as it was: it may be said again, or otherwise.
      tell(toldOf(error, connection.address), 'tailrace chat', options.json === true);
    }
  }
}

function obey(text: string, conversation: ReturnType<typeof openConversation>): void {
  const [order = '', ...rest] = text.split(/\s+/);
  const value = rest.join(' ');
  switch (order) {
    case '/help':
      return note(HELP);
    case '/new':
      conversation.forget();
      return note('Nothing was said before.');
    case '/model':
      if (value === '') return note('Say which: /model <name>. `tailrace models` lists them.');
      conversation.set('model', value);
      return note(harmless(`From now on: ${value}.`));
    case '/id':
      return note(conversation.lastId() ?? 'Nothing was said yet.');
    default:
      return note(harmless(`${order} is not known.\n${HELP}`));
  }
}
