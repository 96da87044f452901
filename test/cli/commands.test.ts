// Each command that calls Tailrace, as its user types it, against a real server; what it prints with --json is the
// contract's own message.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { type DescMessage, fromJson, type JsonValue, type MessageShape } from '@bufbuild/protobuf';
import { ChatStreamSchema, ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  InitiateChatStreamResponseSchema,
  ListChatStreamsResponseSchema,
  ListModelsResponseSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import {
  BIN,
  type CliOptions,
  type Ran,
  startCli,
  tailrace,
  tailraceJson,
} from '../support/processes/cli.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { until } from '../support/until.ts';

const { model, tailrace: server } = await forAllTests(startScripted());
const env = { TAILRACE_ADDRESS: server.url };

const HELLO = scripted({ text: ['Hello, ', 'you.'] });

async function run(args: readonly string[], options: CliOptions = {}): Promise<Ran> {
  return tailrace(args, { ...options, env: { ...env, ...options.env } });
}

/** What is printed has no field that the contract does not know. */
async function printed<M extends DescMessage>(
  schema: M,
  args: readonly string[],
): Promise<MessageShape<M>> {
  return fromJson(schema, (await tailraceJson(args, { env })) as JsonValue);
}

async function initiated(...more: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(['initiate', HELLO, ...more]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^[\w.:-]+\n$/, 'stdout is the id alone');
  return stdout.trim();
}

test('initiate prints the id alone; wait prints the answer alone, and how it ended on stderr', async () => {
  const streamId = await initiated();
  const { code, stdout, stderr } = await run(['wait', streamId]);
  assert.equal(code, 0);
  assert.equal(stdout, 'Hello, you.\n');
  assert.match(stderr, /COMPLETED, END_TURN/);
});

test('get shows lines for people, and the chat stream of the contract with --json', async () => {
  const streamId = await initiated('--priority', '2', '--metadata', 'team=search');
  await run(['wait', streamId]);
  const { code, stdout } = await run(['get', streamId, '--full']);
  assert.equal(code, 0);
  assert.match(stdout, new RegExp(`^stream id +${streamId}$`, 'm'));
  assert.match(stdout, /^metadata team +search$/m);
  assert.match(stdout, /\n\nHello, you\.\n$/);
  const chat = await printed(ChatStreamSchema, ['get', streamId, '--full']);
  assert.equal(chat.streamId, streamId);
  assert.equal(chat.priority, 2);
  assert.equal(chat.status, ChatStreamStatus.COMPLETED);
});

test('observe --json prints each event on a line, also from a sequence on', async () => {
  const streamId = await initiated();
  const events = async (...more: readonly string[]) => {
    const { code, stdout, stderr } = await run(['observe', streamId, '--json', ...more]);
    assert.equal(code, 0, stderr);
    const lines = stdout.split('\n').filter((line) => line !== '');
    return lines.map((line) => fromJson(EventSchema, JSON.parse(line) as JsonValue));
  };
  const all = await events();
  assert.deepEqual(
    all.map(({ sequence }) => sequence),
    all.map((_, i) => i + 1),
  );
  assert.equal(all.at(-1)?.payload.case, 'completed');
  assert.deepEqual(await events('--after', '2'), all.slice(2));
  assert.deepEqual(await events('--after', String(all.length)), []);
});

test('observe resumes over a connection that is cut, and prints the text once', async () => {
  await using proxy = await startProxy(server.url);
  const endless = scripted({ fault: 'endless', interval_ms: 20 });
  const streamId = (await run(['initiate', endless])).stdout.trim();
  const running = startCli(['observe', streamId, '--json'], {
    env: { TAILRACE_ADDRESS: proxy.url },
  });
  for (let cuts = 0; cuts < 2; cuts++) {
    await running.seen('text_delta');
    proxy.cut();
    await until('the connection to be gone', () => proxy.connections() === 0);
    await until('another one', () => proxy.connections() > 0);
  }
  await run(['cancel', streamId]);
  const { code, stdout: lines } = await running.ended;
  assert.equal(code, 11, 'that of a cancelled chat');
  const sequences = lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => fromJson(EventSchema, JSON.parse(line) as JsonValue).sequence);
  assert.deepEqual(
    sequences,
    sequences.map((_, i) => i + 1),
  );
});

