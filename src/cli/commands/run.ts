// What every command of `tailrace` has in common: --json, examples in its help, and an end that is told and
// has an exit code.
import { Command } from 'commander';
import { EXIT, type ExitCode } from '../outcome/exit-codes.ts';

export interface JsonOption {
  readonly json?: true;
}

/** `examples`: what to type, and what it is for. */
export function command(
  name: string,
  summary: string,
  examples: readonly (readonly [string, string])[],
): Command {
  const width = Math.max(...examples.map(([typed]) => typed.length));
  const lines = examples.map(([typed, what]) => `  ${typed.padEnd(width)}   # ${what}`);
  return new Command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase() ?? ''}${summary.slice(1)}.`)
    .allowExcessArguments(false)
    .addHelpText('after', `\nExamples:\n${lines.join('\n')}`);
}

export function withJson(made: Command, what = 'print JSON, as the API has it'): Command {
  return made.option('--json', what);
}

/** A command's work as commander wants it: what it throws is told, what it answers is the exit code. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it says what the flags are
export function ending<T extends object>(
  work: (options: T, args: readonly string[]) => Promise<ExitCode>,
): (this: Command) => Promise<void> {
  return async function act(this: Command) {
    const options = this.opts<T & JsonOption & { readonly address?: string }>();
    try {
      process.exitCode = await work(options, this.args);
    } catch (error) {
      const { tell, toldOf } = await import('../outcome/failure.ts');
      const told = toldOf(error, options.address);
      tell(told, fullName(this), options.json === true);
      process.exitCode = told.exit === EXIT.ok ? EXIT.failed : told.exit;
    }
  };
}

function fullName(of: Command): string {
  return of.parent === null ? of.name() : `${fullName(of.parent)} ${of.name()}`;
}
