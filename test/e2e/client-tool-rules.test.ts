// What a request and results may say of client tools: it is checked, what is asked of the model is kept, and a
// conversation that has some goes to the model server. How a chat waits for them is in client-tools.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { MAX_TOOL_RESULTS_BYTES, MAX_TURNS } from '../../src/chat/limits.ts';
import {
  WEATHER,
  asking,
  answer,
  ONE_CALL,
  startWaiting,
  type Request,
  type Result,
  SCHEMA,
} from '../support/chats/client-tool-chats.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

const { model, client } = await forAllTests(startScripted());

test('the same result again is taken for the first; another one, a late and an unknown one are refused', async () => {
  const streamId = await startWaiting(client, { ...ONE_CALL, rounds: [{ text: ['ok'] }] });
  const unknown = await refused(
    client.submitToolResults({ streamId, results: [answer('nobody', 'x')] }),
  );
  assert.equal(unknown.code, 'FailedPrecondition');
  assert.equal(unknown.reason, 'NOT_WAITING_FOR_TOOL_RESULTS');
  assert.equal(unknown.metadata['tool_use_ids'], 'nobody');
  await client.submitToolResults({ streamId, results: [answer('call_1', 'first')] });
  await client.submitToolResults({ streamId, results: [answer('call_1', 'first')] });
  const other = await refused(
    client.submitToolResults({ streamId, results: [answer('call_1', 'second')] }),
  );
  assert.equal(other.reason, 'NOT_WAITING_FOR_TOOL_RESULTS');
  await watchToEnd(client, streamId);
  const { chatStream } = await client.submitToolResults({
    streamId,
    results: [answer('call_1', 'first')],
  });
  assert.equal(chatStream?.status, ChatStreamStatus.COMPLETED, 'a repeat after the end, too');
  const late = await startWaiting(client, ONE_CALL);
  await client.cancelChatStream({ streamId: late });
  const refusal = await refused(
    client.submitToolResults({ streamId: late, results: [answer('call_1', 'x')] }),
  );
  assert.equal(refusal.reason, 'NOT_WAITING_FOR_TOOL_RESULTS');
  const none = await refused(
    client.submitToolResults({ streamId: 'no-such', results: [answer('call_1', 'x')] }),
  );
  assert.equal(none.reason, 'STREAM_NOT_FOUND');
});

test('results that cannot be taken are refused by their path, and the chat waits on', async () => {
  const streamId = await startWaiting(client, ONE_CALL);
  const huge = 'x'.repeat(MAX_TOOL_RESULTS_BYTES);
  const fields = async (results: Result[]): Promise<readonly string[]> => {
    return (await refused(client.submitToolResults({ streamId, results }))).fields;
  };
  assert.deepEqual(await fields([]), ['results']);
  assert.deepEqual(await fields([answer('call_1', huge)]), ['results[0]']);
  assert.deepEqual(await fields([answer('a', huge.slice(99)), answer('b', huge.slice(99))]), [
    'results',
  ]);
  assert.deepEqual(await fields([answer('call_1', 'x'), answer('call_1', 'y')]), [
    'results[1].tool_use_id',
  ]);
  const image = {
    block: { case: 'image', value: { source: { case: 'url', value: 'https://x/y' } } },
  };
  const nonsense = {
    block: {
      case: 'image',
      value: { source: { case: 'data', value: Buffer.from('no image') }, mediaType: 'image/png' },
    },
  };
  assert.deepEqual(
    await fields([{ toolUseId: 'call_1', content: [image as never, nonsense as never] }]),
    ['results[0].content[0].image.url', 'results[0].content[1].image.data'],
  );
  const { chatStream } = await client.submitToolResults({
    streamId,
    results: [answer('call_1', huge.slice(99))],
  });
  assert.deepEqual(chatStream?.pendingToolUses, []);
  await watchToEnd(client, streamId);
});

