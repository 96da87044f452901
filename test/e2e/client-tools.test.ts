// Client tools as a user has them: the model calls, the chat completes or waits, the results go back,
// and the same stream goes on. What may be said of them is in client-tool-rules.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChatStreamStatus,
  ChatStreamView,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { PNG } from '../support/chats/content.ts';
import {
  asking,
  answer,
  ONE_CALL,
  startWaiting,
  payloads,
  SCHEMA,
} from '../support/chats/client-tool-chats.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refusalOf } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import type { ScriptInput } from '../model-server/script.ts';

const { model, client } = await forAllTests(startScripted());

test('without await_tool_results a chat completes with its calls, as users of other APIs expect', async () => {
  const { streamId } = await client.initiateChatStream({ request: asking(ONE_CALL) });
  const watch = await watchToEnd(client, streamId);
  const end = watch.end();
  assert.equal(end.stopReason, StopReason.TOOL_USE);
  assert.deepEqual(
    payloads(watch, 'blockStarted').map(({ index, kind, turn, id, name }) => {
      return [index, kind, turn, id, name];
    }),
    [
      [0, BlockKind.TEXT, 1, '', ''],
      [1, BlockKind.TOOL_USE, 1, 'call_1', 'weather'],
    ],
  );
  const input = payloads(watch, 'toolInputDelta').map(({ json }) => json);
  assert.equal(input.join(''), '{"city":"Zürich"}');
  assert.deepEqual(
    payloads(watch, 'blockStopped').map(({ index }) => index),
    [0, 1],
  );
  const body = model.requests.at(-1)?.body as Record<string, unknown>;
  assert.deepEqual(body['tools'], [
    {
      type: 'function',
      function: {
        name: 'weather',
        description: 'The weather now.',
        parameters: JSON.parse(SCHEMA),
      },
    },
  ]);
  assert.equal(body['tool_choice'], undefined);
  const { chatStream } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
  assert.deepEqual(
    chatStream?.output.map(({ block }) => block.case),
    ['text', 'toolUse'],
  );
  assert.deepEqual(chatStream.pendingToolUses, []);
});

test('a chat that awaits its tools goes on under the same id and sequence, and the model sees the results', async () => {
  const streamId = await startWaiting(client, ONE_CALL);
  const watch = new Watch();
  const following = watch.follow(client, streamId);
  await watch.saw('toolResultsRequested');
  const { chatStream: basic } = await client.getChatStream({ streamId });
  const pending = basic?.pendingToolUses.map(({ id, name, input }) => ({ id, name, input }));
  assert.deepEqual(pending, [{ id: 'call_1', name: 'weather', input: '{"city":"Zürich"}' }]);
  const listed = (await client.listChatStreams({})).chatStreams.find(
    (chat) => chat.streamId === streamId,
  );
  assert.deepEqual(
    listed?.pendingToolUses.map(({ id, name }) => [id, name]),
    [['call_1', 'weather']],
  );
  const submitted = await client.submitToolResults({
    streamId,
    results: [answer('call_1', '21 °C')],
  });
  assert.equal(submitted.chatStream?.status, ChatStreamStatus.PROCESSING);
  assert.deepEqual(submitted.chatStream.pendingToolUses, []);
  await following;
  const end = watch.end();
  assert.equal(end.stopReason, StopReason.END_TURN);
  assert.equal(watch.text(), 'Let me see. It is sunny.');
  assert.deepEqual(
    payloads(watch, 'blockStarted').map(({ index, turn }) => [index, turn]),
    [
      [0, 1],
      [1, 1],
      [2, 2],
    ],
  );
  assert.equal(end.usage?.modelCalls, 2);
  const body = model.requests.at(-1)?.body as { messages: unknown[] };
  assert.deepEqual(body.messages.slice(1), [
    {
      role: 'assistant',
      content: 'Let me see. ',
      tool_calls: [
        {
          id: 'call_1',
          type: 'function',
          function: { name: 'weather', arguments: '{"city":"Zürich"}' },
        },
      ],
    },
    { role: 'tool', tool_call_id: 'call_1', content: '21 °C' },
  ]);
  const { chatStream: full } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
  assert.deepEqual(
    full?.output.map(({ block }) => block.case),
    ['text', 'toolUse', 'toolResult', 'text'],
  );
  assert.equal(full.contentSha256, end.contentSha256);
});

