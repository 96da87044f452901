// Law 10: secrets are sealed before they reach NATS, and opened only in the worker.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { ChatStreamStatus, ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  ChatStreamService,
  InitiateChatStreamRequestSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import type { Command } from '../../src/chat/ports/commands.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { REDACTED } from '../../src/chat/request/secrets.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import type { SealKey } from '../../src/ops/seal-keys.ts';
import { sealKeyText } from '../../src/ops/seal-keys.ts';
import { createSealing } from '../../src/ops/sealing.ts';
import { toConnectError } from '../../src/rpc/edge/errors.ts';
import { openChat } from '../../src/worker/turn.ts';
import { chatKey, runWorker, startCommandOf, untilOver } from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats, temporaryFolder } from '../support/processes/nats.ts';
import {
  acceptPlanted,
  asJson,
  formsOf,
  markedWays,
  nameOf,
  plantSecrets,
} from '../support/chats/planted.ts';
import { refusalOf, refused } from '../support/refusal.ts';
import { natsUrl, startTestTailrace } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';
import { recordingLogger } from '../support/chats/watch.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';

const K1: SealKey = { id: 'k1', bytes: Buffer.alloc(32, 1) };
const K2: SealKey = { id: 'k2', bytes: Buffer.alloc(32, 2) };
const TRACEPARENT_ID = '4bf92f3577b34da6a3ce929d0e0e4736';

/** Stands where anybody may read it: what does not find this would find no secret either. */
const MARKER = 'no-secret-at-all';

/** Everything that was stored, said or shown, by where. */
class Seen {
  readonly #places = new Map<string, Buffer[]>();

  add(place: string, ...what: readonly (Uint8Array | string)[]): void {
    const all = this.#places.get(place) ?? [];
    this.#places.set(place, all);
    all.push(
      ...what.map((each) => (typeof each === 'string' ? Buffer.from(each) : Buffer.from(each))),
    );
  }

