// The answer to a query as text for a model: columns and rows as JSON, cut where it would be too long, and saying so.
import {
  MAX_SQL_RESULT_CHARS,
  MAX_SQL_RESULT_ROWS,
  MAX_SQL_SHOWN_VALUE_CHARS,
} from '../../chat/limits.ts';

/** bigint and number: as such where JSON has them exactly. */
export type SqlValue = string | number | bigint | boolean | Uint8Array | null;

export interface RowsText {
  /** False: it is full, and this row is not in it. */
  readonly add: (row: readonly SqlValue[]) => boolean;
  readonly text: () => string;
}

/** Undefined: there are too many columns to be told. */
export function createRowsText(names: readonly string[]): RowsText | undefined {
  const columns = JSON.stringify(names);
  if (columns.length > MAX_SQL_RESULT_CHARS / 2) return undefined;
  const rows: string[] = [];
  let chars = columns.length;
  let cutValues = false;
  let note = '';
  return {
    add: (row) => {
      if (rows.length === MAX_SQL_RESULT_ROWS) {
        note = `only the first ${rows.length} rows; there are more. Aggregate, filter or page with LIMIT and OFFSET.`;
        return false;
      }
      const values = row.map(jsonValue);
      const text = `[${values.map(({ json }) => json).join(',')}]`;
      if (chars + text.length + 1 > MAX_SQL_RESULT_CHARS) {
        note = `only the first ${rows.length} rows, since an answer has at most ${MAX_SQL_RESULT_CHARS} characters; there are more. Select fewer columns, aggregate or filter.`;
        return false;
      }
      chars += text.length + 1;
      cutValues ||= values.some(({ cut }) => cut);
      rows.push(text);
      return true;
    },
    text: () => {
      const all = note === '' ? [] : [note];
      if (cutValues) all.push('Values that end in … are cut.');
      const noted = all.length === 0 ? '' : `,"note":${JSON.stringify(all.join(' '))}`;
      return `{"columns":${columns},"rows":[${rows.join(',')}]${noted}}`;
    },
  };
}

export const TOO_MANY_COLUMNS = 'the result has too many columns; name those that you need';

interface Shown {
  readonly json: string;
  readonly cut: boolean;
}

function jsonValue(value: SqlValue): Shown {
  const { text, cut } = shown(value);
  return { json: JSON.stringify(text), cut };
}

function shown(value: SqlValue): {
  readonly text: string | number | boolean | null;
  readonly cut: boolean;
} {
  if (value === null || typeof value === 'boolean') return { text: value, cut: false };
  if (typeof value === 'number') {
    return { text: Number.isFinite(value) ? value : String(value), cut: false };
  }
  if (typeof value === 'bigint') {
    const number = Number(value);
    return { text: Number.isSafeInteger(number) ? number : String(value), cut: false };
  }
  if (typeof value === 'string') {
    if (value.length <= MAX_SQL_SHOWN_VALUE_CHARS) {
      return { text: value.toWellFormed(), cut: false };
    }
    return { text: `${value.slice(0, MAX_SQL_SHOWN_VALUE_CHARS - 1).toWellFormed()}…`, cut: true };
  }
  const bytes = value.subarray(0, MAX_SQL_SHOWN_VALUE_CHARS / 2);
  const cut = bytes.length < value.length;
  return { text: `${Buffer.from(bytes).toString('hex')}${cut ? '…' : ''}`, cut };
}
