// Tables of HTML as text: columns stand under each other where that is readable, and the cost is linear in the
// table, whatever its cells say of their spans.
import type { DomNode, FormatCallback } from 'html-to-text';
import { MAX_HTML_TABLE_COLUMNS, MAX_HTML_TABLE_WIDTH_CHARS } from '../chat/limits.ts';

interface Cell {
  readonly text: string;
  readonly colspan: number;
  readonly rowspan: number;
}

/** A cell in its place: from a column up to another. */
interface Placed {
  readonly column: number;
  readonly end: number;
  readonly lines: readonly string[];
}

const GAP = 3;

/** The library's own lays out each field of a table's square, and takes spans as they are given. */
export const table: FormatCallback = (element, walk, builder) => {
  const parts = element.children.filter(isTag);
  for (const caption of parts.filter(({ name }) => name === 'caption')) {
    builder.openBlock({ leadingLineBreaks: 1 });
    walk(caption.children, builder);
    builder.closeBlock({ trailingLineBreaks: 1 });
  }
  builder.openTable();
  for (const row of rowsIn(parts)) {
    builder.openTableRow();
    for (const cell of row.children) {
      if (cell.name !== 'td' && cell.name !== 'th') continue;
      builder.openTableCell();
      walk(cell.children, builder);
      builder.closeTableCell({
        colspan: spanIn(cell, 'colspan'),
        rowspan: spanIn(cell, 'rowspan'),
      });
    }
    builder.closeTableRow();
  }
  builder.closeTable({ tableToString: tableText });
};

function isTag({ type }: DomNode): boolean {
  return type === 'tag';
}

const GROUPS: ReadonlySet<string | undefined> = new Set(['thead', 'tbody', 'tfoot', 'center']);

function rowsIn(parts: readonly DomNode[]): DomNode[] {
  return parts.flatMap((part) => {
    if (part.name === 'tr') return [part];
    return GROUPS.has(part.name) ? rowsIn(part.children.filter(isTag)) : [];
  });
}

/** As browsers read it: digits, and nothing else counts. */
function spanIn({ attribs }: DomNode, name: string): number {
  const said: unknown = attribs === undefined ? undefined : Reflect.get(attribs, name);
  const digits = typeof said === 'string' ? /^\s*(\d{1,9})/.exec(said)?.[1] : undefined;
  return Math.max(1, Number(digits ?? 1));
}

function tableText(rows: readonly (readonly Cell[])[]): string {
  const placed = placedCells(rows);
  const offsets = offsetsOf(placed);
  const wide = (offsets.at(-1) ?? 0) > MAX_HTML_TABLE_WIDTH_CHARS;
  return placed.map((row) => (wide ? sideBySide(row) : underEachOther(row, offsets))).join('\n');
}

/** What spans rows keeps its columns from the rows below it, as far as the bound. */
function placedCells(rows: readonly (readonly Cell[])[]): Placed[][] {
  /** By column: the first row that is free again. */
  const freeFrom: number[] = [];
  return rows.map((cells, row) => {
    let column = 0;
    return cells.map(({ text, colspan, rowspan }) => {
      while ((freeFrom[column] ?? 0) > row) column++;
      const end = column + Math.max(1, Math.min(colspan, MAX_HTML_TABLE_COLUMNS - column));
      if (rowspan > 1 && end <= MAX_HTML_TABLE_COLUMNS) {
        for (let each = column; each < end; each++) freeFrom[each] = row + rowspan;
      }
      const place = { column, end, lines: text.split('\n') };
      column = end;
      return place;
    });
  });
}

/** Where each column begins, and behind the last one where the table ends. */
function offsetsOf(rows: readonly (readonly Placed[])[]): number[] {
  const ending: Placed[][] = [];
  for (const place of rows.flat()) (ending[place.end] ??= []).push(place);
  const offsets = [0];
  for (let column = 1; column < ending.length; column++) {
    let offset = offsets[column - 1] ?? 0;
    for (const { column: begins, lines } of ending[column] ?? []) {
      const width = lines.reduce((most, { length }) => Math.max(most, length), 0);
      offset = Math.max(offset, (offsets[begins] ?? 0) + width + GAP);
    }
    offsets.push(offset);
  }
  return offsets;
}

function underEachOther(row: readonly Placed[], offsets: readonly number[]): string {
  const out: string[] = [];
  for (const { column, lines } of row) {
    for (const [i, line] of lines.entries()) {
      out[i] ??= '';
      if (line !== '') out[i] = out[i].padEnd(offsets[column] ?? 0) + line;
    }
  }
  return out.join('\n');
}

/** A page's layout, or cells of whole paragraphs: what is padded would be white space for the most part. */
function sideBySide(row: readonly Placed[]): string {
  const texts = row.map(({ lines }) => lines.join('\n'));
  if (row.every(({ lines }) => lines.length === 1)) return texts.join(' | ');
  return texts.filter((text) => text.trim() !== '').join('\n');
}
