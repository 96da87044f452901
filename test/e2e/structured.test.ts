// An answer by a JSON schema: told to the model server, checked in any case, asked for once more where
// it does not fit. And reasoning, apart from it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  FailureReason,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { chatClient, PROTOCOLS } from '../support/clients.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

const { model, tailrace, client } = await forAllTests(startScripted());

type Request = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

const CITY = {
  type: 'object',
  properties: { city: { type: 'string', minLength: 2 }, people: { type: 'integer' } },
  required: ['city', 'people'],
  additionalProperties: false,
};
const GOOD = '{"city":"Basel","people":177595}';

type Message = Exclude<NonNullable<Request['messages']>[number], { $typeName: string }>;

function says(role: Role, text: string): Message {
  return { role, content: [{ block: { case: 'text', value: text } }] };
}

function asking(script: ScriptInput, more: Request = {}, schema: object = CITY): Request {
  const value = { name: 'city', schema: JSON.stringify(schema) };
  return {
    messages: [says(Role.USER, scripted(script))],
    responseFormat: { format: { case: 'jsonSchema', value } },
    ...more,
  };
}

async function run(request: Request, through = client): Promise<Watch> {
  const { streamId } = await through.initiateChatStream({ request });
  return await watchToEnd(through, streamId);
}

function outputJson(watch: Watch): string | undefined {
  const { payload } = watch.events.at(-1) ?? {};
  return payload?.case === 'completed' ? payload.value.outputJson : undefined;
}

function turns(watch: Watch): (readonly [turn: number, kind: BlockKind])[] {
  return watch.events.flatMap(({ payload }) =>
    payload.case === 'blockStarted' ? [[payload.value.turn, payload.value.kind] as const] : [],
  );
}

test('an answer that fits its schema is handed over as JSON text, in every form of the api', async () => {
  const text = ['```json\n', ' {"city": "Basel",', ' "people": 177595}', '\n```\n'];
  for (const way of PROTOCOLS) {
    using through = chatClient(way, tailrace.url);
    for (const stream of [true, false]) {
      const { streamId } = await through.initiateChatStream({
        request: asking({ text }, { stream }),
      });
      const watch = await watchToEnd(through, streamId);
      assert.equal(watch.end().stopReason, StopReason.END_TURN);
      assert.equal(outputJson(watch), '{"city": "Basel", "people": 177595}', 'as it was written');
      assert.equal(watch.text(), text.join(''), 'the blocks hold what the model has said');
      assert.deepEqual(turns(watch), [[1, BlockKind.TEXT]]);
      const { chatStream } = await through.getChatStream({ streamId, view: ChatStreamView.FULL });
      assert.equal(chatStream?.outputJson, '{"city": "Basel", "people": 177595}');
      const basic = await through.getChatStream({ streamId });
      assert.equal(basic.chatStream?.outputJson, '');
    }
  }
});

test('the schema is sent to the model server in its own form', async () => {
  await run(asking({ text: [GOOD] }));
  const body = model.requests.at(-1)?.body as Record<string, unknown>;
  assert.deepEqual(body['response_format'], {
    type: 'json_schema',
    json_schema: { name: 'city', schema: CITY },
  });
});

test('an answer that does not fit is given back to the model once, with what is wrong', async () => {
  const begun = model.requests.length;
  const watch = await run(
    asking({
      thinking: 1,
      text: ['{"city":"B"}'],
      again: { text: ['{"city":"Basel",', '"people":1}'] },
    }),
  );
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.COMPLETED);
  assert.equal(end.stopReason, StopReason.END_TURN);
  assert.equal(outputJson(watch), '{"city":"Basel","people":1}');
  assert.deepEqual(turns(watch), [
    [1, BlockKind.THINKING],
    [1, BlockKind.TEXT],
    [2, BlockKind.TEXT],
  ]);
  assert.equal(
    watch.text(),
    '{"city":"B"}{"city":"Basel","people":1}',
    'both turns are the output',
  );
  assert.equal(end.usage?.modelCalls, 2);
  assert.equal(end.usage.outputTokens, 1 + 1 + 2, 'both calls are counted');
  const [first, second, ...more] = model.requests.slice(begun).map(({ body }) => body);
  assert.deepEqual(more, []);
  const messages = (body: unknown) =>
    (body as { messages: { role: string; content: string }[] }).messages;
  assert.deepEqual(messages(second).slice(0, -2), messages(first));
  const [answer, asked] = messages(second).slice(-2);
  assert.deepEqual(answer, { role: 'assistant', content: '{"city":"B"}' });
  assert.equal(asked?.role, 'user');
  assert.match(asked.content, /- the answer must have required property 'people'/);
  assert.match(asked.content, /- \/city must NOT have fewer than 2 characters/);
  assert.ok(asked.content.includes(JSON.stringify(CITY)), 'the schema is said again');
});