  /** Where it is found, in whatever form. */
  find(secret: string): string[] {
    const forms = formsOf(secret);
    return [...this.#places]
      .filter(([, all]) => all.some((bytes) => forms.some((form) => bytes.includes(form))))
      .map(([place]) => place);
  }
}

test('law 10: a secret planted in any marked field is found in no file of the store, no header, message, event, log line, answer, error or trace', async () => {
  const seen = new Seen();
  await using nats = await startNats();
  await using model = await startModelServer();
  await using tailrace = await startTailraceProcess({
    TAILRACE_NATS_URL: natsUrl(nats.access),
    OPENAI_BASE_URL: model.url,
    TAILRACE_SEAL_KEYS: sealKeyText(K1),
    TAILRACE_LOG_LEVEL: 'debug',
  });
  const client = grpcClient(tailrace.url);
  await using ports = await nats.open();
  const bare = await nats.bare();
  bare.subscribe('>', {
    callback: (error, message) => {
      assert.equal(error, null);
      const headers = [...(message.headers ?? [])].flat(2).join('\n');
      seen.add('messages', message.subject, message.data);
      seen.add('headers', headers);
    },
  });
  await bare.flush();
  const sealer = createSealing([K1]);
  const logger = recordingLogger();
  const { request, secrets } = plantSecrets({
    streamId: 'planted',
    text: scripted({ text: ['one ', 'two'], id: MARKER }),
    request: { metadata: { note: MARKER }, correlationId: MARKER },
  });

  // A life: started, run, watched, asked for again, listed, shown, cancelled too late.
  const made = await acceptPlanted(ports, request, sealer, logger);
  assert.equal(made.created, true);
  const watched = await watchToEnd(client, 'planted');
  assert.equal(watched.end().status, ChatStreamStatus.COMPLETED);
  seen.add('events', ...watched.events.map((event) => toBinary(EventSchema, event)));
  for (const keys of [[K1], [K2, K1]]) {
    const again = await acceptPlanted(ports, request, createSealing(keys), logger);
    assert.equal(again.created, false, 'also after the key was rotated');
  }
  const output = (method: keyof typeof ChatStreamService.method) =>
    ChatStreamService.method[method].output;
  const full = await client.getChatStream({ streamId: 'planted', view: ChatStreamView.FULL });
  seen.add('answers', toJsonString(output('getChatStream'), full));
  const shown = full.chatStream?.request;
  assert.equal(shown?.mcpServers[1]?.bearerToken, REDACTED);
  assert.deepEqual(shown.mcpServers[0]?.headers, { 'x-planted': REDACTED });
  for (const view of [ChatStreamView.BASIC, ChatStreamView.FULL]) {
    const waited = await client.waitChatStream({ streamId: 'planted', view });
    seen.add('answers', toJsonString(output('waitChatStream'), waited));
  }
  const listed = await client.listChatStreams({ metadata: { note: MARKER } });
  assert.equal(listed.chatStreams.length, 1);
  seen.add('answers', toJsonString(output('listChatStreams'), listed));
  const cancelled = await client.cancelChatStream({ streamId: 'planted', reason: 'late' });
  seen.add('answers', toJsonString(output('cancelChatStream'), cancelled));

  // Errors: a key that the worker does not have, another secret under the same id, the door.
  const lost = plantSecrets({ streamId: 'lost' });
  await acceptPlanted(ports, lost.request, createSealing([K2]), logger);
  const end = (await watchToEnd(client, 'lost')).end();
  assert.equal(end.status, ChatStreamStatus.ERROR);
  assert.match(
    end.failure?.message ?? '',
    /sealed by the key "k2", which this worker does not have/,
  );
  seen.add('errors', end.failure?.message ?? '');
  const others = [
    ['STREAM_ID_TAKEN', plantSecrets({ streamId: 'planted' }), sealer],
    ['SEALING_KEY_MISSING', lost, sealer],
    ['SEALING_KEY_MISSING', plantSecrets(), createSealing([])],
  ] as const;
  for (const [reason, { request: other }, by] of others) {
    await assert.rejects(acceptPlanted(ports, other, by, logger), (error) => {
      assert.ok(error instanceof ChatError);
      assert.equal(error.reason, reason);
      const said = toConnectError(error, () => undefined);
      seen.add('errors', inspect(error, { depth: null }), JSON.stringify(refusalOf(said)));
      return true;
    });
  }
  const { code, message } = await refused(client.initiateChatStream(request));
  assert.equal(code, 'InvalidArgument');
  seen.add('errors', message);

  // What people get wrong at a marked field.
  const wrong = new Map<string, string>();
  for (const way of markedWays()) {
    const field = way.at(-1) ?? assert.fail();
    const secret = `wrong-${nameOf(field)}`;
    wrong.set(nameOf(field), secret);
    const values = [
      secret,
      secret.repeat(2_000),
      `${secret}\ud800`,
      [secret],
      [[secret]],
      { a: secret },
      { a: { b: secret } },
      { a: [secret], b: secret.repeat(2_000) },
      Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`h${i}`, secret])),
    ];
    for (const value of values) {
      const answer = await fetch(
        `${tailrace.url}/tailrace.v1.ChatStreamService/InitiateChatStream`,
        {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(asJson(way, value)),
        },
      );
      assert.equal(answer.status, 400, `${nameOf(field)}: ${JSON.stringify(value).slice(0, 80)}`);
      seen.add('errors', await answer.text(), JSON.stringify([...answer.headers]));
    }
  }

  seen.add('model server', JSON.stringify(model.requests));
  assert.equal(model.requests.length, 1);
  assert.ok(String(model.requests[0]?.headers['traceparent']).includes(TRACEPARENT_ID));
  assert.equal((await tailrace.stop()).code, 0);
  seen.add('log lines', ...tailrace.log, ...logger.lines.map((line) => JSON.stringify(line)));
  // nats-server writes what it acknowledged to its files a moment later.
  await until('the marker in the store', () => {
    const store = new Seen();
    store.add('store', ...filesIn(nats.dataDir));
    return store.find(MARKER).length > 0;
  });
  seen.add('store', ...filesIn(nats.dataDir));

  assert.deepEqual(seen.find(MARKER).toSorted(), [
    'answers',
    'events',
    'headers',
    'log lines',
    'messages',
    'model server',
    'store',
  ]);
  assert.ok(seen.find('sealed:v1:k1:').includes('store'), 'the secrets are there, sealed');
  for (const [name, secret] of [...secrets, ...lost.secrets, ...wrong]) {
    assert.deepEqual(seen.find(secret), [], name);
  }
});