test('tools and tool calls in a request are checked, each by its path', async () => {
  const tool = (name: string, inputSchema = SCHEMA) =>
    ({ kind: { case: 'client', value: { name, inputSchema } } }) as const;
  const fields = async (more: Partial<Request>): Promise<readonly string[]> => {
    const call = client.initiateChatStream({ request: asking(ONE_CALL, more) });
    return (await refused(call)).fields;
  };
  assert.deepEqual(await fields({ tools: [tool('a'), tool('b'), tool('a')] }), [
    'request.tools[2].client.name',
  ]);
  const wrong = [
    'no JSON',
    '[]',
    '{"type":"string"}',
    '{"type":"objekt"}',
    '{"properties":{"a":{"$ref":"https://example.com/a"}}}',
    '{"properties":{"a":{"pattern":"("}}}',
    `${'{"properties":{"a":'.repeat(70)}{}${'}}'.repeat(70)}`,
    JSON.stringify({ enum: Array.from({ length: 2_000 }, (_, i) => i) }),
  ];
  for (const schema of wrong) {
    assert.deepEqual(await fields({ tools: [tool('a'), tool('b', schema)] }), [
      'request.tools[1].client.input_schema',
    ]);
  }
  assert.deepEqual(
    await fields({ tools: [{ kind: { case: 'server', value: { name: 'database_query' } } }] }),
    ['request.tools[0].server.name'],
  );
  const mode = ToolChoiceMode.NAMED;
  for (const name of ['', 'wether']) {
    assert.deepEqual(await fields({ toolChoice: { mode, name } }), ['request.tool_choice.name']);
  }
  assert.deepEqual(await fields({ tools: [], toolChoice: {} }), ['request.tool_choice']);
});

test('tool_choice and parallel are sent, and a model that breaks them is asked once more, then the chat has failed', async () => {
  const { AUTO, NONE, ANY, NAMED } = ToolChoiceMode;
  const sent = async (
    toolChoice: NonNullable<Partial<Request>['toolChoice']>,
    script: ScriptInput,
  ): Promise<{
    readonly end: ReturnType<Watch['end']>;
    readonly bodies: Record<string, unknown>[];
  }> => {
    const before = model.requests.length;
    const request = asking(script, { toolChoice });
    const { streamId } = await client.initiateChatStream({ request });
    const end = (await watchToEnd(client, streamId)).end();
    const bodies = model.requests.slice(before).map(({ body }) => body as Record<string, unknown>);
    return { end, bodies };
  };
  const text: ScriptInput = { tokens: 1 };
  const call: ScriptInput = { tokens: 0, calls: [{ name: 'weather' }] };
  const other: ScriptInput = { tokens: 0, calls: [{ name: 'whether' }] };
  const twice: ScriptInput = { tokens: 0, calls: [{ name: 'weather' }, { name: 'weather' }] };
  const named = { type: 'function', function: { name: 'weather' } };
  const rows = [
    [{ mode: AUTO, parallel: false }, 'auto', text, twice, 'Call at most one tool'],
    [{ mode: NONE }, 'none', text, call, 'You must not call any tool here'],
    [{ mode: ANY }, 'required', call, text, 'You must call one of the tools now.'],
    [{ mode: NAMED, name: 'weather' }, named, call, text, 'You must call the tool "weather" now.'],
    [{ mode: NAMED, name: 'weather' }, named, call, other, 'You must call the tool "weather" now.'],
  ] as const;
  for (const [toolChoice, upstream, good, bad, asked] of rows) {
    const kept = await sent(toolChoice, good);
    assert.deepEqual(kept.bodies[0]?.['tool_choice'], upstream);
    assert.equal(
      kept.bodies[0]['parallel_tool_calls'],
      'parallel' in toolChoice ? false : undefined,
    );
    assert.equal(kept.end.status, ChatStreamStatus.COMPLETED);
    assert.equal(kept.bodies.length, 1);

    const mended = await sent(toolChoice, { ...bad, again: good });
    assert.equal(mended.end.status, ChatStreamStatus.COMPLETED);
    assert.equal(mended.end.stopReason, kept.end.stopReason);
    assert.equal(mended.end.usage?.modelCalls, 2);
    assert.deepEqual(mended.bodies[1]?.['tool_choice'], upstream);
    const messages = mended.bodies[1]['messages'] as { role: string; content: string }[];
    assert.equal(messages.at(-1)?.role, 'user');
    assert.ok(messages.at(-1)?.content.startsWith(asked));

    const broken = await sent(toolChoice, { ...bad, again: bad });
    assert.equal(broken.end.failure?.reason, FailureReason.TOOL_CHOICE_NOT_MET);
    assert.match(broken.end.failure.message, /and asking the model again failed\. The model /);
    assert.equal(broken.bodies.length, 2, 'once');
  }
});

