// The rules of tool_context that stand in no .proto: each violation by its path. Documents as such are
// looked at in content-rules.ts.
import type {
  ChatRequest,
  Database,
  Table,
  ToolContextItem,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Violation } from '../errors.ts';
import {
  MAX_CONTEXT_DATA_BYTES,
  MAX_DATABASES,
  MAX_TABLES,
  MAX_TABLES_BYTES,
  MAX_TABLES_CELLS,
} from '../limits.ts';
import { sqlName } from './sql-name.ts';

/** What a table's text holds; src/tools has it. */
export type TableChecker = (
  format: string,
  data: string,
) =>
  | { readonly ok: true; readonly columns: readonly unknown[]; readonly rows: number }
  | { readonly ok: false; readonly why: string };

/** Why a connection string is not taken, in words that do not repeat it; src/tools has it. */
export type DatabaseChecker = (database: Database) => readonly Violation[];

type Report = (path: string, description: string) => void;
type Kind = NonNullable<ToolContextItem['item']['case']>;

/** The tool for each kind of item that has one. */
const TOOLS = {
  document: 'document_search',
  table: 'table_query',
  database: 'database_query',
} as const;

export function toolContextViolations(
  request: ChatRequest,
  checkTable: TableChecker,
  checkDatabase: DatabaseChecker,
): Violation[] {
  const found: Violation[] = [];
  const report: Report = (path, description) => void found.push({ path, description });
  checkNames(request, report);
  checkTables(request, checkTable, report);
  checkDatabases(request, checkDatabase, report);
  checkData(request, report);
  checkUse(request, report);
  return found;
}

function* itemsOf(
  request: ChatRequest,
  kind: Kind,
): Generator<{ readonly path: string; readonly entry: ToolContextItem }> {
  for (const [i, entry] of request.toolContext.entries()) {
    if (entry.item.case === kind) yield { path: `request.tool_context[${i}]`, entry };
  }
}

function checkNames(request: ChatRequest, report: Report): void {
  const names = new Set<string>();
  for (const [i, { name }] of request.toolContext.entries()) {
    if (names.has(name)) {
      report(`request.tool_context[${i}].name`, `another item is called "${name}"`);
    }
    names.add(name);
  }
  /** SQL does not tell capitals apart. */
  const tables = new Map<string, string>();
  for (const { path, entry } of itemsOf(request, 'table')) {
    const { name } = entry;
    const inSql = sqlName(name);
    const same = tables.get(inSql.toLowerCase());
    if (inSql === '') report(`${path}.name`, 'a table’s name must have letters or digits');
    else if (same !== undefined && same !== name) {
      report(`${path}.name`, `the tables "${same}" and "${name}" are both "${inSql}" in SQL`);
    } else tables.set(inSql.toLowerCase(), name);
  }
}

function checkTables(request: ChatRequest, checkTable: TableChecker, report: Report): void {
  const tables: { readonly path: string; readonly table: Table }[] = [];
  for (const { path, entry } of itemsOf(request, 'table')) {
    if (entry.item.case === 'table') tables.push({ path, table: entry.item.value });
  }
  if (tables.length > MAX_TABLES) {
    report('request.tool_context', `has ${tables.length} tables; at most ${MAX_TABLES} are taken`);
    return;
  }
  const bytes = tables.reduce((sum, { table }) => sum + Buffer.byteLength(table.data), 0);
  // Not read then.
  if (bytes > MAX_TABLES_BYTES) {
    report(
      'request.tool_context',
      `the tables have ${bytes} bytes together; at most ${MAX_TABLES_BYTES} are taken`,
    );
    return;
  }
  let values = 0;
  for (const { path, table } of tables) {
    const checked = checkTable(table.format, table.data);
    if (!checked.ok) {
      report(`${path}.table.data`, checked.why);
      continue;
    }
    values += checked.columns.length * checked.rows;
    if (values <= MAX_TABLES_CELLS) continue;
    report(
      'request.tool_context',
      `the tables have more than ${MAX_TABLES_CELLS} values together, the most that are taken`,
    );
    return;
  }
}

function checkDatabases(
  request: ChatRequest,
  checkDatabase: DatabaseChecker,
  report: Report,
): void {
  let count = 0;
  for (const { path, entry } of itemsOf(request, 'database')) {
    if (entry.item.case !== 'database') continue;
    count++;
    for (const { path: field, description } of checkDatabase(entry.item.value)) {
      report(`${path}.database.${field}`, description);
    }
  }
  if (count <= MAX_DATABASES) return;
  report('request.tool_context', `has ${count} databases; at most ${MAX_DATABASES} are taken`);
}

function checkData(request: ChatRequest, report: Report): void {
  let bytes = 0;
  for (const { path, entry } of itemsOf(request, 'data')) {
    if (entry.item.case !== 'data') continue;
    bytes += Buffer.byteLength(entry.item.value);
    if (!isJson(entry.item.value)) report(`${path}.data`, 'must be JSON text');
  }
  if (bytes <= MAX_CONTEXT_DATA_BYTES) return;
  report(
    'request.tool_context',
    `the items of free data have ${bytes} bytes together; at most ${MAX_CONTEXT_DATA_BYTES} are taken, since all of it is shown to the model`,
  );
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A tool without anything to use fails at each call; an item without its tool would be ignored. */
function checkUse(request: ChatRequest, report: Report): void {
  const asked = new Map(
    request.tools.flatMap(({ kind }, i) => {
      return kind.case === 'server' ? [[kind.value.name, `request.tools[${i}].server.name`]] : [];
    }),
  );
  for (const kind of ['document', 'table', 'database'] as const) {
    const tool = TOOLS[kind];
    const at = asked.get(tool);
    const [first] = itemsOf(request, kind);
    if (at !== undefined && first === undefined) {
      report(at, `${tool} needs a ${kind} in tool_context`);
    } else if (at === undefined && first !== undefined) {
      const description = `no tool would use it; add the server tool ${tool} to tools, or leave it out`;
      report(`${first.path}.${kind}`, description);
    }
  }
}
