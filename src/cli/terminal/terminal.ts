// What `tailrace` writes, and how: answers to stdout, everything about them to stderr. Colour only to a
// terminal and never with NO_COLOR; no spinners anywhere.
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** About an answer, not the answer. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, process.stdout.isTTY ? 2 : undefined));
}

/** One value on one line, for what comes as a stream. */
export function printJsonLine(value: unknown): void {
  print(JSON.stringify(value));
}

export function onOut(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

export function onErr(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stderr });
}

/** What others wrote must not steer the terminal: without control characters but line feeds and tabs. */
export function harmless(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(/[^\P{Cc}\n\t]/gu, '\uFFFD');
}

/** Others' text as it may go to stdout: bytes as they are to a file or a program. */
export function shown(text: string): string {
  return process.stdout.isTTY ? harmless(text) : text;
}

/** Columns with two spaces between; the last one is as long as it is. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows].map((row) => row.map((cell) => harmless(cell).replaceAll('\n', ' ')));
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  return all.map((row, i) => {
    const line = row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd();
    return i === 0 ? onOut('bold', line) : line;
  });
}