test('an answer that does not fit after that fails, and the violations are named', async () => {
  const watch = await run(asking({ text: ['Basel.'], again: { text: ['{"city":1}'] } }));
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.FAILED);
  assert.equal(end.failure?.reason, FailureReason.SCHEMA_NOT_MET);
  assert.match(end.failure.message, /required property 'people'; \/city must be string/);
  assert.equal(end.usage?.modelCalls, 2);
  assert.equal(watch.text(), 'Basel.{"city":1}');
  const logged = tailrace.logger.lines.map((line) => JSON.stringify(line)).join('\n');
  assert.ok(!/required property|Basel/.test(logged), 'no word of an answer is logged');
});

test('a second call that fails says that there was a first answer', async () => {
  const again = { fault: 'status', status: 400 } as const;
  const end = (await run(asking({ text: ['Basel.'], again }))).end();
  assert.equal(end.failure?.reason, FailureReason.UPSTREAM_REJECTED);
  assert.match(end.failure.message, /^The answer did not fit the schema, and asking .* failed\. /);
});

const SHORT: readonly (readonly [ScriptInput, StopReason, string])[] = [
  [{ text: ['{"city":"Ba'], finish: 'length' }, StopReason.MAX_TOKENS, ''],
  [{ text: [GOOD], finish: 'length' }, StopReason.MAX_TOKENS, GOOD],
  [{ text: ['I will not.'], refusal: true }, StopReason.REFUSAL, ''],
  [{ text: ['{"ci'], finish: 'content_filter' }, StopReason.CONTENT_FILTER, ''],
  [{ text: ['<think>so'], finish: 'length' }, StopReason.MAX_TOKENS, ''],
];

test('a call that had to be made and was not, and a second call that fails: what is said is what was asked for', async () => {
  const again = { fault: 'status', status: 400 } as const;
  const of = async (script: ScriptInput): Promise<string> =>
    (await run(askingForCall(script))).end().failure?.message ?? '';
  assert.match(
    await of({ tokens: 2, again }),
    /^The model did not keep to the call of "save_city" that response_format\.tool asks for, and asking the model again failed\. /,
  );
  assert.match(
    await of({ ...saves('{}'), again }),
    /^The input of the call of "save_city" did not fit the schema, and asking the model again failed\. /,
  );
  const chosen = { messages: [says(Role.USER, scripted({ tokens: 2, again }))], tools: [LOOK] };
  const toolChoice = { mode: ToolChoiceMode.ANY };
  const end = (await run({ ...chosen, toolChoice })).end();
  assert.match(end.failure?.message ?? '', /^The answer did not keep to tool_choice, and asking /);
});

test('an answer that is cut short is completed with its reason, and JSON only where it is whole', async () => {
  const begun = model.requests.length;
  for (const [script, stopReason, json] of SHORT) {
    const watch = await run(asking(script));
    assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
    assert.equal(watch.end().stopReason, stopReason);
    assert.equal(outputJson(watch), json);
  }
  assert.equal(model.requests.length - begun, SHORT.length, 'nobody is asked again');
  const number = await run(asking({ text: ['17'], finish: 'length' }, {}, { type: 'integer' }));
  assert.equal(outputJson(number), '', 'of a number nobody can tell where it would have ended');
});

test('reasoning before the JSON is a block of its own and no part of it', async () => {
  const text = ['<thi', 'nk>Which city?</th', 'ink>\n\n', GOOD];
  const watch = await run(asking({ text }));
  assert.deepEqual(turns(watch), [
    [1, BlockKind.THINKING],
    [1, BlockKind.TEXT],
  ]);
  assert.equal(watch.text(), GOOD);
  assert.equal(outputJson(watch), GOOD);
});

test('what a model server wants back with its reasoning is the block’s signature, streamed or whole', async () => {
  const event = (delta: object) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
  const details = [{ type: 'reasoning.text', text: 'hm', signature: 'sig', index: 0 }];
  const hidden = [{ type: 'reasoning.encrypted', data: 'xyz', index: 1 }];
  const raw = [
    event({ reasoning: 'hm', reasoning_details: details }),
    event({ content: 'Hello' }),
    event({ reasoning_details: hidden }),
    'data: [DONE]\n\n',
  ].join('');
  for (const stream of [true, false]) {
    const request = { messages: [says(Role.USER, scripted({ raw }))], stream };
    const { streamId } = await client.initiateChatStream({ request });
    await watchToEnd(client, streamId);
    const { chatStream } = await client.getChatStream({ streamId, view: ChatStreamView.FULL });
    const blocks = chatStream?.output.map(({ block }) =>
      block.case === 'thinking' ? [block.value.text, block.value.signature] : [block.value],
    );
    assert.deepEqual(blocks, [
      [
        'hm',
        JSON.stringify([
          { type: 'reasoning.text', signature: 'sig', index: 0, chars: { text: 2 } },
        ]),
      ],
      ['Hello'],
      ['', JSON.stringify(hidden)],
    ]);
  }
});

