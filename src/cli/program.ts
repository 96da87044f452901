// src/cli: the command line. A client like others, with the client library, and beside it the entry points of
// src/main by name. One file for each command; here they are put together. May not live here: anything that a
// program in another language could not do as well, but for serve, demo, token, config check and doctor.
import tab from '@bomb.sh/tab/commander';
import { Command } from 'commander';
import { chatCommand } from './chat.ts';
import { configCommand } from './config.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { cancelCommand, deleteCommand } from './end-chats.ts';
import { EXIT_MEANINGS } from './exit-codes.ts';
import { getCommand } from './get.ts';
import { initiateCommand } from './initiate.ts';
import { listCommand } from './list.ts';
import { modelsCommand } from './models.ts';
import { observeCommand } from './observe.ts';
import { apiCommand, serveCommand, workerCommand } from './serve.ts';
import { submitCommand } from './submit.ts';
import { onErr, onOut } from './terminal.ts';
import { tokenCommand } from './token.ts';
import { packageVersion } from './version.ts';
import { waitCommand } from './wait.ts';

export function createProgram(): Command {
  const program = new Command('tailrace')
    .description('LLM chats that run durably in the background.')
    .version(packageVersion(), '-V, --version')
    .usage('<command> [options]')
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: (text, write) => write(onErr('red', text)) })
    .configureHelp({
      styleTitle: (text) => onOut('bold', text),
      styleCommandText: (text) => onOut('cyan', text),
    })
    .addHelpText('after', footer());
  const groups: readonly (readonly [string, readonly Command[]])[] = [
    [
      'Chats:',
      [
        chatCommand(),
        initiateCommand(),
        observeCommand(),
        waitCommand(),
        getCommand(),
        listCommand(),
        cancelCommand(),
        deleteCommand(),
        submitCommand(),
        modelsCommand(),
      ],
    ],
    [
      'Running Tailrace:',
      [
        serveCommand(),
        apiCommand(),
        workerCommand(),
        demoCommand(),
        tokenCommand(),
        configCommand(),
        doctorCommand(),
      ],
    ],
  ];
  for (const [group, commands] of groups) {
    program.commandsGroup(group);
    for (const each of commands) program.addCommand(each.helpGroup(group));
  }
  program.commandsGroup('Else:');
  // `complete`, which the scripts call at each Tab, comes with it and is hidden.
  tab(program, { completionCommandName: 'completion' });
  const completion = program.commands.find((each) => each.name() === 'completion');
  completion
    ?.helpGroup('Else:')
    .description('Print the completion script of a shell.')
    .summary('print the completion script of a shell')
    .addHelpText('after', COMPLETION_EXAMPLES);
  for (const each of everyCommand(program)) {
    each
      .copyInheritedSettings(program)
      .exitOverride()
      .showHelpAfterError(`Try: ${pathOf(each)} --help`);
  }
  return program;
}

const COMPLETION_EXAMPLES = `
Examples:
  source <(tailrace completion bash)                                        # this bash
  tailrace completion bash > ~/.local/share/bash-completion/completions/tailrace   # every bash
  source <(tailrace completion zsh)                                         # this zsh
  tailrace completion fish > ~/.config/fish/completions/tailrace.fish       # every fish`;

function footer(): string {
  const codes = EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
  return `
Environment:
  TAILRACE_ADDRESS  where Tailrace is, as --address; default http://127.0.0.1:8080
  TAILRACE_TOKEN    your token, as --token
  NO_COLOR          no colour, on a terminal either

Exit codes:
${codes.join('\n')}

Examples:
  tailrace serve                                    # in one terminal
  tailrace chat                                     # in another
  tailrace initiate "What is a river?" --follow     # start a chat and watch it`;
}

function everyCommand(of: Command): Command[] {
  return [of, ...of.commands.flatMap(everyCommand)];
}

function pathOf(of: Command): string {
  return of.parent === null ? of.name() : `${pathOf(of.parent)} ${of.name()}`;
}
