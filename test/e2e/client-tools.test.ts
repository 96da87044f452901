// Client tools as a user has them: the model calls, the chat completes or waits, the results go back,
// and the same stream goes on.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ToolResultBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { MAX_TOOL_RESULTS_BYTES, MAX_TURNS } from '../../src/chat/limits.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { PNG } from '../support/content.ts';
import { startNats, type TestNats } from '../support/nats.ts';
import { refusalOf, refused } from '../support/refusal.ts';
import { startTestTailrace, type TestTailrace } from '../support/tailrace.ts';
import { Watch, watchToEnd } from '../support/watch-chat.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

let nats: TestNats;
let model: ModelServer;
let tailrace: TestTailrace;
let client: ChatClient;

before(async () => {
  nats = await startNats();
  model = await startModelServer();
  tailrace = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
  client = grpcClient(tailrace.url);
});

after(async () => {
  await tailrace[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

type Request = MessageInitShape<typeof ChatRequestSchema>;
type Result = MessageInitShape<typeof ToolResultBlockSchema>;

const SCHEMA = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}';
const WEATHER = {
  kind: {
    case: 'client',
    value: { name: 'weather', description: 'The weather now.', inputSchema: SCHEMA },
  },
} as const;

function asking(script: ScriptInput, more: Partial<Request> = {}): Request {
  const content = [{ block: { case: 'text', value: scripted(script) } }] as const;
  return {
    messages: [{ role: Role.USER, content: [...content] }],
    tools: [WEATHER],
    ...more,
  } as Request;
}

function answer(toolUseId: string, text: string, isError?: boolean): Result {
  const content = [{ block: { case: 'text', value: text } }] as const;
  return { toolUseId, content: [...content], ...(isError === undefined ? {} : { isError }) };
}

const ONE_CALL: ScriptInput = {
  text: ['Let me see. '],
  calls: [{ id: 'call_1', name: 'weather', input: ['{"city":', '"Zürich"}'] }],
  rounds: [{ text: ['It is ', 'sunny.'] }],
};

async function startWaiting(script: ScriptInput, more: Partial<Request> = {}): Promise<string> {
  const { streamId } = await client.initiateChatStream({
    request: asking(script, more),
    awaitToolResults: true,
  });
  const { chatStream } = await client.waitChatStream({ streamId });
  assert.equal(chatStream?.status, ChatStreamStatus.PROCESSING);
  assert.ok(chatStream.pendingToolUses.length > 0, 'it waits for its tools');
  return streamId;
}

type Payload = Event['payload'];
type ValueOf<C extends Payload['case']> = Extract<Payload, { readonly case: C }>['value'];

function payloads<C extends Payload['case']>(watch: Watch, kind: C): ValueOf<C>[] {
  return watch.events.flatMap(({ payload }) =>
    payload.case === kind ? [payload.value as ValueOf<C>] : [],
  );
}

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
  const streamId = await startWaiting(ONE_CALL);
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
  const streamId = await startWaiting(script);
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
  const streamId = await startWaiting({ tokens: 0, calls, rounds: [{ text: ['done'] }] });
  await Promise.all(
    ids.map((id) => client.submitToolResults({ streamId, results: [answer(id, `of ${id}`)] })),
  );
  assert.equal((await watchToEnd(client, streamId)).text(), 'done');
});

test('a chat that is cancelled while results come in is cancelled', async () => {
  const ids = Array.from({ length: 24 }, (_, i) => `late_${i}`);
  const calls = ids.map((id) => ({ id, name: 'weather', input: '{"city":"A"}' }));
  const streamId = await startWaiting({ tokens: 0, calls, rounds: [{ text: ['done'] }] });
  const submitted = ids
    .slice(1)
    .map((id) => client.submitToolResults({ streamId, results: [answer(id, `of ${id}`)] }));
  const { chatStream } = await client.cancelChatStream({ streamId });
  assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
  for (const each of await Promise.allSettled(submitted)) {
    if (each.status === 'fulfilled') continue;
    assert.equal(refusalOf(each.reason).reason, 'NOT_WAITING_FOR_TOOL_RESULTS');
  }
});

test('several rounds go on in one stream, and ids that the server repeats are made different', async () => {
  const again = { tokens: 0, calls: [{ id: 'same', name: 'weather' }] };
  const streamId = await startWaiting({ ...again, rounds: [again, { text: ['end'] }] });
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

test('the same result again is taken for the first; another one, a late and an unknown one are refused', async () => {
  const streamId = await startWaiting({ ...ONE_CALL, rounds: [{ text: ['ok'] }] });
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
  const late = await startWaiting(ONE_CALL);
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
  const streamId = await startWaiting(ONE_CALL);
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

test('images in a client’s result are before the model, and in the FULL view by size and hash', async () => {
  const streamId = await startWaiting(ONE_CALL);
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
  const streamId = await startWaiting({ ...again, rounds: [again] });
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
  const streamId = await startWaiting(ONE_CALL, {
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