test('law 10: a connection string that is used, one that is refused and one that fails are found nowhere', async () => {
  const seen = new Seen();
  using folder = temporaryFolder();
  const file = join(folder.path, 'planted-file.db');
  const db = new DatabaseSync(file);
  db.exec("CREATE TABLE t (word TEXT); INSERT INTO t VALUES ('no-secret-at-all')");
  db.close();
  await using nats = await startNats();
  await using model = await startModelServer();
  await using tailrace = await startTailraceProcess({
    TAILRACE_NATS_URL: natsUrl(nats.access),
    OPENAI_BASE_URL: model.url,
    TAILRACE_SEAL_KEYS: sealKeyText(K1),
    TAILRACE_LOG_LEVEL: 'debug',
    TAILRACE_FETCH_ALLOW: '127.0.0.1',
    TAILRACE_SQLITE_FOLDERS: folder.path,
  });
  const client = grpcClient(tailrace.url);
  const strings = {
    used: `sqlite://${file}`,
    failing: 'postgres://planted-user:planted-password@127.0.0.1:1/planted-name',
    unknown: 'mysql://planted-user:planted-password@planted-host.invalid/planted-name',
  };
  const calls = Object.keys(strings).map((database) => ({
    name: 'database_query',
    input: JSON.stringify({ database, sql: 'SELECT word FROM t' }),
  }));
  const text = scripted({ tokens: 0, calls, rounds: [{ text: ['done'] }] });
  const toolContext = Object.entries(strings).map(([name, connectionString]) => {
    return { name, item: { case: 'database' as const, value: { connectionString } } };
  });
  const request = {
    messages: [{ role: Role.USER, content: [{ block: { case: 'text' as const, value: text } }] }],
    tools: [{ kind: { case: 'server' as const, value: { name: 'database_query' } } }],
    toolContext,
  };
  const { streamId } = await client.initiateChatStream({ request });
  const watched = await watchToEnd(client, streamId);
  assert.equal(watched.end().status, ChatStreamStatus.COMPLETED);
  seen.add('events', ...watched.events.map((event) => toBinary(EventSchema, event)));
  const full = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
  const { output } = ChatStreamService.method.getChatStream;
  seen.add('answers', toJsonString(output, full));
  const wrong = { case: 'database' as const, value: { connectionString: 'ftp://planted-host' } };
  const bad = { ...request, toolContext: [{ name: 'd', item: wrong }] };
  seen.add('errors', JSON.stringify(await refused(client.initiateChatStream({ request: bad }))));
  seen.add('model server', JSON.stringify(model.requests));
  assert.equal((await tailrace.stop()).code, 0);
  seen.add('log lines', ...tailrace.log);
  await until('the answer in the store', () => {
    const store = new Seen();
    store.add('store', ...filesIn(nats.dataDir));
    return store.find(MARKER).length > 0;
  });
  seen.add('store', ...filesIn(nats.dataDir));
  assert.deepEqual(seen.find(MARKER).toSorted(), ['answers', 'events', 'model server', 'store']);
  for (const secret of [
    'planted-file',
    'planted-user',
    'planted-password',
    'planted-name',
    'planted-host',
  ]) {
    assert.deepEqual(seen.find(secret), [], secret);
  }
});

test('law 10: the search finds a secret in every form that it looks for', () => {
  const secret = 'planted-0123456789';
  const bytes = Buffer.from(secret);
  for (const before of ['', 'a', 'ab', 'abc', 'abcd']) {
    for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const) {
      const seen = new Seen();
      seen.add('here', Buffer.concat([Buffer.from(before), bytes, bytes]).toString(encoding));
      assert.deepEqual(seen.find(secret), ['here'], `${encoding} after "${before}"`);
    }
  }
});

test('law 10: a worker has the secrets as they were given, in every marked field, whatever key seals now', async () => {
  await using nats = await startNats();
  await using ports = await nats.open();
  const { request } = plantSecrets({ streamId: 'c' });
  await acceptPlanted(ports, request, createSealing([K1]));
  const start = await startCommandOf(ports.inbox, chatKey('c'));
  const turn = await firstTurnOf(ports, start, [K2, K1]);
  assert.deepEqual(
    toJsonString(InitiateChatStreamRequestSchema, { ...request, request: turn.request }),
    toJsonString(InitiateChatStreamRequestSchema, request),
  );
  await assert.rejects(firstTurnOf(ports, start, [K2]), /sealed by the key "k1"/);
});

