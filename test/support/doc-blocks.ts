// The blocks of code in a page of docs/, what they are to print, and a shell that runs them as they stand.
import { spawn } from 'node:child_process';
import { endWithUs } from './processes/left-behind.ts';
import { within } from './until.ts';

const BLOCK = /^```(\w+)\n([\s\S]*?)^```$/gm;
const FILE_NAME = /^(?:\/\/|#|<!--) (\S+\.\w+)(?: -->)?\n/;
const SERVE = /^((?:\w+=\S+ )*)npm start\n$/;
const MARK = '@@@ block';
const RUN_MS = 120_000;

export type DocBlock =
  | { readonly kind: 'file'; readonly name: string; readonly text: string; readonly line: number }
  /** How the server is started; with what in its environment. */
  | { readonly kind: 'serve'; readonly env: Readonly<Record<string, string>> }
  | Commands;

export interface Commands {
  readonly kind: 'commands';
  readonly text: string;
  /** What the page says that they print; undefined where it says nothing. */
  readonly printed: string | undefined;
  readonly line: number;
}

export interface Outcome {
  readonly said: string;
  readonly code: number;
}

/** A file's name is in its first line, as a comment. Blocks of `text` are what the commands before them print. */
export function docBlocks(page: string): readonly DocBlock[] {
  const found = [...page.matchAll(BLOCK)].map((match) => ({
    language: match[1] ?? '',
    text: match[2] ?? '',
    line: page.slice(0, match.index).split('\n').length,
  }));
  return found.flatMap(({ language, text, line }, at): readonly DocBlock[] => {
    if (language === 'text') return [];
    const name = FILE_NAME.exec(text)?.[1];
    if (name !== undefined) return [{ kind: 'file', name, text, line }];
    if (language !== 'sh') throw new Error(`line ${line}: a block of ${language} without a name`);
    const served = SERVE.exec(text)?.[1];
    if (served !== undefined) return [{ kind: 'serve', env: variables(served) }];
    const next = found[at + 1];
    const printed = next?.language === 'text' ? next.text : undefined;
    return [{ kind: 'commands', text, printed, line }];
  });
}

function variables(words: string): Record<string, string> {
  const pairs = words
    .trim()
    .split(' ')
    .filter((word) => word !== '');
  return Object.fromEntries(
    pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
}

/** … is anything. */
export function patternOf(printed: string): RegExp {
  const parts = printed
    .trimEnd()
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(String.raw`[\s\S]*?`)}$`);
}

/** Of each block that did something else: which, what was wanted and what it said. */
export function differences(
  blocks: readonly Commands[],
  outcomes: readonly Outcome[],
): readonly string[] {
  return blocks.flatMap(({ text, printed, line }, n) => {
    const { said, code } = outcomes[n] ?? { said: '', code: Number.NaN };
    const fine = printed === undefined ? code === 0 : patternOf(printed).test(said);
    const wanted = printed ?? 'exit code 0\n';
    return fine ? [] : [`line ${line}:\n${text}wanted:\n${wanted}printed (${code}):\n${said}`];
  });
}

export interface Shell extends AsyncDisposable {
  /** What each block printed, on both outputs. */
  readonly outcomes: Promise<readonly Outcome[]>;
}

/** One shell for all, as a person has. What it leaves in the background ends with it. */
export function runInShell(
  blocks: readonly Commands[],
  options: { readonly cwd: string; readonly env: Readonly<NodeJS.ProcessEnv> },
): Shell {
  const script = blocks
    .map(({ text }, n) => `${text}\nprintf '\\n${MARK} ${n} %s\\n' $?\n`)
    .join('');
  const shell = spawn('bash', ['-c', `exec 2>&1\n${script}`], {
    ...options,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const { promise, resolve } = Promise.withResolvers<readonly Outcome[]>();
  let out = '';
  const take = (): readonly Outcome[] => {
    const pieces = out.split(new RegExp(`^${MARK} \\d+ (\\d+)\n`, 'm'));
    return blocks.map((_, n) => ({
      said: (pieces[2 * n] ?? '').trim(),
      code: Number(pieces[2 * n + 1] ?? 'NaN'),
    }));
  };
  const last = new RegExp(`^${MARK} ${blocks.length - 1} \\d+\n`, 'm');
  shell.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
    if (last.test(out)) resolve(take());
  });
  shell.once('close', () => resolve(take()));
  const end = (): void => {
    try {
      if (shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL');
    } catch {
      // It has left nothing.
    }
  };
  const ended = endWithUs(shell.pid);
  return {
    outcomes: within(RUN_MS, 'the commands', promise),
    [Symbol.asyncDispose]: async () => {
      end();
      await promise;
      ended();
    },
  };
}
