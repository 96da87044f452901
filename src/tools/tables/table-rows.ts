// The text of a table, CSV or JSON, as named and typed columns and rows of values. What cannot be read
// without guessing is refused.
import Papa from 'papaparse';
import { MAX_COLUMN_NAME_CHARS, MAX_TABLE_COLUMNS, MAX_TABLES_CELLS } from '../../chat/limits.ts';
import { sqlName } from '../../chat/rules/sql-name.ts';

/** Of SQLite. A boolean of JSON is 1 or 0, an object or array its JSON text. */
export type ColumnType = 'INTEGER' | 'REAL' | 'TEXT';

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
}

export type Value = string | number | null;

export interface TableRows {
  readonly columns: readonly Column[];
  readonly count: number;
  /** Made as they are asked for: most callers ask for the columns alone. */
  readonly rows: () => Generator<readonly Value[]>;
}

export type TableReading =
  | { readonly ok: true; readonly table: TableRows }
  /** Goes on: "request.….table.data: …". */
  | { readonly ok: false; readonly why: string };

/** What a table says, before its columns have types. */
type Cell = string | number | boolean | null;

interface Grid {
  readonly names: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  /** As in CSV: a text may be a number, and an empty one is none. */
  readonly isText: boolean;
}

class Unreadable extends Error {}

export function readTable(format: string, data: string): TableReading {
  try {
    return { ok: true, table: typed(format === 'csv' ? csvGrid(data) : jsonGrid(data)) };
  } catch (error) {
    if (error instanceof Unreadable) return { ok: false, why: error.message };
    throw error;
  }
}

/** The names' line decides: RFC 4180's comma if it has one, else what spreadsheets write. */
function delimiterOf(data: string): string {
  const end = data.indexOf('\n');
  const names = end < 0 ? data : data.slice(0, end);
  return [',', ';', '\t'].find((each) => names.includes(each)) ?? ',';
}

function csvGrid(data: string): Grid {
  const read: string[][] = [];
  let fault: string | undefined;
  Papa.parse<string[]>(data, {
    delimiter: delimiterOf(data),
    skipEmptyLines: true,
    step: ({ data: row, errors: [error] }, parser) => {
      const [names = row] = read;
      if (error !== undefined) fault = `${error.message} in row ${read.length + 1}`;
      else if (row.length !== names.length) {
        fault = `row ${read.length + 1} has ${row.length} values, and there are ${names.length} names in row 1`;
      } else fault = tooLarge(names.length, read.length);
      if (fault === undefined) read.push(row);
      else parser.abort();
    },
  });
  if (fault !== undefined) throw new Unreadable(`is no CSV that can be read: ${fault}`);
  const [names, ...rows] = read;
  if (names === undefined) throw new Unreadable('is empty; the first row has the names of columns');
  return { names, rows, isText: true };
}

function jsonGrid(data: string): Grid {
  let list: unknown;
  try {
    list = LONG_DIGITS.test(data) ? JSON.parse(data, longAsText) : JSON.parse(data);
  } catch {
    throw new Unreadable('is no JSON; it must be an array of objects, one for each row');
  }
  if (!Array.isArray(list)) throw new Unreadable('must be an array of objects, one for each row');
  const places = new Map<string, number>();
  const rows: Cell[][] = [];
  for (const [i, row] of (list as readonly unknown[]).entries()) {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) {
      throw new Unreadable(`must be an array of objects, and item ${i} is none`);
    }
    const cells: Cell[] = [];
    for (const [name, value] of Object.entries(row) as [string, unknown][]) {
      const place = places.get(name) ?? places.size;
      places.set(name, place);
      cells[place] = cellOf(value);
    }
    rows.push(cells);
    const fault = tooLarge(places.size, rows.length);
    if (fault !== undefined) throw new Unreadable(fault);
  }
  if (places.size === 0) throw new Unreadable('has no columns; its objects must have fields');
  // A row that lacks a field has NULL there.
  return { names: [...places.keys()], rows, isText: false };
}

/** Digits of which an integer may be too long to be a number; looking at each value takes longer than reading them. */
const LONG_DIGITS = /\d{16}/;

/** A long id would lose its last digits, and two of them be one. As in CSV it is a text. */
function longAsText(
  _name: string,
  value: unknown,
  context?: { readonly source?: string },
): unknown {
  const { source } = context ?? {};
  const isLong = typeof value === 'number' && !Number.isSafeInteger(value);
  return isLong && source !== undefined && /^-?\d+$/.test(source) ? source : value;
}

function cellOf(value: unknown): Cell {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return value;
  }
  return value === null ? null : JSON.stringify(value);
}

function tooLarge(columns: number, rows: number): string | undefined {
  if (columns > MAX_TABLE_COLUMNS) {
    return `has ${columns} columns or more; at most ${MAX_TABLE_COLUMNS} are taken`;
  }
  if (columns * rows <= MAX_TABLES_CELLS) return undefined;
  return `has more than ${MAX_TABLES_CELLS} values`;
}

function typed({ names, rows, isText }: Grid): TableRows {
  const columns = sqlNames(names).map((name, at): Column => {
    return { name, type: typeOf(rows, at, isText) };
  });
  return {
    columns,
    count: rows.length,
    *rows() {
      for (const row of rows) {
        yield columns.map(({ type }, at) => valueOf(row[at] ?? null, type, isText));
      }
    },
  };
}

function sqlNames(names: readonly string[]): readonly string[] {
  const seen = new Map<string, string>();
  return names.map((given, at) => {
    const name = sqlName(given);
    if (name === '') throw new Unreadable(`column ${at + 1} has no name of letters or digits`);
    if (name.length > MAX_COLUMN_NAME_CHARS) {
      throw new Unreadable(
        `the name of column ${at + 1} has ${name.length} characters; ${MAX_COLUMN_NAME_CHARS} are taken`,
      );
    }
    const same = seen.get(name.toLowerCase());
    if (same !== undefined) {
      throw new Unreadable(
        `the columns "${same}" and "${given}" are both "${name}" in SQL; rename one`,
      );
    }
    seen.set(name.toLowerCase(), given);
    return name;
  });
}

/** Without leading zeros, which codes have and numbers do not. */
const NUMBER = /^\s*-?(?:(?:0|[1-9]\d*)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?\s*$/;

function typeOf(rows: Grid['rows'], at: number, isText: boolean): ColumnType {
  let type: ColumnType | undefined;
  for (const row of rows) {
    const cell = row[at] ?? null;
    if (cell === null || (isText && cell === '')) continue;
    const own = cellType(cell, isText);
    if (own === 'TEXT') return own;
    if (type !== 'REAL') type = own;
  }
  return type ?? 'TEXT';
}

function cellType(cell: string | number | boolean, isText: boolean): ColumnType {
  if (typeof cell === 'boolean') return 'INTEGER';
  if (typeof cell === 'string' && !(isText && NUMBER.test(cell))) return 'TEXT';
  const value = Number(cell);
  if (Number.isSafeInteger(value)) return 'INTEGER';
  // A long id would lose its last digits.
  if (typeof cell === 'string' && /^\s*-?\d+\s*$/.test(cell)) return 'TEXT';
  return Number.isFinite(value) ? 'REAL' : 'TEXT';
}

function valueOf(cell: Cell, type: ColumnType, isText: boolean): Value {
  if (cell === null || (isText && cell === '')) return null;
  return type === 'TEXT' ? String(cell) : Number(cell);
}
