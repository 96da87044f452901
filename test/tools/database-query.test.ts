// database_query as a model has it, and servers of databases that mean harm.
import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { MAX_TOOL_LIST_CHARS } from '../../src/chat/limits.ts';
import { type TextTool, ToolFailure } from '../../src/chat/ports/tool.ts';
import { databaseQueryTool } from '../../src/tools/databases/database-query.ts';
import { TRACEPARENT } from '../model/model-call.ts';
import { asked, failure, NEVER, testEngine } from '../support/servers/asked-database.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { toolRunScope } from '../support/chats/tool-run-scope.ts';

const folder = temporaryFolder();
const engine = testEngine({ folders: [folder.path] });

function made(name: string, sql: string): string {
  const path = join(folder.path, name);
  const db = new DatabaseSync(path);
  db.exec(sql);
  db.close();
  return `sqlite://${path}`;
}

after(async () => {
  await engine[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

function toolFor(databases: Readonly<Record<string, string>>): Promise<TextTool> {
  const request = create(ChatRequestSchema, {
    toolContext: Object.entries(databases).map(([name, connectionString]) => {
      const item = { case: 'database' as const, value: { connectionString } };
      return { name, description: `of ${name}\nonly`, item };
    }),
  });
  return databaseQueryTool(
    request,
    toolRunScope(() => assert.fail('warned')),
    engine,
  );
}

const call = (tool: TextTool, input: object): Promise<string> =>
  tool.call(input as Record<string, unknown>, NEVER, TRACEPARENT);

test('the model is told of databases, tables and columns, and of no connection string', async () => {
  const tool = await toolFor({
    shop: made('shop.db', 'CREATE TABLE orders (id INTEGER, note TEXT)'),
    gone: `sqlite://${folder.path}/hush.db`,
    far: 'postgres://hush:hush@10.9.8.7/hush',
  });
  assert.match(
    tool.description,
    /^"shop", SQLite [\d.]+: of shop only\n- orders \(id INTEGER, note TEXT\)$/m,
  );
  assert.match(
    tool.description,
    /^"gone": of gone only\n\(Its tables could not be listed: .*no such file here\.\)$/m,
  );
  assert.match(tool.description, /^"far": .*\n\(Its tables .*not at a public address/m);
  for (const part of ['hush', '10.9.8.7', folder.path]) {
    assert.ok(!tool.description.includes(part), part);
    assert.ok(!tool.inputSchema.includes(part), part);
  }
  const validate = new Ajv2020().compile(JSON.parse(tool.inputSchema) as object);
  assert.ok(validate({ database: 'shop', sql: 'SELECT 1' }));
  assert.ok(validate({ database: 'shop', find: '' }));
  assert.ok(!validate({ database: 'other', sql: 'SELECT 1' }));
  assert.ok(!validate({ sql: 'SELECT 1' }));
});

test('many tables are listed as far as there is room, and the others are found by name', async () => {
  const many = Array.from({ length: 700 }, (_, i) => `CREATE TABLE t${i}_of_the_mill (a, b, c);`);
  const tool = await toolFor({
    many: made('many.db', many.join('\n')),
    other: made('other.db', 'CREATE TABLE race (a)'),
  });
  assert.ok(tool.description.length < MAX_TOOL_LIST_CHARS + 3_000);
  assert.match(tool.description, /… and \d+ more tables; look for them with find/);
  assert.match(tool.description, /There are still more than these/);
  assert.match(tool.description, /- race \(a\)/);
  assert.equal(
    await call(tool, { database: 'many', find: 't699_' }),
    '- t699_of_the_mill (a, b, c)',
  );
  assert.match(await call(tool, { database: 'many', find: 'zzz' }), /There are no such tables/);
  assert.match(await call(tool, { database: 'other', sql: 'SELECT 1 AS one' }), /"rows":\[\[1\]\]/);
  for (const input of [{ database: 'other' }, { database: 'other', sql: 'SELECT 1', find: '' }]) {
    await assert.rejects(call(tool, input), (error) => {
      return error instanceof ToolFailure && /either sql.*or find/.test(error.message);
    });
  }
});

/** A server that means harm, until the test ends. */
async function evil(
  serve: (socket: Socket) => void,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** As if it were PostgreSQL: welcome, and ready. */
const WELCOME = Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 0, 90, 0, 0, 0, 5, 73]);

function pour(socket: Socket): void {
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}

test('a server that answers without end ends its query and no chat', async () => {
  await using server = await evil((socket) => {
    let greeted = false;
    socket.on('data', () => {
      if (!greeted) {
        greeted = true;
        socket.write(WELCOME);
        return;
      }
      // One row of 2 GiB.
      socket.write(Buffer.from([68, 127, 255, 255, 255]));
      pour(socket);
    });
  });
  await using small = testEngine({ memoryBytes: 256 * 1024 * 1024, processes: 1 });
  const address = asked(`postgres://u:hush@127.0.0.1:${server.port}/d`);
  const before = process.memoryUsage().rss;
  assert.match(await failure(small, address, 'SELECT 1'), /more than 256 MiB of memory/);
  assert.ok(process.memoryUsage().rss < before + 200 * 1024 * 1024);
});

test('a server that goes on after its query is heard no more, whatever it sends', async () => {
  const gone = Promise.withResolvers<number>();
  await using server = await evil((socket) => {
    socket.on('close', () => gone.resolve(socket.bytesWritten - socket.writableLength));
    let greeted = false;
    socket.on('data', () => {
      if (!greeted) {
        greeted = true;
        socket.write(WELCOME);
        return;
      }
      // An error, and when that is answered by a goodbye one row of 2 GiB.
      const said = Buffer.from('SERROR\0C42601\0Mno\0\0');
      socket.write(Buffer.concat([Buffer.from([69, 0, 0, 0, 4 + said.length]), said]));
      socket.write(Buffer.from([90, 0, 0, 0, 5, 73, 68, 127, 255, 255, 255]));
      pour(socket);
    });
  });
  await using other = testEngine({ processes: 1 });
  const address = asked(`postgres://u:hush@127.0.0.1:${server.port}/d`);
  assert.match(await failure(other, address, 'SELECT 1'), /^no \[42601\]$/);
  assert.ok((await gone.promise) < 64 * 1024 * 1024);
});

test('a server that asks for a file of ours gets none', async () => {
  const got: Buffer[] = [];
  const packet = (sequence: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([body.length, 0, 0, sequence]), body]);
  await using server = await evil((socket) => {
    const greeting = Buffer.concat([
      Buffer.from([10]),
      Buffer.from('8.0.0\0'),
      Buffer.from([1, 0, 0, 0]),
      Buffer.from('12345678\0'),
      // All that a server may be able to, LOCAL INFILE too.
      Buffer.from([0xff, 0xf7, 33, 2, 0, 0xff, 0x80, 21]),
      Buffer.alloc(10),
      Buffer.from('123456789012\0'),
      Buffer.from('mysql_native_password\0'),
    ]);
    socket.write(packet(0, greeting));
    let count = 0;
    socket.on('data', (data: Buffer) => {
      count++;
      // Welcome; and to whatever is asked: give me that file.
      if (count === 1) socket.write(packet(2, Buffer.from([0, 0, 0, 2, 0, 0, 0])));
      else {
        got.push(data);
        socket.write(packet(1, Buffer.from('\xfb/etc/passwd', 'latin1')));
      }
    });
  });
  await using other = testEngine({ processes: 1, queryMs: 1_000 });
  const why = await failure(other, asked(`mysql://u:hush@127.0.0.1:${server.port}/d`), 'SELECT 1');
  assert.ok(got.length > 0, 'it asked');
  assert.ok(!Buffer.concat(got).includes('root:'));
  assert.ok(!why.includes('passwd') && !why.includes('hush'), why);
});

test('what a server says of a log-in is not passed on', async () => {
  await using server = await evil((socket) => {
    const text = 'SFATAL\0C28P01\0Mno entry for host "10.0.0.1", user "hush", database "hush"\0\0';
    const body = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeInt32BE(body.length + 4);
    socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), length, body])));
  });
  const address = asked(`postgres://hush:hush@127.0.0.1:${server.port}/hush`);
  assert.equal(
    await failure(engine, address, 'SELECT 1'),
    'the database cannot be used: the user or the password is wrong',
  );
});

test('a server that says nothing ends with its chat', async () => {
  const came = Promise.withResolvers<void>();
  await using server = await evil((socket) => socket.once('data', () => came.resolve()));
  const abort = new AbortController();
  const address = asked(`postgres://u:p@127.0.0.1:${server.port}/d`);
  const running = engine.query(address, 'SELECT 1', abort.signal);
  await came.promise;
  abort.abort(new Error('cancelled'));
  await assert.rejects(running, /cancelled/);
});

test('a name that leads to two addresses, one of them inside, is not connected to', async () => {
  const { createAddressGuard } = await import('../../src/tools/fetch/address-guard.ts');
  const { BlockList } = await import('node:net');
  const guard = createAddressGuard(new BlockList(), () =>
    Promise.resolve([
      { address: '93.184.216.34', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ]),
  );
  await using guarded = testEngine({ guard });
  const why = await failure(guarded, asked('postgres://u:p@db.example.com/d'), 'SELECT 1');
  assert.match(why, /not known, or is not at a public address/);
  assert.equal(guarded.processes(), 0);
});
