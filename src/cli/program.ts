// src/cli: the command line. A client like others, with the client library, and beside it the entry points of
// src/main by name. One file for each command; here they are put together. May not live here: anything that a
// program in another language could not do as well, but for serve, demo, token, config check and doctor.
import { Command } from 'commander';
import { EXIT, EXIT_MEANINGS } from './outcome/exit-codes.ts';
import { note, onErr, onOut } from './terminal/terminal.ts';
import { packageVersion } from './version.ts';

type Commands = Readonly<Record<string, () => Promise<Command>>>;

const CHATS: Commands = {
  chat: async () => (await import('./commands/chat.ts')).chatCommand(),
  initiate: async () => (await import('./commands/initiate.ts')).initiateCommand(),
  observe: async () => (await import('./commands/observe.ts')).observeCommand(),
  wait: async () => (await import('./commands/wait.ts')).waitCommand(),
  get: async () => (await import('./commands/get.ts')).getCommand(),
  list: async () => (await import('./commands/list.ts')).listCommand(),
  cancel: async () => (await import('./commands/end-chats.ts')).cancelCommand(),
  delete: async () => (await import('./commands/end-chats.ts')).deleteCommand(),
  submit: async () => (await import('./commands/submit.ts')).submitCommand(),
  models: async () => (await import('./commands/models.ts')).modelsCommand(),
};

const RUNNING: Commands = {
  serve: async () => (await import('./commands/serve.ts')).serveCommand(),
  api: async () => (await import('./commands/serve.ts')).apiCommand(),
  worker: async () => (await import('./commands/serve.ts')).workerCommand(),
  demo: async () => (await import('./commands/demo.ts')).demoCommand(),
  token: async () => (await import('./commands/token.ts')).tokenCommand(),
  config: async () => (await import('./commands/config.ts')).configCommand(),
  doctor: async () => (await import('./commands/doctor.ts')).doctorCommand(),
};

const GROUPS: Readonly<Record<string, Commands>> = {
  'Chats:': CHATS,
  'Running Tailrace:': RUNNING,
};
const ELSE = 'Else:';

/** Where the first argument is a command, the others need not be loaded. */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const [first] = args;
  const asJson = args.slice(0, endOfFlags(args)).includes('--json');
  const program = new Command('tailrace')
    .description('LLM chats that run durably in the background.')
    .version(packageVersion(), '-V, --version')
    .usage('<command> [options]')
    .configureOutput({ outputError: (text, write) => write(onErr('red', text)) })
    .configureHelp({
      styleTitle: (text) => onOut('bold', text),
      styleCommandText: (text) => onOut('cyan', text),
    })
    .addHelpText('after', footer());
  const alone = Object.values(GROUPS).some((commands) => first !== undefined && first in commands);
  for (const [group, commands] of Object.entries(GROUPS)) {
    for (const [name, make] of Object.entries(commands)) {
      if (!alone || name === first) program.addCommand((await make()).helpGroup(group));
    }
  }
  if (!alone) {
    const { completeCommand, completionCommand } = await import('./commands/completion.ts');
    program
      .addCommand(completionCommand().helpGroup(ELSE))
      .addCommand(completeCommand(program), { hidden: true })
      .addHelpCommand(
        new Command('help').argument('[command]').summary('as --help').helpGroup(ELSE),
      );
  }
  for (const each of everyCommand(program)) {
    each.copyInheritedSettings(program).exitOverride();
    const path = pathOf(each);
    const todo = `Try: ${path} --help`;
    if (asJson) each.configureOutput({ outputError: (text) => tellJson(path, text, todo) });
    else each.showHelpAfterError(todo);
  }
  return program;
}

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

function endOfFlags(args: readonly string[]): number {
  const at = args.indexOf('--');
  return at < 0 ? args.length : at;
}

/** As failure.ts has it, which would be loaded for every command. */
function tellJson(command: string, text: string, todo: string): void {
  const message = text.replace(/^error: /, '').trim();
  const error = { command, message, remedy: todo, exit_code: EXIT.usage };
  note(JSON.stringify({ error }));
}

function pathOf(of: Command): string {
  return of.parent === null ? of.name() : `${pathOf(of.parent)} ${of.name()}`;
}
