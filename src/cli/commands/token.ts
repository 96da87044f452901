// `tailrace token`: makes a token for a tenant, for the operator.
import { Argument, type Command, InvalidArgumentError } from 'commander';
import { EXIT } from '../outcome/exit-codes.ts';
import { command, ending, type JsonOption, withJson } from './run.ts';
import { isTenant, newToken } from '../../main/token.ts';
import { print, printJson } from '../terminal/terminal.ts';

export function tokenCommand(): Command {
  const made = command('token', 'make a token for a tenant', [
    ['tailrace token acme', 'shows it once, and the line for the tokens file'],
    ['TAILRACE_TOKENS_FILE=tokens tailrace token acme', 'adds the line to that file'],
  ]).addArgument(
    new Argument('<tenant>', '1 to 63 characters of a–z, 0–9 and -').argParser((tenant: string) => {
      if (isTenant(tenant)) return tenant;
      throw new InvalidArgumentError('It must be 1 to 63 characters of a–z, 0–9 and -.');
    }),
  );
  return withJson(made, 'print JSON').action(
    ending<JsonOption>(async (options, [tenant = '']) => {
      const named = process.env['TAILRACE_TOKENS_FILE'];
      const file = named === '' ? undefined : named;
      const { token, line } = await newToken(tenant, file);
      if (options.json === true) {
        printJson({ tenant, token, line, ...(file === undefined ? {} : { added_to: file }) });
        return EXIT.ok;
      }
      print(`token for ${tenant}, shown only now: ${token}`);
      print(
        file === undefined
          ? `the line for the file in TAILRACE_TOKENS_FILE: ${line}`
          : `added to ${file}: ${line}`,
      );
      return EXIT.ok;
    }),
  );
}
