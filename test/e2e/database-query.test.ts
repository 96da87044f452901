// database_query through the whole product: a chat that asks a database and a document, what its observers see, and
// what is refused at the door.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatStreamStatus, ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { sealKeyText } from '../../src/ops/seal-keys.ts';
import { scripted } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { ADMIN_PASSWORD, needsPostgres, startPostgres } from '../support/servers/postgres.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { callsOf, resultsIn, serverTools } from '../support/chats/tool-calls.ts';
import { until } from '../support/until.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const folder = temporaryFolder();
const open = join(folder.path, 'open');
const file = join(open, 'planted-file.db');

mkdirSync(open);
const db = new DatabaseSync(file);
db.exec(`CREATE TABLE orders (city TEXT, sold INTEGER);
  INSERT INTO orders VALUES ('Basel', 3), ('Bern', 4); CREATE TABLE secret (word TEXT)`);
db.close();
const { model, tailrace, client } = await forAllTests(
  startScripted(() => ({
    TAILRACE_FETCH_ALLOW: '127.0.0.1',
    TAILRACE_SQLITE_FOLDERS: open,
    TAILRACE_SEAL_KEYS: sealKeyText({ id: 'k1', bytes: Buffer.alloc(32, 1) }),
  })),
);

after(() => folder[Symbol.dispose]());

type Request = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

function database(name: string, connectionString: string, tables: string[] = []) {
  return { name, item: { case: 'database' as const, value: { connectionString, tables } } };
}

const MILL = {
  name: 'mill',
  item: {
    case: 'document' as const,
    value: { source: { case: 'text' as const, value: 'Water leaves by the tailrace.' } },
  },
};

function asking(script: ScriptInput, more: Request): Request {
  const text = { case: 'text' as const, value: scripted(script) };
  return { messages: [{ role: Role.USER, content: [{ block: text }] }], ...more };
}

interface Body {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly tools: readonly { readonly function: { readonly description: string } }[];
}

test('a chat asks a database and a document, its observers see both, and nobody sees the connection string', async () => {
  const { streamId } = await client.initiateChatStream({
    request: asking(
      {
        tokens: 0,
        calls: callsOf(
          ['database_query', { database: 'shop', sql: 'SELECT sum(sold) AS total FROM orders' }],
          ['document_search', { query: 'where does the water leave' }],
          ['database_query', { database: 'shop', sql: 'DELETE FROM orders' }],
          ['database_query', { database: 'shop', sql: 'SELECT * FROM secret' }],
          ['database_query', { database: 'far', sql: 'SELECT 1' }],
          ['database_query', { database: 'shop', find: 'ord' }],
          ['database_query', { database: 'nowhere', sql: 'SELECT 1' }],
        ),
        rounds: [{ text: ['seven'] }],
      },
      {
        tools: serverTools('database_query', 'document_search'),
        toolContext: [
          MILL,
          database('shop', `sqlite://${file}`, ['orders']),
          database('far', 'postgres://planted-user:planted-password@127.0.0.1:1/planted-name'),
        ],
      },
    ),
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
  assert.equal(watch.text(), 'seven');
  const told = resultsIn(watch.events);
  assert.deepEqual(
    told.map(({ isError }) => isError),
    [false, false, true, true, true, false, true],
  );
  assert.deepEqual(JSON.parse(told[0]?.text ?? ''), { columns: ['total'], rows: [[7]] });
  assert.match(told[1]?.text ?? '', /tailrace/);
  assert.match(told[2]?.text ?? '', /can only be read/);
  assert.match(told[3]?.text ?? '', /secret is a table that may not be read here/);
  assert.match(told[4]?.text ?? '', /nothing listens/);
  assert.equal(told[5]?.text, '- orders (city TEXT, sold INTEGER)');
  assert.match(told[6]?.text ?? '', /does not fit the schema/);
  const kinds = watch.events.flatMap(({ payload }) =>
    payload.case === 'blockStarted' ? [payload.value.kind] : [],
  );
  assert.equal(kinds.filter((kind) => kind === BlockKind.SERVER_TOOL_USE).length, 7);

  const [first] = model.requests.slice(-2).map(({ body }) => body as Body);
  assert.match(
    first?.tools[0]?.function.description ?? '',
    /^"shop", SQLite[^\n]*\n- orders \(city TEXT, sold INTEGER\)$/m,
  );
  assert.match(
    first?.messages[0]?.content ?? '',
    /databases to be queried with the tool database_query/,
  );

  const full = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
  const shown = full.chatStream?.request?.toolContext.map(({ item }) =>
    item.case === 'database' ? item.value.connectionString : '',
  );
  assert.deepEqual(shown, ['', '[redacted]', '[redacted]']);
  const everything = [watch.events, full, model.requests, tailrace.logger.lines].map((each) =>
    JSON.stringify(each, (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    ),
  );
  assert.ok(everything.some((text) => text.includes(streamId)));
  for (const text of everything) assert.ok(!text.includes('planted-'));
  const db = new DatabaseSync(file);
  assert.deepEqual({ ...db.prepare('SELECT count(*) AS n FROM orders').get() }, { n: 2 });
  db.close();
});

test('a connection string that cannot be taken is refused by its path, and is not in the refusal', async () => {
  for (const [given, said] of [
    ['planted', /must be an address such as/],
    ['postgres://planted:planted@/planted', /names no host/],
    ['postgres://planted:planted@h/planted?options=planted', /sets options/],
    ['mysql://planted:planted@h/planted?flags=planted', /sets flags/],
    ['sqlite:///planted/a.db', /outside the folders/],
    [`sqlite://${open}/../planted.db`, /without/],
  ] as const) {
    const request = asking(
      { tokens: 1 },
      { tools: serverTools('database_query'), toolContext: [MILL, database('shop', given)] },
    );
    const refusal = await refused(client.initiateChatStream({ request }));
    assert.ok(refusal.fields.includes('request.tool_context[1].database.connection_string'), given);
    assert.match(refusal.message, said);
    assert.ok(!JSON.stringify(refusal).includes('planted'), JSON.stringify(refusal));
  }
});

test(
  'a chat that is cancelled ends its query at the database',
  { skip: needsPostgres() },
  async () => {
    await using postgres = await startPostgres();
    const active = async (): Promise<number> => {
      const [row] = await postgres.run(
        "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'tailrace' AND state = 'active'",
      );
      return Number(row?.[0]);
    };
    const sql = 'SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b';
    const { streamId } = await client.initiateChatStream({
      request: asking(
        {
          tokens: 0,
          calls: callsOf(['database_query', { database: 'shop', sql }]),
          rounds: [{ text: ['no'] }],
        },
        {
          tools: serverTools('database_query'),
          toolContext: [
            database('shop', `postgres://admin:${ADMIN_PASSWORD}@127.0.0.1:${postgres.port}/shop`),
          ],
        },
      ),
    });
    await until('the query', async () => (await active()) === 1);
    await client.cancelChatStream({ streamId });
    const { chatStream } = await client.waitChatStream({ streamId });
    assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
    await until('its end at the database', async () => (await active()) === 0);
  },
);
