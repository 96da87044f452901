// Lists of what a tool may use, in its description: bounded, and what is beyond the bound is counted.
import { MAX_LISTED_DESCRIPTION_CHARS, MAX_TOOL_LIST_CHARS } from '../../chat/limits.ts';

/** One line each. `what`: documents. */
export function listing(
  lines: readonly string[],
  what: string,
  mostChars: number = MAX_TOOL_LIST_CHARS,
): string {
  let chars = 0;
  const shown: string[] = [];
  for (const line of lines) {
    chars += line.length + 1;
    if (chars > mostChars && shown.length > 0) break;
    shown.push(line);
  }
  const hidden = lines.length - shown.length;
  if (hidden > 0) shown.push(`… and ${hidden} more ${what}`);
  return shown.join('\n');
}

/** A caller's words on one line, cut. */
export function oneLine(text: string, chars: number = MAX_LISTED_DESCRIPTION_CHARS): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= chars ? line : `${line.slice(0, chars - 1).toWellFormed()}…`;
}
