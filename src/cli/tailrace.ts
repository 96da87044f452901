// `tailrace`: what bin/tailrace.mjs starts. Reads the arguments, runs the command, ends with its exit code.
import { type Command, CommanderError } from 'commander';
import { EXIT } from './outcome/exit-codes.ts';
import { createProgram } from './program.ts';
import { note } from './terminal/terminal.ts';

// `tailrace list | head` has all that it wants: that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  note(`tailrace: what it prints cannot be written: ${error.message}`);
  process.exit(EXIT.failed);
});
// Who does not read what is said beside it has the exit code.
process.stderr.on('error', () => undefined);

const args = process.argv.slice(2);
const program = await createProgram(args);
try {
  if (args.length === 0) {
    program.outputHelp({ error: true });
    process.exitCode = EXIT.usage;
  } else await program.parseAsync(noCommand(program, args) ?? args, { from: 'user' });
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Commander has said what is wrong, or has shown the help or the version that was asked for.
  process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
}

/** Help of a command that there is not would be the help of all, and nobody would see why. */
function noCommand(
  { commands }: Command,
  [first = '', second = '']: string[],
): string[] | undefined {
  const name = first === 'help' ? second : first;
  const known = name === '' || name.startsWith('-') || name === 'help';
  return known || commands.some((each) => each.name() === name) ? undefined : [name];
}
