// document_search with the operator's embeddings endpoint, through the whole product: asked for in the models
// file, found by meaning, and by words alone where the endpoint fails.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { ChatStreamStatus, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';

const folder = temporaryFolder();

const { model, tailrace, client } = await forAllTests(
  startScripted(({ url }) => {
    const file = join(folder.path, 'models.yaml');
    writeFileSync(
      file,
      `servers:
  - { name: s, base_url: "${url}", dialect: vllm }
models:
  - { name: test-model, server: s }
embeddings: { server: s, model: test-embedding, dimensions: 512, batch_size: 2 }
`,
    );
    return { OPENAI_BASE_URL: '', TAILRACE_MODELS_FILE: file };
  }),
);

afterEach(() => {
  model.embeddings.fault = undefined;
});

after(() => folder[Symbol.dispose]());

const TEXTS = [
  'The physician is in on Mondays.',
  'An automobile waits at the gate.',
  'The wheel of the mill is of oak.',
];

function searching(...queries: readonly string[]) {
  const [first, ...more] = queries.map((query) => ({
    tokens: 0,
    calls: [{ name: 'document_search', input: JSON.stringify({ query, limit: 1 }) }],
  }));
  const script = scripted({ ...first, rounds: [...more, { text: ['done'] }] });
  return {
    messages: [{ role: Role.USER, content: [{ block: { case: 'text' as const, value: script } }] }],
    tools: [{ kind: { case: 'server' as const, value: { name: 'document_search' } } }],
    toolContext: TEXTS.map((value, i) => ({
      name: `document ${i}`,
      item: {
        case: 'document' as const,
        value: { source: { case: 'text' as const, value } },
      },
    })),
  };
}

/** The documents that each search found. */
function found({ events }: Watch): readonly (readonly string[])[] {
  return events.flatMap(({ payload }) => {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    if (block?.case !== 'toolResult') return [];
    assert.ok(block.value.isError !== true);
    const said = block.value.content[0]?.block;
    const text = said?.case === 'text' ? said.value : '';
    const { passages } = JSON.parse(text) as { passages: { document: string }[] };
    return [passages.map(({ document }) => document)];
  });
}

function warnings({ events }: Watch): readonly WarningReason[] {
  return events.flatMap(({ payload }) =>
    payload.case === 'warning' ? [payload.value.reason ?? WarningReason.UNSPECIFIED] : [],
  );
}

test('a chat finds by meaning what has none of its words; its texts are embedded once for all its searches', async () => {
  const begun = model.embeddings.requests.length;
  const { streamId } = await client.initiateChatStream({ request: searching('car', 'doctor') });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
  assert.deepEqual(found(watch), [['d2'], ['d1']]);
  assert.deepEqual(warnings(watch), []);
  const asked = model.embeddings.requests.slice(begun).map(({ body }) => body.input);
  assert.deepEqual(asked.flat().toSorted(), [...TEXTS, 'car', 'doctor'].toSorted());
});

test('an endpoint that fails ends no chat and fails no call: words alone, one warning, a line in the log with the cause', async () => {
  model.embeddings.fault = { kind: 'status', status: 401 };
  const { streamId } = await client.initiateChatStream({
    request: searching('oak', 'physician', 'gate'),
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
  assert.deepEqual(found(watch), [['d3'], ['d1'], ['d2']]);
  assert.deepEqual(warnings(watch), [WarningReason.EMBEDDINGS_UNAVAILABLE]);
  const line = tailrace.logger.lines.find(({ message }) => message.includes('embeddings endpoint'));
  assert.equal(line?.level, 'warn');
  assert.equal(line.fields['stream_id'], streamId);
  assert.match(String(line.fields['err']), /operator's key \(HTTP 401/);
  assert.ok(!JSON.stringify(tailrace.logger.lines).includes('of oak'), 'no word of a document');
});

test('a cancel ends the calls of the endpoint', async () => {
  model.embeddings.fault = { kind: 'hang' };
  const asked = model.embeddings.next();
  const { streamId } = await client.initiateChatStream({ request: searching('car') });
  const { ended } = await asked;
  await client.cancelChatStream({ streamId });
  assert.equal(await ended, 'aborted');
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.CANCELLED);
  assert.deepEqual(warnings(watch), []);
});

test('the warning is told as well where the chat ends with calls for its client', async () => {
  model.embeddings.fault = { kind: 'status', status: 401 };
  const asked = searching('oak');
  const own = { name: 'own', inputSchema: '{"type":"object"}' };
  const calls = [
    { name: 'document_search', input: '{"query":"oak","limit":1}' },
    { name: 'own', input: '{}' },
  ];
  const text = { case: 'text' as const, value: scripted({ tokens: 0, calls }) };
  const { streamId } = await client.initiateChatStream({
    request: {
      ...asked,
      messages: [{ role: Role.USER, content: [{ block: text }] }],
      tools: [...asked.tools, { kind: { case: 'client' as const, value: own } }],
    },
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().stopReason, StopReason.TOOL_USE);
  assert.deepEqual(warnings(watch), [WarningReason.EMBEDDINGS_UNAVAILABLE]);
});
