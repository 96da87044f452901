// One thing that a person types at the prompt. Between two of them the terminal is as the shell left it, so that
// Ctrl-C is a signal while an answer is under way.
import { createInterface } from 'node:readline';
import { onErr } from './terminal.ts';

const HISTORY: string[] = [];

/** Undefined: the person leaves. The prompt goes to stderr: stdout has answers alone. */
export async function askLine(): Promise<string | undefined> {
  const lines: string[] = [];
  for (;;) {
    const line = await readLine(onErr('bold', lines.length === 0 ? '> ' : '… '));
    if (line === undefined) return undefined;
    if (!line.endsWith('\\')) return [...lines, line].join('\n');
    lines.push(line.slice(0, -1));
  }
}

function readLine(prompt: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const reader = createInterface({
    input: process.stdin,
    output: process.stderr,
    history: [...HISTORY],
    prompt,
  });
  reader.on('history', (history) => void HISTORY.splice(0, HISTORY.length, ...history));
  reader.on('SIGINT', () => {
    if (reader.line === '') return reader.close();
    // As a shell does: the line is given up, a new one begins.
    reader.write(null, { ctrl: true, name: 'e' });
    reader.write(null, { ctrl: true, name: 'u' });
  });
  reader.once('line', (line) => {
    resolve(line);
    reader.close();
  });
  reader.once('close', () => {
    process.stdin.pause();
    process.stderr.write(reader.line === '' ? '' : '\n');
    resolve(undefined);
  });
  reader.prompt();
  return promise;
}