test('a schema that answers cannot be checked by is refused by its path, and nothing is created', async () => {
  const asked = (schema: string, more: Request = {}) =>
    client.initiateChatStream({
      request: asking(
        {},
        {
          responseFormat: { format: { case: 'jsonSchema', value: { name: 'city', schema } } },
          ...more,
        },
      ),
    });
  const begun = model.requests.length;
  const path = 'request.response_format.json_schema.schema';
  for (const [schema, wanted] of [
    ['{"type":', /JSON text of an object/],
    ['{"type":"strin"}', /no JSON Schema of draft 2020-12/],
    ['{"$ref":"https://example.com/a"}', /nothing is fetched/],
    ['{"properties":{"a":{"pattern":"(?=a)"}}}', /at \/properties\/a\/pattern: .*linear time/],
  ] as const) {
    const error = await refused(asked(schema));
    assert.deepEqual(error.fields, [path]);
    assert.match(error.message, wanted);
  }
  const messages = [says(Role.USER, 'a'), says(Role.ASSISTANT, '{')];
  const error = await refused(asked('{}', { messages }));
  assert.deepEqual(error.fields, ['request.response_format.json_schema']);
  assert.equal(model.requests.length, begun);
});

const CITY_TOOL = {
  kind: {
    case: 'client',
    value: { name: 'save_city', inputSchema: JSON.stringify(CITY) },
  },
} as const;
const LOOK = { kind: { case: 'client', value: { name: 'look' } } } as const;

function askingForCall(script: ScriptInput, more: Request = {}): Request {
  return {
    messages: [says(Role.USER, scripted(script))],
    tools: [CITY_TOOL],
    responseFormat: { format: { case: 'tool', value: { name: 'save_city' } } },
    ...more,
  };
}

function saves(input: string): ScriptInput {
  return { tokens: 0, calls: [{ name: 'save_city', input }] };
}

test('a call of one tool as the answer: it is forced, checked against the tool’s schema, and handed over as JSON', async () => {
  const begun = model.requests.length;
  const watch = await run(askingForCall(saves(GOOD)));
  const end = watch.end();
  assert.equal(end.status, ChatStreamStatus.COMPLETED);
  assert.equal(end.stopReason, StopReason.TOOL_USE);
  assert.equal(outputJson(watch), GOOD);
  const body = model.requests[begun]?.body as Record<string, unknown>;
  assert.deepEqual(body['tool_choice'], { type: 'function', function: { name: 'save_city' } });

  const mended = await run(askingForCall({ ...saves('{"city":"B"}'), again: saves(GOOD) }));
  assert.equal(outputJson(mended), GOOD);
  assert.equal(mended.end().usage?.modelCalls, 2);
  const again = model.requests.at(-1)?.body as { messages: { content: string }[] };
  assert.match(
    again.messages.at(-1)?.content ?? '',
    /^The input of your call of "save_city" does not fit .*Call it again, with the corrected input\./s,
  );
  const told = await run(askingForCall({ tokens: 2, again: saves(GOOD) }));
  assert.equal(outputJson(told), GOOD, 'words in its place are asked for again as well');

  const unfit = await run(askingForCall({ ...saves('{}'), again: saves('{}') }));
  assert.equal(unfit.end().failure?.reason, FailureReason.SCHEMA_NOT_MET);
  assert.match(
    unfit.end().failure?.message ?? '',
    /^The input of the call of "save_city" does not fit the schema, .*: the input must have required property 'city'/,
  );
  const words = await run(askingForCall({ tokens: 1, again: { tokens: 1 } }));
  assert.equal(words.end().failure?.reason, FailureReason.TOOL_CHOICE_NOT_MET);
});

test('other tools may be called before the call that is the answer', async () => {
  const script: ScriptInput = {
    tokens: 0,
    calls: [{ name: 'look' }],
    rounds: [saves(GOOD)],
  };
  const request = askingForCall(script, { tools: [CITY_TOOL, LOOK] });
  const { streamId } = await client.initiateChatStream({ request, awaitToolResults: true });
  const { chatStream } = await client.waitChatStream({ streamId });
  const [asked] = chatStream?.pendingToolUses ?? [];
  assert.equal(asked?.name, 'look');
  await client.submitToolResults({
    streamId,
    results: [
      { toolUseId: asked.id, content: [{ block: { case: 'text', value: 'it is Basel' } }] },
    ],
  });
  const watch = await watchToEnd(client, streamId);
  assert.equal(outputJson(watch), GOOD);
  const body = model.requests.at(-1)?.body as Record<string, unknown>;
  assert.equal(body['tool_choice'], 'required');
});

test('a tool that cannot be the answer is refused by its path', async () => {
  const paths = async (more: Request): Promise<readonly string[]> => {
    const call = client.initiateChatStream({ request: askingForCall({ tokens: 1 }, more) });
    return (await refused(call)).fields;
  };
  assert.deepEqual(await paths({ tools: [LOOK] }), ['request.response_format.tool.name']);
  assert.deepEqual(await paths({ toolChoice: { mode: ToolChoiceMode.NONE } }), [
    'request.tool_choice.mode',
  ]);
});
