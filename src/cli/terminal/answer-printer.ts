// An answer as it grows, on a terminal: text plain, reasoning and tools dim. What a lost attempt had said cannot be
// taken back there, so a line says where it is said anew. Without a terminal nothing is printed before it is final.
import type { AnswerPart, ChatSnapshot } from '../../../clients/typescript/src/snapshot.ts';
import { harmless, note, onErr, onOut, print } from './terminal.ts';

export interface AnswerPrinter {
  /** With each new snapshot. */
  readonly show: (snapshot: ChatSnapshot) => void;
  /** A line about it, on stderr, never within a line of the answer. */
  readonly remark: (line: string) => void;
  /** The last snapshot was the last. */
  readonly end: () => void;
}

const RESULT_CHARS = 200;

export function createAnswerPrinter(): AnswerPrinter {
  return process.stdout.isTTY ? livePrinter() : finalPrinter();
}

function finalPrinter(): AnswerPrinter {
  let last: ChatSnapshot | undefined;
  let warned = 0;
  return {
    show: (snapshot) => {
      last = snapshot;
      warned = warn(snapshot, warned, note);
    },
    remark: note,
    end: () => {
      if (last !== undefined && last.text !== '') print(last.text);
    },
  };
}

function livePrinter(): AnswerPrinter {
  /** Characters of each part that were written. */
  let written = new Map<string, number>();
  let shown: readonly AnswerPart[] = [];
  let current: string | undefined;
  let atLineStart = true;
  let attempt = 0;
  let warned = 0;

  const write = (text: string): void => {
    if (text === '') return;
    process.stdout.write(text);
    atLineStart = text.endsWith('\n');
  };
  const newLine = (): void => {
    if (!atLineStart) write('\n');
  };
  const remark = (line: string): void => {
    newLine();
    note(line);
  };
  const showPart = (part: AnswerPart): void => {
    const name = nameOf(part);
    const before = written.get(name) ?? 0;
    const text = textOf(part);
    if (text.length <= before) return;
    if (current !== name) newLine();
    current = name;
    const more = harmless(text.slice(before));
    write(part.kind === 'text' ? more : onOut('dim', more));
    written.set(name, text.length);
  };
  return {
    show: (snapshot) => {
      if (snapshot.attempt > attempt) {
        const kept = new Map(snapshot.parts.map((part) => [nameOf(part), textOf(part).length]));
        const lost = [...written].some(([name, chars]) => chars > (kept.get(name) ?? 0));
        if (lost) {
          remark(
            onErr(
              'yellow',
              'A worker was lost; what it said after its last finished step is said anew:',
            ),
          );
          written = kept;
          current = undefined;
        }
        attempt = snapshot.attempt;
      }
      warned = warn(snapshot, warned, remark);
      const { parts } = snapshot;
      // What has not changed is the same object: a long chat has thousands.
      for (const [at, part] of parts.entries()) if (part !== shown[at]) showPart(part);
      shown = parts;
    },
    remark,
    end: newLine,
  };
}

function warn(snapshot: ChatSnapshot, from: number, say: (line: string) => void): number {
  for (const { message, field } of snapshot.warnings.slice(from)) {
    const about = field === '' ? '' : `${harmless(field)}: `;
    say(onErr('yellow', `warning: ${about}${harmless(message)}`));
  }
  return snapshot.warnings.length;
}

/** A client's result has the index of its call. */
function nameOf({ kind, index }: AnswerPart): string {
  return `${kind} ${index}`;
}

/** Only ever grows while the part does. */
function textOf(part: AnswerPart): string {
  switch (part.kind) {
    case 'text':
    case 'thinking':
      return part.text;
    case 'toolUse':
      if (!part.done) return '';
      return part.incomplete
        ? `[${part.name} ${part.input}… (cut off)]`
        : `[${part.name} ${part.input}]`;
    case 'toolResult':
      return part.done ? `[${part.isError ? 'error: ' : ''}${resultText(part.content)}]` : '';
  }
}

function resultText(content: Extract<AnswerPart, { kind: 'toolResult' }>['content']): string {
  const text = content
    .map(({ block }) => (block.case === 'text' ? block.value : `(${block.case ?? 'nothing'})`))
    .join(' ')
    .replaceAll(/\s+/g, ' ');
  return text.length > RESULT_CHARS ? `${text.slice(0, RESULT_CHARS)}…` : text;
}
