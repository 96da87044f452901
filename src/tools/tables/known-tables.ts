// What is known of a table by its text, kept for a while: a request's door, its attempts and its turns ask
// for the same.
import { createHash } from 'node:crypto';
import { KNOWN_TABLES } from '../../chat/limits.ts';
import { type Column, readTable } from './table-rows.ts';

export type TableShape =
  | { readonly ok: true; readonly columns: readonly Column[]; readonly rows: number }
  | { readonly ok: false; readonly why: string };

/** Oldest first. */
const known = new Map<string, TableShape>();

export function tableShape(format: string, data: string): TableShape {
  const key = createHash('sha256').update(format).update(' ').update(data).digest('base64');
  const before = known.get(key);
  if (before !== undefined) return before;
  const read = readTable(format, data);
  const shape: TableShape = read.ok
    ? { ok: true, columns: read.table.columns, rows: read.table.count }
    : read;
  known.set(key, shape);
  if (known.size > KNOWN_TABLES) known.delete(known.keys().next().value ?? '');
  return shape;
}