test('list shows chats by their filters, and the response of the contract with --json', async () => {
  const streamId = await initiated('--correlation-id', 'cli-list', '--metadata', 'of=list');
  await run(['wait', streamId]);
  const { stdout } = await run(['list', '--correlation-id', 'cli-list']);
  assert.match(stdout, /^STREAM ID +CREATED +STATUS +MODEL +CORRELATION ID\n/);
  assert.match(
    stdout,
    new RegExp(`^${streamId} .*COMPLETED, END_TURN +test-model +cli-list$`, 'm'),
  );
  const ids = async (...flags: readonly string[]) =>
    (await printed(ListChatStreamsResponseSchema, ['list', ...flags])).chatStreams.map(
      (chat) => chat.streamId,
    );
  assert.deepEqual(await ids('--metadata', 'of=list', '--status', 'completed'), [streamId]);
  assert.deepEqual(await ids('--metadata', 'of=list', '--status', 'failed'), []);
  assert.deepEqual(await ids('--metadata', 'of=list', '--since', '1h', '--before', '1h'), []);
  assert.equal((await ids('--limit', '1')).length, 1);
});

test('cancel and delete take several ids, and say what came of each', async () => {
  const endless = scripted({ fault: 'endless', interval_ms: 20 });
  const ids = await Promise.all(
    [1, 2].map(async () => (await run(['initiate', endless])).stdout.trim()),
  );
  const { code, stdout } = await run(['cancel', ...ids, '--reason', 'enough']);
  assert.equal(code, 0);
  assert.equal(stdout.trim().split('\n').length, 2);
  const waited = await run(['wait', ids[0] ?? '']);
  assert.equal(waited.code, 11, 'a cancelled chat has its exit code');
  const deleted = await run(['delete', ...ids, '--json']);
  assert.deepEqual(
    deleted.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    ids.map((id) => ({ stream_id: id, deleted: true })),
  );
  assert.equal((await run(['get', ids[0] ?? ''])).code, 3);
});

test('submit gives results by flags or file, and the chat goes on', async () => {
  using folder = temporaryFolder();
  const script = scripted({
    text: [],
    calls: [
      { id: 'call_1', name: 'weather' },
      { id: 'call_2', name: 'weather' },
    ],
    rounds: [{ text: ['Sunny.'] }],
  });
  const file = join(folder.path, 'request.yaml');
  await writeFile(
    file,
    `await_tool_results: true
request:
  tools: [{ client: { name: weather, input_schema: '{"type":"object"}' } }]
  messages:
    - role: ROLE_USER
      content: [{ text: ${JSON.stringify(script)} }]
`,
  );
  const { stdout } = await run(['initiate', '--file', file]);
  const streamId = stdout.trim();
  const watcher = startCli(['observe', streamId], { env });
  await watcher.seen('It waits for the results of tools:\n  call_1  weather');
  const asked = await run(['wait', streamId]);
  assert.equal(asked.code, 12);
  assert.match(asked.stderr, /wants call_1 {2}weather/);
  const first = await run(['submit', streamId, '--result', 'call_1=21 degrees']);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /PROCESSING, waits for 1 tool result/);
  const results = { results: [{ tool_use_id: 'call_2', content: [{ text: 'rain' }] }] };
  const second = await run(['submit', streamId, '-f', '-'], { stdin: JSON.stringify(results) });
  assert.equal(second.code, 0, second.stderr);
  const done = await run(['wait', streamId]);
  assert.equal(done.stdout, 'Sunny.\n');
  assert.equal((await watcher.ended).code, 0);
  const later = await run(['observe', streamId]);
  assert.doesNotMatch(later.stderr, /waits for/, 'what it waited for once');
});

