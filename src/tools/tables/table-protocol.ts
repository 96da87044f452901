// What a process that runs chats and the process that queries their tables say to each other: one job, one
// reply.
import type { QueryAnswer } from '../sql/select.ts';
import type { NamedTable } from './table-database.ts';

/** The tables of one chat. */
export interface TableSet {
  /** By their content: equal tables are loaded once. */
  readonly key: string;
  readonly tables: readonly NamedTable[];
}

export type TableJob =
  | { readonly do: 'load'; readonly set: TableSet }
  | { readonly do: 'query'; readonly key: string; readonly sql: string };

export type TableReply =
  | { readonly is: 'loaded' }
  /** Not loaded, or let go since. */
  | { readonly is: 'unknown' }
  | { readonly is: 'answer'; readonly answer: QueryAnswer };