test('with stream=false calls come as whole blocks', async () => {
  const { streamId } = await client.initiateChatStream({
    request: asking(ONE_CALL, { stream: false }),
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(payloads(watch, 'toolInputDelta').length, 0);
  const { block } = payloads(watch, 'blockStopped')[1]?.content ?? {};
  assert.ok(block?.case === 'toolUse');
  const { id, name, input } = block.value;
  assert.deepEqual(
    { id, name, input },
    { id: 'call_1', name: 'weather', input: '{"city":"Zürich"}' },
  );
});

test('parallel calls are answered in any order and in parts, and the chat waits for all of them', async () => {
  const script: ScriptInput = {
    tokens: 0,
    calls: [
      { id: 'a', name: 'weather', input: ['{"city":', '"A"}'] },
      { id: 'b', name: 'weather', input: ['{"city":', '"B"}'] },
      // A server that gives no id, and no input.
      { name: 'weather', input: '' },
    ],
    interleave: true,
    rounds: [{ text: ['done'] }],
  };
  const streamId = await startWaiting(client, script);
  const { chatStream: first } = await client.getChatStream({ streamId });
  const [a, b, c] = first?.pendingToolUses ?? [];
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  assert.deepEqual([a.id, a.input, b.id, b.input], ['a', '{"city":"A"}', 'b', '{"city":"B"}']);
  assert.match(c.id, /^call_/);
  assert.equal(c.input, '{}');
  const part = await client.submitToolResults({ streamId, results: [answer('b', 'of B')] });
  assert.deepEqual(
    part.chatStream?.pendingToolUses.map(({ id }) => id),
    ['a', c.id],
  );
  const listed = (await client.listChatStreams({})).chatStreams.find(
    (chat) => chat.streamId === streamId,
  );
  assert.deepEqual(
    listed?.pendingToolUses.map(({ id }) => id),
    ['a', c.id],
  );
  await client.submitToolResults({
    streamId,
    results: [answer(c.id, 'broken', true), answer('a', 'of A')],
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.text(), 'done');
  const body = model.requests.at(-1)?.body as { messages: { content: string }[] };
  assert.deepEqual(
    body.messages.slice(-3).map(({ content }) => content),
    ['of A', 'of B', 'Error: broken'],
  );
});

test('results that are submitted side by side, each by a call of its own, are all taken', async () => {
  const ids = Array.from({ length: 24 }, (_, i) => `side_${i}`);
  const calls = ids.map((id) => ({ id, name: 'weather', input: '{"city":"A"}' }));
  const streamId = await startWaiting(client, { tokens: 0, calls, rounds: [{ text: ['done'] }] });
  await Promise.all(
    ids.map((id) => client.submitToolResults({ streamId, results: [answer(id, `of ${id}`)] })),
  );
  assert.equal((await watchToEnd(client, streamId)).text(), 'done');
});

test('a chat that is cancelled while results come in is cancelled', async () => {
  const ids = Array.from({ length: 24 }, (_, i) => `late_${i}`);
  const calls = ids.map((id) => ({ id, name: 'weather', input: '{"city":"A"}' }));
  const streamId = await startWaiting(client, { tokens: 0, calls, rounds: [{ text: ['done'] }] });
  const submitted = Promise.allSettled(
    ids
      .slice(1)
      .map((id) => client.submitToolResults({ streamId, results: [answer(id, `of ${id}`)] })),
  );
  const { chatStream } = await client.cancelChatStream({ streamId });
  assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
  for (const each of await submitted) {
    if (each.status === 'fulfilled') continue;
    assert.equal(refusalOf(each.reason).reason, 'NOT_WAITING_FOR_TOOL_RESULTS');
  }
});

test('several rounds go on in one stream, and ids that the server repeats are made different', async () => {
  const again = { tokens: 0, calls: [{ id: 'same', name: 'weather' }] };
  const streamId = await startWaiting(client, { ...again, rounds: [again, { text: ['end'] }] });
  await client.submitToolResults({ streamId, results: [answer('same', 'one')] });
  const { chatStream } = await client.waitChatStream({ streamId });
  const [second] = chatStream?.pendingToolUses ?? [];
  assert.ok(second !== undefined && second.id !== 'same');
  await client.submitToolResults({ streamId, results: [answer(second.id, 'two')] });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().usage?.modelCalls, 3);
  assert.deepEqual(
    payloads(watch, 'blockStarted').map(({ index, turn }) => [index, turn]),
    [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
  );
});

test('images in a client’s result are before the model, and in the FULL view by size and hash', async () => {
  const streamId = await startWaiting(client, ONE_CALL);
  const data = Buffer.concat([PNG, Buffer.alloc(100_000)]);
  const image = {
    block: {
      case: 'image' as const,
      value: { source: { case: 'data' as const, value: data }, mediaType: 'image/png' },
    },
  };
  const said = { block: { case: 'text' as const, value: 'A photo:' } };
  await client.submitToolResults({
    streamId,
    results: [{ toolUseId: 'call_1', content: [said, image] }],
  });
  await watchToEnd(client, streamId);
  const body = model.requests.at(-1)?.body as { messages: Record<string, unknown>[] };
  assert.deepEqual(body.messages.slice(-2), [
    {
      role: 'tool',
      tool_call_id: 'call_1',
      content: `A photo:\n[An image, image/png, ${data.length} bytes: see the next message.]`,
    },
    {
      role: 'user',
      content: [
        { type: 'text', text: '[Images of the tool’s result:]' },
        {
          type: 'image_url',
          image_url: { url: `data:image/png;base64,${data.toString('base64')}` },
        },
      ],
    },
  ]);
  const { chatStream } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
  const shown = chatStream?.output.flatMap(({ block }) =>
    block.case === 'toolResult' ? block.value.content.map((part) => part.block) : [],
  )[1];
  assert.equal(shown?.case === 'image' && shown.value.original?.sizeBytes, data.length);
});
