// `tailrace completion`: a script for each shell, and `tailrace complete`, hidden, which they call at each Tab with the
// words so far. What can be typed is read off the commands themselves.
import { Argument, Command, type Option } from 'commander';
import { command, ending } from './run.ts';
import { EXIT } from '../outcome/exit-codes.ts';
import { print } from '../terminal/terminal.ts';

/** The words go as they are, never through eval: what is typed is not run before Enter. */
const BASH = `_tailrace() {
  local value description
  COMPREPLY=()
  while IFS=$'\\t' read -r value description; do
    if [[ $value == ':files' ]]; then
      COMPREPLY=()
      compopt -o default
      return
    fi
    COMPREPLY+=("$value")
  done < <(tailrace complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _tailrace tailrace`;

const ZSH = `#compdef tailrace
_tailrace() {
  local value description
  local -a found
  while IFS=$'\\t' read -r value description; do
    if [[ $value == ':files' ]]; then
      _files
      return
    fi
    found+=("\${value//:/\\\\:}:$description")
  done < <(tailrace complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe tailrace found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _tailrace "$@"; else compdef _tailrace tailrace; fi`;

const FISH = `function __tailrace_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (tailrace complete -- $words[2..] 2>/dev/null)
  if test "$found[1]" = ':files'
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $found
  end
end
complete -c tailrace -f -a '(__tailrace_complete)'`;

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };

export function completionCommand(): Command {
  return command('completion', 'print the completion script of a shell', [
    ['source <(tailrace completion bash)', 'this bash; in ~/.bashrc every one'],
    ['source <(tailrace completion zsh)', 'this zsh, after compinit; in ~/.zshrc every one'],
    ['tailrace completion fish > ~/.config/fish/completions/tailrace.fish', 'every fish'],
  ])
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(SCRIPTS)))
    .action(
      ending((_options, [shell = '']) => {
        print(SCRIPTS[shell] ?? '');
        return Promise.resolve(EXIT.ok);
      }),
    );
}

export function completeCommand(program: Command): Command {
  return new Command('complete').argument('[words...]').action((words: readonly string[]) => {
    for (const line of complete(program, words)) print(line);
  });
}

const FILES = ':files';

/** A line for each word that may stand for the last one: the word, a tab, what it is. */
function complete(program: Command, words: readonly string[]): readonly string[] {
  const typed = words.at(-1) ?? '';
  let current = program;
  let open: Option | undefined;
  let given = 0;
  for (const word of words.slice(0, -1)) {
    if (open !== undefined) open = undefined;
    else if (word.startsWith('-')) open = wantsValue(optionOf(current, word));
    else {
      const below = visible(current).find((each) => each.name() === word);
      if (below === undefined) given++;
      else current = below;
    }
  }
  return candidates(current, open, given, typed).filter(
    (line) => line === FILES || line.startsWith(typed),
  );
}

function candidates(
  current: Command,
  open: Option | undefined,
  given: number,
  typed: string,
): readonly string[] {
  if (open !== undefined) return open.argChoices ?? (/<file/.test(open.flags) ? [FILES] : []);
  if (typed.startsWith('-')) {
    return [...current.options.filter(({ hidden }) => !hidden), HELP].map(
      ({ long, short, description }) => `${long ?? short}\t${description}`,
    );
  }
  const commands = visible(current);
  if (commands.length > 0) return commands.map((each) => `${each.name()}\t${each.summary()}`);
  return current.registeredArguments[given]?.argChoices ?? [];
}

const HELP = { long: '--help', short: '-h', description: 'display help for command' };

function optionOf(current: Command, word: string): Option | undefined {
  return current.options.find(({ long, short }) => word === long || word === short);
}

function wantsValue(option: Option | undefined): Option | undefined {
  return option?.required === true ? option : undefined;
}

function visible(current: Command): readonly Command[] {
  return current.createHelp().visibleCommands(current);
}
