// Every call of the TypeScript client against a real server, and answers that are lost on their way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import {
  ChatStreamStatus,
  clientTool,
  createTailraceClient,
} from '../../clients/typescript/src/tailrace.ts';
import { scripted } from '../model-server/model-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';

const { tailrace } = await forAllTests(startScripted());
const client = createTailraceClient(createGrpcTransport({ baseUrl: tailrace.url }));

test('get, wait and awaitResult tell the same answer', async () => {
  const { streamId, created } = await client.initiate(scripted({ text: ['wa', 'ter'] }));
  assert.equal(created, true);
  const waited = await client.wait(streamId, { full: true });
  assert.equal(waited.status, ChatStreamStatus.COMPLETED);
  assert.equal(waited.output[0]?.block.value, 'water');
  const got = await client.get(streamId, { full: true });
  assert.equal(got.contentSha256, waited.contentSha256);
  assert.deepEqual((await client.get(streamId)).output, []);
  const result = await client.awaitResult(streamId);
  assert.ok(result.verified);
  assert.equal(result.text, 'water');
  assert.equal(result.usage?.outputTokens, got.usage?.outputTokens);
});

test('a time limit may be any number of milliseconds', async () => {
  const transport = createConnectTransport({ baseUrl: tailrace.url, httpVersion: '2' });
  const impatient = createTailraceClient(transport, { timeoutMs: 10_000 + 1 / 3 });
  const { streamId } = await impatient.initiate(scripted({ text: ['water'] }), {
    ttlMs: 60_000.5,
  });
  assert.equal((await impatient.wait(streamId)).status, ChatStreamStatus.COMPLETED);
  const { status } = await impatient.get(streamId, { timeoutMs: 9_999.9 });
  assert.equal(status, ChatStreamStatus.COMPLETED);
});

test('lists come chat by chat over all pages, or page by page', async () => {
  const correlationId = `lists-${Date.now()}`;
  const started: string[] = [];
  for (let i = 0; i < 5; i++) {
    const messages = [{ role: 'user', content: scripted({ tokens: 1 }) }] as const;
    started.unshift((await client.initiate({ messages, correlationId })).streamId);
  }
  const list = client.list({ pageSize: 2, correlationId });
  const listed: string[] = [];
  for await (const { streamId } of list) listed.push(streamId);
  assert.deepEqual(listed, started);
  const sizes: number[] = [];
  for await (const { chatStreams } of list.pages()) sizes.push(chatStreams.length);
  assert.deepEqual(sizes, [2, 2, 1]);
});

test('a chat is cancelled, and its observation ends with that', async () => {
  const { streamId } = await client.initiate(scripted({ tokens: 10_000, interval_ms: 10 }));
  const result = client.awaitResult(streamId);
  await client.cancel(streamId, { reason: 'enough' });
  const { status, cancelReason, verified } = await result;
  assert.equal(status, ChatStreamStatus.CANCELLED);
  assert.equal(cancelReason, 'enough');
  assert.ok(verified);
});

test('whoever observes a chat while it is deleted is told so', async () => {
  const { streamId } = await client.initiate(scripted({ tokens: 10_000, interval_ms: 10 }));
  const updates = client.observe(streamId);
  await updates.next();
  await client.delete(streamId);
  await assert.rejects(
    async () => {
      for await (const _ of updates);
    },
    { reason: 'STREAM_DELETED' },
  );
  await assert.rejects(client.get(streamId), { reason: 'STREAM_NOT_FOUND' });
});

test('the results of its caller’s tools go on under the same id, and stand behind their calls', async () => {
  const script = scripted({
    text: ['Let me look. '],
    calls: [{ id: 'call-1', name: 'weather', input: '{"city":"Ghent"}' }],
    rounds: [{ text: ['Sunny.'] }],
  });
  const inputSchema = { type: 'object', properties: { city: { type: 'string' } } };
  const { streamId } = await client.initiate(
    {
      messages: [{ role: 'user', content: script }],
      tools: [clientTool({ name: 'weather', inputSchema })],
    },
    { awaitToolResults: true },
  );
  const asked = await client.awaitResult(streamId);
  assert.ok(!asked.ended);
  assert.deepEqual(
    asked.pendingToolUses.map(({ id, name, input }) => [id, name, input]),
    [['call-1', 'weather', '{"city":"Ghent"}']],
  );
  await client.submitToolResults(streamId, [{ toolUseId: 'call-1', content: 'sunny' }]);
  const result = await client.awaitResult(streamId);
  assert.ok(result.ended && result.verified);
  assert.deepEqual(
    result.parts.map(({ kind }) => kind),
    ['text', 'toolUse', 'toolResult', 'text'],
  );
  assert.deepEqual(result.pendingToolUses, []);
});

test('the models are listed, the default one first', async () => {
  const models = await client.listModels();
  assert.equal(models[0]?.isDefault, true);
  assert.ok(models.length > 1);
});

/** Loses the first answer to a call of this name, which the server has carried out. */
function losing(transport: Transport, name: string): Transport {
  let lost = false;
  return {
    ...transport,
    unary: async (method, ...rest) => {
      const answer = await transport.unary(method, ...rest);
      if (method.name !== name || lost) return answer;
      lost = true;
      throw new TypeError('fetch failed');
    },
  };
}

test('a start whose answer was lost is made again and is still one chat', async () => {
  const transport = losing(createGrpcTransport({ baseUrl: tailrace.url }), 'InitiateChatStream');
  const lossy = createTailraceClient(transport);
  const correlationId = `lost-${Date.now()}`;
  const messages = [{ role: 'user', content: scripted({ tokens: 1 }) }] as const;
  const { streamId, created } = await lossy.initiate({ messages, correlationId });
  assert.equal(created, false);
  const found = [];
  for await (const chat of client.list({ correlationId })) found.push(chat.streamId);
  assert.deepEqual(found, [streamId]);
});

test('a delete whose answer was lost is a delete', async () => {
  const { streamId } = await client.initiate(scripted({ tokens: 1 }));
  await client.awaitResult(streamId);
  const transport = losing(createGrpcTransport({ baseUrl: tailrace.url }), 'DeleteChatStream');
  await createTailraceClient(transport).delete(streamId);
  await assert.rejects(client.delete(streamId), { reason: 'STREAM_NOT_FOUND' });
});

test('nobody at the address is an error after so many tries, with the cause', async () => {
  const proxy = await startProxy(tailrace.url);
  await proxy[Symbol.asyncDispose]();
  const transport = createConnectTransport({ baseUrl: proxy.url, httpVersion: '1.1' });
  const nobody = createTailraceClient(transport, { maxRetries: 1, backoff: { baseMs: 1 } });
  await assert.rejects(nobody.get('any'), { name: 'TailraceError', reason: undefined });
  await assert.rejects(nobody.awaitResult('any'), { name: 'TailraceError' });
});

test('an aborted signal ends a call with its own reason', async () => {
  const { streamId } = await client.initiate(scripted({ tokens: 10_000, interval_ms: 10 }));
  const leave = new AbortController();
  const waiting = client.wait(streamId, { signal: leave.signal });
  const reason = new Error('enough');
  leave.abort(reason);
  await assert.rejects(waiting, reason);
  await client.cancel(streamId);
});
