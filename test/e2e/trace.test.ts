// The caller's trace and correlation id, from the call over the log to the model server.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { startNats } from '../support/processes/nats.ts';
import { startTestTailrace } from '../support/processes/tailrace.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';
import { startModelServer } from '../model-server/model-server.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const TRACEPARENT = `00-${TRACE}-b7ad6b7169203331-01`;

test('a traceparent goes on to the model server and stands in every log line of the chat, by every protocol', async () => {
  await using nats = await startNats();
  await using model = await startModelServer();
  await using tailrace = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
  const client = grpcClient(tailrace.url);
  const headers = { traceparent: TRACEPARENT };
  const request = { correlationId: 'mine' };
  await client.initiateChatStream(initiateRequest({ streamId: 'grpc', request }), { headers });
  const started = await fetch(`${tailrace.url}/tailrace.v1.ChatStreamService/InitiateChatStream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({
      stream_id: 'curl',
      request: {
        correlation_id: 'mine',
        messages: [{ role: 'ROLE_USER', content: [{ text: 'hi' }] }],
      },
    }),
  });
  assert.equal(started.status, 200);
  const wrong = { headers: { traceparent: 'not-a-trace' } };
  await client.initiateChatStream(initiateRequest({ streamId: 'fresh', request }), wrong);
  for (const id of ['grpc', 'curl', 'fresh']) {
    const watch = await watchToEnd(client, id);
    for (const event of watch.events) assert.equal(event.correlationId, 'mine');
  }
  const { chatStreams } = await client.listChatStreams({ correlationId: 'mine' });
  assert.equal(chatStreams.length, 3);
  await client.deleteChatStream({ streamId: 'fresh' });

  const sent = model.requests.map(({ headers: { traceparent } }) => String(traceparent));
  const own = sent.filter((header) => header.split('-')[1] === TRACE);
  assert.equal(own.length, 2);
  assert.equal(new Set([TRACEPARENT, ...own]).size, 3, 'each call is a span of its own');
  const fresh = sent.find((header) => !own.includes(header)) ?? '';
  assert.match(fresh, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  const traces = { grpc: TRACE, curl: TRACE, fresh: fresh.split('-')[1] };
  for (const [id, trace] of Object.entries(traces)) {
    const lines = tailrace.logger.lines.filter(({ fields }) => fields['stream_id'] === id);
    assert.ok(lines.length >= 3, `${id} is in the log`);
    for (const { fields, message } of lines) {
      assert.equal(fields['trace_id'], trace, message);
      assert.equal(fields['correlation_id'], 'mine', message);
    }
  }
});