test('a call that must be made is made once: behind its result the model is free', async () => {
  const request = asking(
    { tokens: 0, calls: [{ name: 'weather' }], rounds: [{ text: ['fine'] }] },
    { toolChoice: { mode: ToolChoiceMode.ANY } },
  );
  const { streamId } = await client.initiateChatStream({ request, awaitToolResults: true });
  const { chatStream } = await client.waitChatStream({ streamId });
  const [asked] = chatStream?.pendingToolUses ?? [];
  assert.ok(asked !== undefined);
  await client.submitToolResults({ streamId, results: [answer(asked.id, 'rain')] });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.text(), 'fine');
  const body = model.requests.at(-1)?.body as Record<string, unknown>;
  assert.equal(body['tool_choice'], 'auto');
});

test('a model that calls tools without end is stopped at the limit of turns', async () => {
  const again: ScriptInput = { tokens: 0, calls: [{ name: 'weather' }] };
  const streamId = await startWaiting(client, { ...again, rounds: [again] });
  for (let turn = 1; turn < MAX_TURNS; turn++) {
    const { chatStream } = await client.waitChatStream({ streamId });
    const [call] = chatStream?.pendingToolUses ?? [];
    assert.ok(call !== undefined, `turn ${turn}`);
    await client.submitToolResults({ streamId, results: [answer(call.id, `${turn}`)] });
  }
  const end = (await watchToEnd(client, streamId)).end();
  assert.equal(end.stopReason, StopReason.TURN_LIMIT);
  assert.equal(end.usage?.modelCalls, MAX_TURNS);
});

test('a conversation with calls and results, as another stream left it, goes to the model server', async () => {
  const said = (value: string) => ({ block: { case: 'text', value } }) as const;
  const { streamId } = await client.initiateChatStream({
    request: {
      tools: [WEATHER],
      messages: [
        { role: Role.USER, content: [said(scripted({ rounds: [{ text: ['fine'] }] }))] },
        {
          role: Role.ASSISTANT,
          content: [
            { block: { case: 'toolUse', value: { id: 'x', name: 'weather', input: '{}' } } },
          ],
        },
        {
          role: Role.USER,
          content: [{ block: { case: 'toolResult', value: answer('x', 'rain') as never } }],
        },
      ],
    },
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.text(), 'fine');
  const body = model.requests.at(-1)?.body as { messages: unknown[] };
  assert.deepEqual(body.messages.slice(1), [
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'x', type: 'function', function: { name: 'weather', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: 'x', content: 'rain' },
  ]);
});

test('an assistant message that was continued is one with its tool calls in the next turn', async () => {
  const said = (value: string) => ({ block: { case: 'text', value } }) as const;
  const streamId = await startWaiting(client, ONE_CALL, {
    messages: [
      { role: Role.USER, content: [said(scripted(ONE_CALL))] },
      { role: Role.ASSISTANT, content: [said('Well. ')] },
    ] as NonNullable<Request['messages']>,
  });
  await client.submitToolResults({ streamId, results: [answer('call_1', '21 °C')] });
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.text(), 'Let me see. It is sunny.');
  const body = model.requests.at(-1)?.body as { messages: Record<string, unknown>[] };
  assert.deepEqual(
    body.messages.map(({ role }) => role),
    ['user', 'assistant', 'tool'],
  );
  assert.equal(body.messages[1]?.['content'], 'Well. Let me see. ');
});
