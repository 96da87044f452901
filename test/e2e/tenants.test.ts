// Tenants: a token picks one, and nobody sees that another's chats exist.
import assert from 'node:assert/strict';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { makeToken } from '../../src/rpc/edge/auth.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { chatClient, type ChatClient, grpcClient, PROTOCOLS } from '../support/clients.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { refused, type Refusal } from '../support/refusal.ts';
import { failedStart, startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';

/** What each call says about an id that is not the caller's. */
function askAbout(client: ChatClient, streamId: string): Promise<Refusal[]> {
  return Promise.all([
    refused(client.getChatStream({ streamId })),
    refused(client.waitChatStream({ streamId })),
    refused(client.cancelChatStream({ streamId })),
    refused(new Watch().follow(client, streamId)),
  ]);
}

test('another tenant’s chat is NOT_FOUND in the words for one that never was; ids and tokens are each tenant’s own', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  const file = join(folder.path, 'tokens');
  const rivers = makeToken('rivers');
  const hills = makeToken('hills');
  writeFileSync(file, `# who may call\n${rivers.line}\n${hills.line} more columns\n`);
  await using tailrace = await startTailraceProcess({
    TAILRACE_DATA_DIR: join(folder.path, 'data'),
    OPENAI_BASE_URL: model.url,
    TAILRACE_TOKENS_FILE: file,
    // With a tokens file others may come.
    TAILRACE_LISTEN: '0.0.0.0:0',
  });
  const url = tailrace.url.replace('0.0.0.0', '127.0.0.1');
  const mine = grpcClient(url, { token: rivers.token });
  const theirs = grpcClient(url, { token: hills.token });

  const request = initiateRequest({ streamId: 'job', text: scripted({ text: ['of rivers'] }) });
  await mine.initiateChatStream(request);
  await watchToEnd(mine, 'job');
  const about = await askAbout(theirs, 'job');
  const never = await askAbout(theirs, 'nob');
  for (const [i, refusal] of about.entries()) {
    assert.equal(refusal.code, 'NotFound');
    const wording = JSON.stringify(never[i]).replaceAll('nob', 'job');
    assert.equal(JSON.stringify(refusal), wording);
  }
  const { created } = await theirs.initiateChatStream(
    initiateRequest({ streamId: 'job', text: scripted({ text: ['of hills'] }) }),
  );
  assert.equal(created, true, 'an id is unique in its tenant');
  assert.equal((await watchToEnd(theirs, 'job')).text(), 'of hills');
  assert.equal((await watchToEnd(mine, 'job')).text(), 'of rivers');

  for (const way of PROTOCOLS) {
    using nobody = chatClient(way, url);
    const missing = await refused(nobody.getChatStream({ streamId: 'job' }));
    assert.equal(missing.code, 'Unauthenticated', way.name);
    assert.equal(missing.reason, 'TOKEN_MISSING');
    assert.match(missing.message, /Authorization: Bearer <token>/);
    assert.equal((await refused(new Watch().follow(nobody, 'job'))).reason, 'TOKEN_MISSING');
    using stranger = chatClient(way, url, { token: makeToken('rivers').token });
    assert.equal((await refused(stranger.listModels({}))).reason, 'TOKEN_UNKNOWN');
    using known = chatClient(way, url, { token: rivers.token });
    assert.equal((await known.getChatStream({ streamId: 'job' })).chatStream?.streamId, 'job');
  }
  const health = createClient(Health, createGrpcTransport({ baseUrl: url }));
  assert.equal((await health.check({})).status, Serving.SERVING, 'health is open');

  const later = makeToken('hills');
  appendFileSync(file, `${later.line}\n`);
  const second = grpcClient(url, { token: later.token });
  await until('the new token', () =>
    second.getChatStream({ streamId: 'job' }).then(
      () => true,
      () => false,
    ),
  );
  writeFileSync(file, `${later.line}\n`);
  await until('the old token’s end', () =>
    mine.listModels({}).then(
      () => false,
      () => true,
    ),
  );
  assert.equal((await refused(mine.listModels({}))).reason, 'TOKEN_UNKNOWN');
  assert.ok(
    tailrace.log.every((line) => ![rivers, hills, later].some(({ token }) => line.includes(token))),
  );
});

test('without a tokens file it refuses to listen where others can reach it, says why, and what to do', async () => {
  using folder = temporaryFolder();
  const base = { TAILRACE_DATA_DIR: folder.path, OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' };
  for (const listen of ['0.0.0.0:0', '[::]:0', '192.0.2.1:0', 'example.com:0']) {
    const { code, said } = await failedStart({ env: { ...base, TAILRACE_LISTEN: listen } });
    assert.equal(code, 1);
    assert.match(
      said,
      /^TAILRACE_LISTEN is ".*", which others can reach, and TAILRACE_TOKENS_FILE is not set/,
    );
    assert.match(said, /tailrace token <tenant>/);
    assert.match(said, /127\.0\.0\.1/);
  }
});