test('initiate takes a request from JSON, YAML or stdin, and flags win over it', async () => {
  const message = { role: 'ROLE_USER', content: [{ text: HELLO }] };
  const body = { stream_id: 'from-a-file', request: { messages: [message], priority: 7 } };
  const args = ['initiate', '-f', '-', '--priority', '1', '--correlation-id', 'flag', '--json'];
  const { stdout, stderr } = await run(args, { stdin: JSON.stringify(body) });
  const answer = fromJson(
    InitiateChatStreamResponseSchema,
    JSON.parse(stdout || stderr) as JsonValue,
  );
  assert.equal(answer.streamId, 'from-a-file');
  assert.equal(answer.chatStream?.priority, 1);
  assert.equal(answer.chatStream.correlationId, 'flag');
});

test('a request that breaks rules is refused with each field and what would be right', async () => {
  const { code, stdout, stderr } = await run([
    'initiate',
    'x',
    '--temperature',
    '7',
    '--top-p',
    '2',
  ]);
  assert.equal(code, 2);
  assert.equal(stdout, '');
  assert.match(stderr, /^ {2}request\.temperature +must be .* 2$/m);
  assert.match(stderr, /^ {2}request\.top_p +must be .* 1$/m);
  const asJson = await run(['initiate', 'x', '--temperature', '7', '--json']);
  const { error } = JSON.parse(asJson.stderr) as { readonly error: Record<string, unknown> };
  assert.equal(error['reason'], 'INVALID_REQUEST');
  assert.equal(error['exit_code'], 2);
  assert.deepEqual(
    (error['violations'] as { readonly field: string }[]).map(({ field }) => field),
    ['request.temperature'],
  );
});

test('a file that cannot be read, or is no JSON or YAML, is told by its name and place', async () => {
  const missing = await run(['initiate', '-f', '/no/such/file']);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /\/no\/such\/file cannot be read: there is no such file\.\n/);
  const broken = await run(['initiate', '-f', '-'], { stdin: 'request:\n  - [' });
  assert.equal(broken.code, 2);
  assert.match(broken.stderr, /stdin is no YAML: line \d+:\d+: /);
});

test('models shows the default one first, and the response of the contract with --json', async () => {
  const { stdout } = await run(['models']);
  assert.match(stdout, /^MODEL .*\ntest-model \(default\)/);
  const { models } = await printed(ListModelsResponseSchema, ['models']);
  assert.deepEqual(
    models.map(({ name, isDefault }) => [name, isDefault]),
    [
      ['test-model', true],
      ['test-model-small', false],
    ],
  );
});

test('chat without a terminal is one question and one answer', async () => {
  const { code, stdout, stderr } = await run(['chat'], { stdin: HELLO });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, 'Hello, you.\n', 'the answer alone');
});

test('what is piped in comes after the text', async () => {
  const script = `printf 'a diff' | "$0" "$1" chat 'Review this.' --correlation-id piped`;
  const run = promisify(execFile);
  await run('sh', ['-c', script, process.execPath, BIN], { env: { ...process.env, ...env } });
  const request = model.requests.at(-1);
  assert.ok(request !== undefined);
  const { messages } = request.body as { readonly messages: readonly unknown[] };
  assert.deepEqual(messages, [{ role: 'user', content: 'Review this.\n\na diff' }]);
});

test('what is written to no terminal has no colour and no control characters', async () => {
  const streamId = await initiated();
  for (const args of [
    ['get', streamId],
    ['list'],
    ['models'],
    ['observe', streamId],
    ['get', 'x'],
  ]) {
    const { stdout, stderr } = await run(args);
    // oxlint-disable-next-line no-control-regex -- that is what must not be there
    assert.doesNotMatch(stdout + stderr, /\u001B|\r/, args.join(' '));
  }
});
