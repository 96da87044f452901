// Logs: one line of JSON an event, with what finds it again, and never what people wrote or keep secret.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { BIN, startProgram } from '../support/processes/cli.ts';
import { grpcClient } from '../support/clients.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { baseEnvironment, startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

const MARKER = 'xyzzy-of-a-person';
const API_KEY = 'sk-plugh-of-the-operator';

test('every event of a chat’s life is one line with tenant, stream_id, correlation_id and attempt, without a word of the chat', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  await using tailrace = await startTailraceProcess({
    TAILRACE_DATA_DIR: folder.path,
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: API_KEY,
    TAILRACE_LOG_LEVEL: 'debug',
  });
  const client = grpcClient(tailrace.url);
  const run = async (streamId: string, script: ScriptInput): Promise<ChatStreamStatus> => {
    await client.initiateChatStream(
      initiateRequest({
        streamId,
        text: scripted({ ...script, id: MARKER }),
        request: {
          correlationId: `trace-${streamId}`,
          system: { text: MARKER },
          metadata: { note: MARKER },
        },
      }),
    );
    return (await watchToEnd(client, streamId)).end().status;
  };
  const answer = { text: [MARKER, ' and ', MARKER] };
  assert.equal(await run('good', answer), ChatStreamStatus.COMPLETED);
  assert.equal(await run('refused', { fault: 'status', status: 400 }), ChatStreamStatus.FAILED);
  assert.equal(await run('cut', { ...answer, fault: 'cut', after: 2 }), ChatStreamStatus.FAILED);
  assert.equal(await run('bad-json', { ...answer, fault: 'bad_json' }), ChatStreamStatus.FAILED);
  const error = { message: MARKER, code: MARKER, type: MARKER };
  assert.equal(
    await run('error', { fault: 'error_in_stream', after: 0, error }),
    ChatStreamStatus.FAILED,
  );
  // A request that is refused, and one that is no request at all.
  await refused(
    client.initiateChatStream(
      initiateRequest({ text: MARKER, request: { topP: 3, model: MARKER } }),
    ),
  );
  await fetch(`${tailrace.url}/tailrace.v1.ChatStreamService/InitiateChatStream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"request": ${MARKER}`,
  });
  await client.initiateChatStream(
    initiateRequest({
      streamId: 'endless',
      text: scripted({ fault: 'endless', interval_ms: 10, id: MARKER }),
    }),
  );
  await client.cancelChatStream({ streamId: 'endless', reason: 'enough' });
  assert.equal((await tailrace.stop()).code, 0);

  const lines = tailrace.log.map((line) => JSON.parse(line) as Record<string, unknown>);
  const about = (id: string): Record<string, unknown>[] =>
    lines.filter((line) => line['stream_id'] === id);
  assert.deepEqual(
    about('good').map(({ msg }) => msg),
    ['a chat was accepted', 'a worker took the chat', 'the chat came to its end'],
  );
  for (const id of ['good', 'refused', 'cut', 'bad-json', 'error']) {
    for (const line of about(id)) {
      assert.equal(line['tenant'], 'default');
      assert.equal(line['correlation_id'], `trace-${id}`);
      assert.match(String(line['trace_id']), /^[0-9a-f]{32}$/);
      if (line['msg'] !== 'a chat was accepted')
        assert.equal(line['attempt'], 1, String(line['msg']));
    }
  }
  for (const id of ['refused', 'cut', 'bad-json', 'error']) {
    assert.ok(
      about(id).some(({ msg }) => msg === 'the model server failed a chat'),
      id,
    );
  }
  assert.deepEqual(
    lines.filter(({ level }) => level === 'error'),
    [],
  );
  for (const secret of [MARKER, API_KEY]) {
    assert.deepEqual(
      tailrace.log.filter((line) => line.includes(secret)),
      [],
    );
    // What nats-server logs on its own lies beside the store, which holds the chats.
    for (const name of readdirSync(join(folder.path, 'nats')).filter((each) =>
      each.endsWith('.log'),
    )) {
      assert.ok(!readFileSync(join(folder.path, 'nats', name), 'utf8').includes(secret));
    }
  }
});

test('a log that cannot be written, on a full disk or a terminal that is closed, holds up neither chats nor the end', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  // Each write to it fails as on a full disk.
  const serve = `exec "$0" "$1" serve 2> /dev/full`;
  const tailrace = startProgram('bash', ['-c', serve, process.execPath, BIN], {
    env: {
      ...baseEnvironment(),
      TAILRACE_DATA_DIR: folder.path,
      OPENAI_BASE_URL: model.url,
    },
  });
  await tailrace.seen(/serves on \S+\n/);
  const client = grpcClient(/http:\S+/.exec(tailrace.output())?.[0] ?? '');
  for (const streamId of ['one', 'two']) {
    await client.initiateChatStream(initiateRequest({ streamId, text: scripted({ tokens: 3 }) }));
    const watch = await watchToEnd(client, streamId);
    assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
  }
  tailrace.signal('SIGTERM');
  assert.equal((await tailrace.ended).code, 0);
});
