// Fallbacks and costs as a user meets them: by the operator's file, in the chat's events, usage and log.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted } from '../model-server/model-server.ts';

const folder = temporaryFolder();
const { model, tailrace, client } = await forAllTests(
  startScripted(({ url }) => {
    const file = join(folder.path, 'models.yaml');
    writeFileSync(
      file,
      `
servers:
  - { name: s, base_url: ${url}, dialect: vllm, parallel_calls: 8 }
models:
  - name: main
    server: s
    upstream_model: test-model
    parallel_calls: 4
    fallbacks: [spare]
  - name: spare
    server: s
    upstream_model: test-model-small
    prices: { currency: EUR, input: 3, output: 20 }
`,
    );
    return { OPENAI_BASE_URL: '', TAILRACE_MODELS_FILE: file };
  }),
);

after(() => folder[Symbol.dispose]());

test('a chat whose model is down is answered by another, and its events, usage and log say so', async () => {
  const { models } = await client.listModels({});
  assert.deepEqual(models[0]?.fallbacks, ['spare']);
  assert.equal(models[0].parallelCalls, 4);
  const text = scripted({
    tokens: 3,
    fault: 'status',
    status: 401,
    fault_of: 'test-model',
  });
  const request = { correlationId: 'fall' };
  const { streamId } = await client.initiateChatStream(initiateRequest({ text, request }));
  const watch = await watchToEnd(client, streamId);
  const end = watch.end();
  assert.equal(end.stopReason, StopReason.END_TURN);
  const warnings = watch.events.flatMap(({ payload }) =>
    payload.case === 'warning' ? [payload.value] : [],
  );
  assert.deepEqual(
    warnings.map(({ reason, field }) => [reason, field]),
    [[WarningReason.MODEL_FALLBACK, 'request.model']],
  );
  assert.match(warnings[0]?.message ?? '', /^spare answers in place of main\. .*HTTP 401/);
  assert.equal(watch.cases().indexOf('warning'), 1, 'before its first word');
  const { inputTokens = 0, outputTokens = 0, cost, currency } = end.usage ?? {};
  assert.equal(currency, 'EUR');
  assert.ok(Math.abs((cost ?? 0) - (inputTokens * 3 + outputTokens * 20) / 1e6) < 1e-12);
  const { chatStream } = await client.getChatStream({ streamId });
  assert.equal(chatStream?.model, 'main');
  assert.equal(chatStream.usage?.cost, cost);
  const { chatStreams } = await client.listChatStreams({ correlationId: 'fall' });
  assert.equal(chatStreams[0]?.usage?.cost, cost);
  const lines = tailrace.logger.lines.filter(({ message }) => message.startsWith('spare answers'));
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.fields['correlation_id'], 'fall');
});

test('the next turn of the run is asked of the model that answered', async () => {
  const before = model.requests.length;
  const text = scripted({
    text: ['no JSON'],
    fault: 'status',
    status: 401,
    fault_of: 'test-model',
    again: { text: ['{}'] },
  });
  const schema = { case: 'jsonSchema', value: { name: 'n', schema: '{"type":"object"}' } } as const;
  const request = { responseFormat: { format: schema } };
  const { streamId } = await client.initiateChatStream(initiateRequest({ text, request }));
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().stopReason, StopReason.END_TURN);
  const asked = model.requests.slice(before).map(({ body }) => (body as { model: string }).model);
  assert.deepEqual(asked, ['test-model', 'test-model-small', 'test-model-small']);
  assert.equal(watch.cases().filter((name) => name === 'warning').length, 1, 'told once');
});

test('costs are summed over the calls of a chat', async () => {
  const calls = [{ id: 'c', name: 'f', input: ['{}'] }];
  const text = scripted({ tokens: 2, calls, rounds: [{ tokens: 7 }] });
  const tool = { kind: { case: 'client', value: { name: 'f' } } } as const;
  const { streamId } = await client.initiateChatStream({
    ...initiateRequest({ text, request: { model: 'spare', tools: [tool] } }),
    awaitToolResults: true,
  });
  const waiting = await client.waitChatStream({ streamId, view: 2 });
  assert.equal(waiting.chatStream?.usage?.currency, 'EUR');
  await client.submitToolResults({ streamId, results: [{ toolUseId: 'c' }] });
  const { usage } = (await watchToEnd(client, streamId)).end();
  assert.equal(usage?.modelCalls, 2);
  const { inputTokens = 0, outputTokens = 0, cost = 0 } = usage;
  assert.ok(cost > (waiting.chatStream.usage.cost ?? 0));
  assert.ok(Math.abs(cost - (inputTokens * 3 + outputTokens * 20) / 1e6) < 1e-12, `${cost}`);
});
