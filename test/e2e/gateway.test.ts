// A gateway that others wrote stands between Tailrace and the model server, here the test's own and the
// embedded one: a second implementation of the API is met, in both directions.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  ChatStreamStatus,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { startEmbeddedModel } from '../../src/model/embedded/embedded-model.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { type Gateway, startGateway } from '../support/servers/gateway.ts';
import { startNats, temporaryFolder } from '../support/processes/nats.ts';
import { needs, setUp } from '../support/needs.ts';
import { startTestTailrace } from '../support/processes/tailrace.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

const { COMPLETED, FAILED } = ChatStreamStatus;
const noEmbedded = needs('embedded model');

const stack = new AsyncDisposableStack();
let gateway: Gateway;
let model: ModelServer;
let client: ChatClient;

before(async () => {
  const folder = stack.use(temporaryFolder());
  gateway = stack.use(await startGateway());
  model = stack.use(await startModelServer());
  const embedded =
    noEmbedded === false
      ? stack.use(
          await startEmbeddedModel({ modelPath: setUp().model ?? '', onEvent: () => undefined }),
        )
      : undefined;
  const behind = (name: string, url: string) => ({
    name,
    base_url: gateway.url,
    // So it is told what is behind it; it passes on OpenAI's own fields and drops the others.
    headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': url },
    dialect: 'openai',
    discover: true,
  });
  const servers = [behind('test', model.url)];
  if (embedded !== undefined) servers.push(behind('embedded', embedded.baseUrl));
  const file = join(folder.path, 'models.json');
  await writeFile(file, JSON.stringify({ servers }));
  const nats = stack.use(await startNats());
  const tailrace = await startTestTailrace(nats.access, { TAILRACE_MODELS_FILE: file });
  client = grpcClient(stack.use(tailrace).url);
});

after(() => stack.disposeAsync());

async function ask(script: ScriptInput, request = {}): Promise<Watch> {
  const start = initiateRequest({ text: scripted(script), request });
  const { streamId } = await client.initiateChatStream(start);
  return watchToEnd(client, streamId);
}

test('the models behind the gateway are listed', async () => {
  const { models } = await client.listModels({});
  const names = models.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 2), ['test-model', 'test-model-small']);
  assert.equal(names.includes('smollm2-135m-instruct'), noEmbedded === false);
});

test('a chat through the gateway: text, reasoning, characters in pieces, stop text and usage', async () => {
  const watch = await ask(
    {
      text: ['Grüße, ', '世界 ', '👋🏽'],
      thinking: 2,
      split_bytes: 3,
      stop_reason: 'END',
    },
    { stop: ['END'], temperature: 0, maxTokens: 50, minP: 0.1 },
  );
  const end = watch.end();
  assert.equal(end.status, COMPLETED);
  assert.equal(end.stopReason, StopReason.STOP_SEQUENCE);
  assert.equal(watch.text(), 'Grüße, 世界 👋🏽');
  assert.equal(end.usage?.outputTokens, 5);
  assert.ok(watch.cases().includes('thinkingDelta'));
  assert.ok(watch.cases().includes('warning'), 'min_p is not OpenAI’s');
  const { body } = await model.nextRequest();
  assert.ok(typeof body === 'object' && body !== null);
  assert.equal(Reflect.get(body, 'temperature'), 0);
  assert.equal(Reflect.get(body, 'max_completion_tokens'), 50);
  assert.equal('min_p' in body, false);
});

test('what goes wrong behind the gateway ends a chat truthfully', async () => {
  const { UPSTREAM_CUT, UPSTREAM_REJECTED } = FailureReason;
  for (const [script, reason] of [
    [{ fault: 'cut', tokens: 6, after: 3 }, UPSTREAM_CUT],
    [{ fault: 'status', status: 400 }, UPSTREAM_REJECTED],
  ] as const) {
    const end = (await ask(script)).end();
    assert.equal(end.status, FAILED, script.fault);
    assert.equal(end.failure?.reason, reason, script.fault);
  }
});

test('the embedded model answers through the gateway', { skip: noEmbedded }, async () => {
  const start = initiateRequest({
    text: 'What is a river?',
    request: { model: 'smollm2-135m-instruct', temperature: 0, seed: 7n, maxTokens: 12 },
  });
  const { streamId } = await client.initiateChatStream(start);
  const watch = await watchToEnd(client, streamId);
  const end = watch.end();
  assert.equal(end.status, COMPLETED);
  assert.equal(end.stopReason, StopReason.MAX_TOKENS);
  assert.equal(end.usage?.outputTokens, 12);
  assert.match(watch.text(), /\w+ \w+/);
});
