// With nothing configured a real model answers: the small one that set-up brings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type ThinkingSchema, ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { needs } from '../support/needs.ts';
import { refused } from '../support/refusal.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';

test(
  'with nothing configured the embedded model answers, with true usage; a cancel stops it',
  { skip: needs('embedded model') },
  async () => {
    using folder = temporaryFolder();
    await using tailrace = await startTailraceProcess({ TAILRACE_DATA_DIR: folder.path });
    const client = grpcClient(tailrace.url);
    const { models } = await client.listModels({});
    assert.equal(models.length, 1);
    const asked = { temperature: 0, seed: 7n, maxTokens: 12 };
    const ask = initiateRequest({ text: 'What is a river?', request: asked });
    const { streamId } = await client.initiateChatStream(ask);
    const watch = await watchToEnd(client, streamId);
    const end = watch.end();
    assert.equal(end.status, ChatStreamStatus.COMPLETED);
    assert.equal(end.stopReason, StopReason.MAX_TOKENS);
    assert.equal(end.usage?.outputTokens, 12);
    assert.ok((end.usage.inputTokens ?? 0) >= 5);
    assert.match(watch.text(), /\w+ \w+/);

    const long = await client.initiateChatStream(
      initiateRequest({
        text: 'Tell me a very long story about a river.',
        request: { maxTokens: 1_000 },
      }),
    );
    const story = new Watch();
    const ends = story.follow(client, long.streamId);
    await story.saw('textDelta');
    const { chatStream } = await client.cancelChatStream({ streamId: long.streamId });
    assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
    await ends;
    assert.equal(story.end().status, ChatStreamStatus.CANCELLED);
    const children = tailrace.children().length;
    assert.equal(children, 2, 'nats-server and the model');
    assert.equal((await tailrace.stop()).code, 0);
  },
);

test(
  'the embedded model keeps to a schema by a grammar, and says what it cannot do',
  { skip: needs('embedded model') },
  async () => {
    using folder = temporaryFolder();
    await using tailrace = await startTailraceProcess({ TAILRACE_DATA_DIR: folder.path });
    const client = grpcClient(tailrace.url);
    const [model] = (await client.listModels({})).models;
    const { tools, jsonSchema, reasoning, images } = model?.capabilities ?? {};
    assert.deepEqual([tools, jsonSchema, reasoning, images], [true, true, false, false]);

    const properties = { city: { type: 'string', maxLength: 20 }, river: { type: 'boolean' } };
    const required = ['city', 'river'];
    const city = { type: 'object', properties, required, additionalProperties: false };
    const asking = (
      schema: object,
      strict: boolean,
      thinking?: MessageInitShape<typeof ThinkingSchema>,
    ) => {
      const value = { name: 'city', schema: JSON.stringify(schema), strict };
      const responseFormat = { format: { case: 'jsonSchema' as const, value } };
      const request = { temperature: 0, maxTokens: 100, responseFormat };
      const thoughts = thinking === undefined ? {} : { thinking };
      return initiateRequest({ text: 'Describe Rome.', request: { ...request, ...thoughts } });
    };
    const { streamId } = await client.initiateChatStream(asking(city, true));
    const watch = await watchToEnd(client, streamId);
    const { payload } = watch.events.at(-1) ?? {};
    assert.ok(payload?.case === 'completed', watch.text());
    assert.equal(payload.value.stopReason, StopReason.END_TURN);
    assert.deepEqual(Object.keys(JSON.parse(payload.value.outputJson) as object), required);
    assert.equal(payload.value.usage?.modelCalls, 1);

    // What the grammar cannot hold it to is refused, or checked afterwards.
    const strange = {
      ...city,
      properties: { ...properties, city: { const: 'Atlantis', pattern: '^A' } },
    };
    const refusal = await refused(client.initiateChatStream(asking(strange, true)));
    assert.equal(refusal.reason, 'MODEL_UNFIT');
    assert.deepEqual(refusal.fields, ['request.response_format.json_schema.schema']);
    assert.match(
      refusal.message,
      /schema\.properties\.city\.pattern' cannot be kept by the grammar/,
    );
    const never = {
      ...city,
      properties: { ...properties, city: { type: 'string', pattern: '^$' } },
    };
    const loose = await client.initiateChatStream(asking(never, false));
    const end = (await watchToEnd(client, loose.streamId)).end();
    assert.equal(end.failure?.reason, FailureReason.SCHEMA_NOT_MET);
    assert.match(end.failure.message, /\/city must match pattern/);
    assert.equal(end.usage?.modelCalls, 2);

    const thinking = { enabled: true, bestEffort: true };
    const without = await client.initiateChatStream(asking(city, true, thinking));
    const seen = await watchToEnd(client, without.streamId);
    const warning = seen.events.find(({ payload: { case: kind } }) => kind === 'warning')?.payload;
    assert.ok(warning?.case === 'warning');
    assert.equal(warning.value.reason, WarningReason.THINKING_NOT_SUPPORTED);
    assert.equal((await tailrace.stop()).code, 0);
  },
);

test(
  'the embedded model calls a tool where it must, with what the tool takes, and is refused the choice',
  { skip: needs('embedded model') },
  async () => {
    using folder = temporaryFolder();
    await using tailrace = await startTailraceProcess({ TAILRACE_DATA_DIR: folder.path });
    const client = grpcClient(tailrace.url);
    const tools = [{ kind: { case: 'server' as const, value: { name: 'document_search' } } }];
    const text = { case: 'text' as const, value: 'Weir Mill was closed in 1931.' };
    const document = { case: 'document' as const, value: { source: text } };
    const context = { tools, toolContext: [{ name: 'mills', item: document }] };
    const asking = (mode: ToolChoiceMode, name = '') =>
      initiateRequest({
        text: 'When was Weir Mill closed?',
        request: { ...context, toolChoice: { mode, name }, temperature: 0, maxTokens: 80 },
      });

    const refusal = await refused(client.initiateChatStream(asking(ToolChoiceMode.AUTO)));
    assert.equal(refusal.reason, 'MODEL_UNFIT');
    assert.deepEqual(refusal.fields, ['request.tool_choice']);
    assert.match(refusal.message, /only where it must.*TOOL_CHOICE_MODE_ANY/s);

    const named = asking(ToolChoiceMode.NAMED, 'document_search');
    const { streamId } = await client.initiateChatStream(named);
    const watch = await watchToEnd(client, streamId);
    assert.equal(watch.end().status, ChatStreamStatus.COMPLETED, watch.end().failure?.message);
    assert.equal(watch.end().usage?.modelCalls, 2);
    const { chatStream } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
    const blocks = chatStream?.output.map(({ block }) => block) ?? [];
    const [call, result] = blocks;
    assert.ok(call?.case === 'toolUse' && result?.case === 'toolResult');
    assert.equal(call.value.name, 'document_search');
    assert.equal(result.value.toolUseId, call.value.id);
    // By the schema of the tool, whatever words it took.
    assert.equal(result.value.isError ?? false, false, JSON.stringify(result.value.content));
    assert.equal((await tailrace.stop()).code, 0);
  },
);
