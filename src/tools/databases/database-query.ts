// database_query: SQL over the databases of tool_context, which can be read and nothing else. What tables there are is
// said in its description, looked up when a run begins, since a model that must ask first writes SQL for names that
// it guessed; those that do not fit there it can look for by name.
import type { ChatRequest, Database } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import {
  DATABASE_CONNECT_MS,
  DATABASE_QUERY_MS,
  MAX_LISTED_TABLE_CHARS,
  MAX_SQL_CHARS,
  MAX_SQL_RESULT_ROWS,
  MAX_TOOL_LIST_CHARS,
} from '../../chat/limits.ts';
import { type TextTool, ToolFailure, type ToolRunScope } from '../../chat/ports/tool.ts';
import { listing, oneLine } from '../schemas/listing.ts';
import { readConnectionString } from './connection-string.ts';
import type { Asked, DatabaseEngine } from './database-engine.ts';
import type { ListedTables } from './database-protocol.ts';

interface NamedDatabase {
  readonly name: string;
  readonly description: string;
  readonly asked: Asked;
}

/** `request`: past the door, its secrets opened. Does not reject: what cannot be listed is said. */
export async function databaseQueryTool(
  request: ChatRequest,
  run: Pick<ToolRunScope, 'command' | 'signal'>,
  engine: DatabaseEngine,
): Promise<TextTool> {
  const databases = request.toolContext.flatMap(({ name, description, item }): NamedDatabase[] =>
    item.case === 'database' ? [{ name, description, asked: askedOf(item.value, run) }] : [],
  );
  const described = await Promise.all(
    databases.map((each) => describe(each, databases.length, run.signal, engine)),
  );
  return {
    name: 'database_query',
    description: `${GENERAL}\nDatabases:\n${described.join('\n')}`,
    inputSchema: schema(databases.map(({ name }) => name)),
    idempotent: true,
    call: async (input, signal) => {
      const { database, sql, find }: Input = input;
      const asked = databases.find(({ name }) => name === database)?.asked;
      if (asked === undefined) throw new Error('database_query was called without a database.');
      if (typeof sql === 'string' && find === undefined) return engine.query(asked, sql, signal);
      if (typeof find === 'string' && sql === undefined) {
        return listText(await engine.list(asked, find, signal), MAX_TOOL_LIST_CHARS);
      }
      throw new ToolFailure('give either sql, to read rows, or find, to look for tables');
    },
  };
}

/** As the schema has it. */
type Input = Readonly<Partial<Record<'database' | 'sql' | 'find', unknown>>>;

const GENERAL = `Runs one SELECT (it may begin with WITH) on one of the databases below, in its own dialect, and gives columns and rows as JSON: at most ${MAX_SQL_RESULT_ROWS} rows, after at most ${DATABASE_QUERY_MS / 1_000} s. They can only be read. Aggregate and filter in SQL instead of reading whole tables. With find instead of sql it lists the tables whose names have that in them, with their columns.`;

function askedOf(
  { connectionString, schemas, tables }: Database,
  { command }: Pick<ToolRunScope, 'command'>,
) {
  const read = readConnectionString(connectionString);
  if (!read.ok) throw new Error('A connection string came past the door.');
  return { address: read.address, allowed: { schemas, tables }, whose: command.chat };
}

async function describe(
  { name, description, asked }: NamedDatabase,
  count: number,
  runs: AbortSignal,
  engine: DatabaseEngine,
): Promise<string> {
  const said = description === '' ? '' : `: ${oneLine(description)}`;
  const most = Math.floor(MAX_TOOL_LIST_CHARS / count);
  // A run does not wait for long for what its model may never ask.
  const signal = AbortSignal.any([runs, AbortSignal.timeout(DATABASE_CONNECT_MS)]);
  try {
    const listed = await engine.list(asked, '', signal);
    return `${JSON.stringify(name)}, ${oneLine(listed.product)}${said}\n${listText(listed, most)}`;
  } catch (error) {
    const why =
      error instanceof ToolFailure ? error.message : 'it took too long, or failed inside Tailrace';
    return `${JSON.stringify(name)}${said}\n(Its tables could not be listed: ${why}.)`;
  }
}

function listText({ lines, more }: ListedTables, mostChars: number): string {
  if (lines.length === 0) return 'There are no such tables that may be read.';
  const shown = lines.map((line) => `- ${oneLine(line, MAX_LISTED_TABLE_CHARS)}`);
  const list = listing(shown, 'tables; look for them with find', mostChars);
  return more ? `${list}\n(There are still more than these.)` : list;
}

function schema(names: readonly string[]): string {
  return JSON.stringify({
    type: 'object',
    properties: {
      database: { type: 'string', enum: names, description: 'The name of the database.' },
      sql: {
        type: 'string',
        minLength: 1,
        maxLength: MAX_SQL_CHARS,
        description: 'One SELECT.',
      },
      find: {
        type: 'string',
        maxLength: 200,
        description: 'Instead of sql: a part of the names of tables; empty for all.',
      },
    },
    required: ['database'],
    additionalProperties: false,
  });
}
