// table_query: SQL over the tables of tool_context, and over nothing else.
import { createHash } from 'node:crypto';
import type { ChatRequest } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import { MAX_SQL_RESULT_ROWS, MAX_SQL_CHARS, TABLE_QUERY_MS } from '../../chat/limits.ts';
import { sqlName } from '../../chat/rules/sql-name.ts';
import type { TextTool } from '../../chat/ports/tool.ts';
import { tableShape } from './known-tables.ts';
import { listing, oneLine } from '../schemas/listing.ts';
import type { NamedTable } from './table-database.ts';
import { createTableEngine, type TableEngine } from './table-engine.ts';
import type { TableSet } from './table-protocol.ts';

interface DescribedTable extends NamedTable {
  readonly description: string;
}

/** Of all chats of this process; without processes until the first query. */
const shared = createTableEngine();

/** `request`: past the door, so that its tables can be read. */
export function tableQueryTool(
  request: ChatRequest,
  chat: ChatKey,
  engine: TableEngine = shared,
): TextTool {
  const tables = request.toolContext.flatMap(({ name, description, item }): DescribedTable[] => {
    if (item.case !== 'table') return [];
    const { format, data } = item.value;
    return [{ name: sqlName(name), description, format, data }];
  });
  let set: TableSet | undefined;
  return {
    name: 'table_query',
    description: describe(tables),
    inputSchema: SCHEMA,
    idempotent: true,
    call: async (input, signal) => {
      const { sql } = input as { readonly sql: string };
      set ??= setOf(tables);
      return engine.query(set, sql, chat, signal);
    },
  };
}

function setOf(tables: readonly NamedTable[]): TableSet {
  const hash = createHash('sha256');
  for (const { name, format, data } of tables) {
    hash.update(`${name} ${format} ${data.length} `).update(data);
  }
  const sent = tables.map(({ name, format, data }) => ({ name, format, data }));
  return { key: hash.digest('base64'), tables: sent };
}

function describe(tables: readonly DescribedTable[]): string {
  return `Runs one SELECT of SQLite's SQL (it may begin with WITH) over the tables below, which can only be read, and gives columns and rows as JSON: at most ${MAX_SQL_RESULT_ROWS} rows, after at most ${TABLE_QUERY_MS / 1_000} s. Aggregate and filter in SQL instead of reading whole tables. Empty values are NULL, booleans 1 and 0, dates as they were given. Put names in double quotes and texts in single ones. Tables:
${listing(tables.map(tableLine), 'tables; SELECT name, sql FROM sqlite_master lists all')}`;
}

function tableLine({ name, description, format, data }: DescribedTable): string {
  const shape = tableShape(format, data);
  if (!shape.ok) throw new Error(`A table came past the door: ${shape.why}`);
  const columns = shape.columns.map((column) => `"${column.name}" ${column.type}`).join(', ');
  const rows = `${shape.rows} ${shape.rows === 1 ? 'row' : 'rows'}`;
  const said = description === '' ? '' : `: ${oneLine(description)}`;
  return `- "${name}" (${oneLine(columns, MAX_COLUMNS_CHARS)}), ${rows}${said}`;
}

/** Of the columns that are listed for one table. */
const MAX_COLUMNS_CHARS = 4_000;

const SCHEMA = JSON.stringify({
  type: 'object',
  properties: {
    sql: {
      type: 'string',
      minLength: 1,
      maxLength: MAX_SQL_CHARS,
      description: 'One SELECT.',
    },
  },
  required: ['sql'],
  additionalProperties: false,
});
