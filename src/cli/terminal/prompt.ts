// What a person types in a conversation, line by line, and Ctrl-C. What is typed or pasted while an answer is under way
// is asked after it. The prompt goes to stderr: stdout has answers alone.
import { createInterface } from 'node:readline';
import { onErr } from './terminal.ts';

/** Calls back at each Ctrl-C until the returned function is called. */
export type Interrupts = (listener: () => void) => () => void;

export interface Prompt extends Disposable {
  /** Undefined: the person leaves. */
  readonly ask: () => Promise<string | undefined>;
  readonly interrupts: Interrupts;
}

/** Ctrl-C where nobody is asked: a signal. */
export const signalled: Interrupts = (listener) => {
  process.on('SIGINT', listener);
  return () => void process.off('SIGINT', listener);
};

export function openPrompt(): Prompt {
  const reader = createInterface({ input: process.stdin, output: process.stderr });
  const typed: string[] = [];
  const listeners = new Set<() => void>();
  let closed = false;
  let asking: ((line: string | undefined) => void) | undefined;

  reader.on('line', (line) => {
    if (asking === undefined) typed.push(line);
    else asking(line);
  });
  reader.on('close', () => {
    closed = true;
    asking?.(undefined);
  });
  const interrupt = (): void => {
    if (listeners.size > 0) {
      for (const listener of listeners) listener();
    } else if (reader.line === '') {
      process.stderr.write('\n');
      reader.close();
    } else {
      // As a shell does: the line is given up, a new one begins.
      reader.write(null, { ctrl: true, name: 'e' });
      reader.write(null, { ctrl: true, name: 'u' });
    }
  };
  // By the key, where the terminal leaves it to the reader, or sent.
  reader.on('SIGINT', interrupt);
  process.on('SIGINT', interrupt);

  const nextLine = async (prompt: string): Promise<string | undefined> => {
    const before = typed.shift();
    if (before !== undefined || closed) return before;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    asking = resolve;
    reader.setPrompt(onErr('bold', prompt));
    reader.prompt();
    try {
      return await promise;
    } finally {
      asking = undefined;
    }
  };
  return {
    ask: async () => {
      const lines: string[] = [];
      for (;;) {
        const line = await nextLine(lines.length === 0 ? '> ' : '… ');
        if (line === undefined) return undefined;
        if (!line.endsWith('\\')) return [...lines, line].join('\n');
        lines.push(line.slice(0, -1));
      }
    },
    interrupts: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    [Symbol.dispose]: () => {
      process.off('SIGINT', interrupt);
      reader.close();
    },
  };
}