test('law 10: a start whose sealed secrets were moved to another chat is not run', async () => {
  await using nats = await startNats();
  await using ports = await nats.open();
  const sealing = createSealing([K1]);
  await acceptPlanted(ports, plantSecrets({ streamId: 'mine' }).request, sealing);
  const { sequence: _, ...start } = await startCommandOf(ports.inbox, chatKey('mine'));
  const moved = { ...start, chat: chatKey('theirs') };
  assert.equal((await ports.inbox.publish(moved, 0)).type, 'stored');
  const model = handModel();
  await using _worker = runWorker(ports, model, { opener: sealing });
  const { status } = await untilOver(ports.log, moved.chat);
  assert.equal(status.mark.status, ChatStreamStatus.ERROR);
});

test('law 10: a chat that waited while its key was taken away ends in ERROR and says which key, with what it had said', async () => {
  await using nats = await startNats();
  await using model = await startModelServer();
  const env = (key: SealKey) => ({
    OPENAI_BASE_URL: model.url,
    TAILRACE_SEAL_KEYS: sealKeyText(key),
  });
  const script = { text: ['Let me see. '], calls: [{ id: 'call_1', name: 'look' }] };
  const text = scripted({ ...script, rounds: [{ text: ['never'] }] });
  const streamId = 'waits-for-a-key';
  {
    await using tailrace = await startTestTailrace(nats.access, env(K1));
    const client = grpcClient(tailrace.url);
    await client.initiateChatStream({
      streamId,
      request: {
        messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: text } }] }],
        tools: [{ kind: { case: 'client', value: { name: 'look' } } }],
        mcpServers: [{ name: 's', url: 'http://127.0.0.1:1/', bearerToken: 'a-token-of-a-server' }],
      },
      awaitToolResults: true,
    });
    const { chatStream } = await client.waitChatStream({ streamId });
    assert.equal(chatStream?.pendingToolUses.length, 1);
  }
  await using tailrace = await startTestTailrace(nats.access, env(K2));
  const client = grpcClient(tailrace.url);
  const content = [{ block: { case: 'text', value: 'seen' } }] as const;
  await client.submitToolResults({
    streamId,
    results: [{ toolUseId: 'call_1', content: [...content] }],
  });
  const watch = await watchToEnd(client, streamId);
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.ERROR);
  assert.match(end.failure?.message ?? '', /sealed by the key "k1"/);
  assert.equal(watch.text(), 'Let me see. ');
  assert.equal(end.usage?.modelCalls, 1);
});

test('law 10: with an external NATS and no keys, chats without secrets run', async () => {
  await using nats = await startNats();
  await using model = await startModelServer();
  await using tailrace = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
  const client = grpcClient(tailrace.url);
  const text = scripted({ text: ['yes'] });
  const { streamId } = await client.initiateChatStream({
    request: { messages: [{ role: 1, content: [{ block: { case: 'text', value: text } }] }] },
  });
  assert.equal((await watchToEnd(client, streamId)).end().status, ChatStreamStatus.COMPLETED);
});

test('law 10: the embedded default has a key of its own, and nats-server is told of none', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  await using tailrace = await startTailraceProcess({
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
    TAILRACE_SEAL_KEYS: '',
  });
  const made = readFileSync(join(folder.path, 'seal-keys'), 'utf8').trim();
  assert.match(made, /^k[0-9a-f]{8}:[A-Za-z0-9+/]{43}=$/);
  await tailrace.stop();
  await using given = await startTailraceProcess({
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
    TAILRACE_SEAL_KEYS: sealKeyText(K1),
  });
  // Where the kernel shows it.
  if (existsSync('/proc/self/environ')) {
    const children = given.children().map((pid) => readFileSync(`/proc/${pid}/environ`, 'utf8'));
    const nats = children.filter((environ) => environ.includes('TAILRACE_NATS_PASSWORD='));
    assert.ok(nats.length > 0);
    for (const environ of nats) assert.ok(!environ.includes('TAILRACE_SEAL_KEYS'));
  }
  for (const bytes of filesIn(join(folder.path, 'nats'))) {
    assert.ok(!bytes.includes(made.split(':')[1] ?? made));
  }
});

async function firstTurnOf(ports: NatsAdapter, start: Command, keys: readonly SealKey[]) {
  const opener = createSealing(keys);
  const deps = { log: ports.log, queue: ports.work, opener, tools: () => [] };
  return (await openChat(deps, start)) ?? assert.fail('there is no start');
}

function filesIn(folder: string): Buffer[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
}
