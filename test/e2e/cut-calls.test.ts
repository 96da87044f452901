// Calls that the model was cut off within: everybody can see that they are not whole, and nobody carries them out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatStreamView, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { asking, payloads } from '../support/chats/client-tool-chats.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { resultsIn, serverTools } from '../support/chats/tool-calls.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const { client } = await forAllTests(startScripted());

test('a call that the model was cut off within is told as incomplete, and its chat ends by MAX_TOKENS', async () => {
  const calls = [
    { id: 'whole', name: 'weather', input: '{"city":"Bern"}' },
    { id: 'half', name: 'weather', input: ['{"city":', '"Zür'] },
  ];
  // The last one is what vLLM says of a call that the length has cut.
  for (const finish of ['length', 'tool_calls']) {
    for (const stream of [true, false]) {
      const { streamId } = await client.initiateChatStream({
        request: asking(
          { text: ['a', 'b'], calls, finish },
          { stream, maxTokens: 2, toolChoice: { mode: ToolChoiceMode.NAMED, name: 'weather' } },
        ),
        awaitToolResults: true,
      });
      const watch = await watchToEnd(client, streamId);
      const end = watch.end();
      assert.equal(end.stopReason, StopReason.MAX_TOKENS);
      assert.equal(payloads(watch, 'toolResultsRequested').length, 0);
      assert.deepEqual(
        payloads(watch, 'blockStopped').map(({ incomplete }) => incomplete),
        [false, false, true],
      );
      const { chatStream } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
      const made = chatStream?.output.flatMap(({ block }) =>
        block.case === 'toolUse' ? [block.value] : [],
      );
      assert.deepEqual(
        made?.map(({ id, input, incomplete }) => [id, input, incomplete]),
        [
          ['whole', '{"city":"Bern"}', false],
          ['half', '{"city":"Zür', true],
        ],
      );
    }
  }
});

test('a call that comes to its last brace with its last token is a call as any other', async () => {
  const calls = [{ id: 'exact', name: 'weather', input: '{"city":"Bern"}' }];
  const { streamId } = await client.initiateChatStream({
    request: asking({ text: ['a', 'b'], calls }, { maxTokens: 2 }),
  });
  const end = (await watchToEnd(client, streamId)).end();
  assert.equal(end.stopReason, StopReason.TOOL_USE);
});

test('a call that the model was cut off within is not made, whatever its server calls the end', async () => {
  const half = { name: 'web_fetch', input: '{"url":"http://127.0.0.1/' };
  for (const finish of ['length', 'tool_calls']) {
    const script = { text: ['a', 'b'], calls: [half], finish };
    const request = asking(script, { tools: serverTools('web_fetch'), maxTokens: 2 });
    const watch = await watchToEnd(client, (await client.initiateChatStream({ request })).streamId);
    assert.equal(watch.end().stopReason, StopReason.MAX_TOKENS);
    assert.deepEqual(resultsIn(watch.events), []);
  }
});
