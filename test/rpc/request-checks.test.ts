import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import {
  GetChatStreamRequestSchema,
  type InitiateChatStreamRequest,
  InitiateChatStreamRequestSchema,
  ListChatStreamsRequestSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { MAX_VIOLATIONS } from '../../src/chat/limits.ts';
import { messageFromBinary, messageFromJson } from '../../src/rpc/request/request-checks.ts';

const MESSAGE = '{"role": "ROLE_USER", "content": [{"text": "…"}]}';
const HI = { role: 'ROLE_USER', content: [{ text: 'hi' }] };

function refusal(read: () => unknown): ChatError {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof ChatError, String(error));
    return error;
  }
  throw new Error('was accepted');
}

function refusalOf(json: JsonValue): ChatError {
  return refusal(() => messageFromJson(InitiateChatStreamRequestSchema, json));
}

function said(error: ChatError): Record<string, string> {
  return Object.fromEntries(error.violations.map((v) => [v.path, v.description]));
}

function hello(): InitiateChatStreamRequest {
  return create(InitiateChatStreamRequestSchema, {
    request: {
      messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: 'hi' } }] }],
    },
  });
}

test('a good request is read, in snake_case or camelCase', () => {
  const request = { messages: [HI], max_tokens: 5, topP: 0.5, temperature: 0, seed: '7' };
  const message = messageFromJson(InitiateChatStreamRequestSchema, { request });
  assert.equal(message.request?.maxTokens, 5);
  assert.equal(message.request?.topP, 0.5);
  assert.equal(message.request?.temperature, 0);
  assert.equal(message.request?.seed, 7n);
});

test('every unknown field of a JSON body is named, with what was probably meant', () => {
  const error = refusalOf({
    request: {
      messages: [
        { ...HI, name: 'me' },
        { role: 'ROLE_USER', content: [{ type: 'text', text: 'x' }] },
      ],
      maxTokns: 5,
      max_completion_tokens: 5,
      'odd key': 1,
    },
    model: 'm',
  });
  assert.equal(error.reason, 'UNKNOWN_FIELD');
  assert.deepEqual(said(error), {
    'request.messages[0].name': 'there is no such field; there are: role, content',
    'request.messages[1].content[0].type':
      'there is no such field; the kind is the name of the field, as in {"text": "…"}',
    'request.maxTokns': 'there is no such field; did you mean max_tokens?',
    'request.max_completion_tokens': 'there is no such field; did you mean max_tokens?',
    'request["odd key"]': 'there is no such field',
    model: 'there is no such field; did you mean request.model?',
  });
});

test('wrong roles say where that belongs here', () => {
  const roles = ['system', 'ROLE_DEVELOPER', 'tool', 'function', 'assistant', 'User', 'bard'];
  const error = refusalOf({ request: { messages: roles.map((role) => ({ ...HI, role })) } });
  assert.equal(error.reason, 'INVALID_REQUEST');
  const texts = roles.map((_, i) => said(error)[`request.messages[${i}].role`] ?? '');
  for (const text of texts) assert.match(text, /^must be one of ROLE_USER, ROLE_ASSISTANT/);
  assert.match(texts[0] ?? '', /request\.system\.text/);
  assert.match(texts[1] ?? '', /request\.system\.text/);
  assert.match(texts[2] ?? '', /tool_result block in a message of ROLE_USER/);
  assert.match(texts[3] ?? '', /tool_result block in a message of ROLE_USER/);
  assert.match(texts[4] ?? '', /did you mean ROLE_ASSISTANT\?/);
  assert.match(texts[5] ?? '', /did you mean ROLE_USER\?/);
  assert.equal(error.violations.length, roles.length);
});

test('every wrong type of a JSON body is named by its path, and no value is repeated', () => {
  const error = refusalOf({
    stream_id: 3,
    ttl: 'soon',
    request: {
      messages: [{ role: 'ROLE_USER', content: 'secret' }, 'secret', null],
      temperature: 'secret',
      max_tokens: 1.5,
      stream: 'secret',
      seed: 2 ** 70,
      stop: 'secret',
      metadata: { a: 1 },
      response_format: { text: {}, tool: { name: 'x' } },
      system: [],
    },
  });
  assert.equal(error.reason, 'INVALID_REQUEST');
  assert.deepEqual(said(error), {
    stream_id: 'must be a string, not this number',
    ttl: 'must be a duration in seconds such as "30s"',
    'request.messages[0].content': 'must be an array such as [{"text": "…"}], not this string',
    'request.messages[1]': `must be an object such as ${MESSAGE}, not this string`,
    'request.messages[2]': `must be an object such as ${MESSAGE}, not null`,
    'request.temperature': 'must be a number, not this string',
    'request.max_tokens': 'must be a whole number of 32 bits, not this number',
    'request.stream': 'must be true or false, not this string',
    'request.seed': 'must be a whole number of 64 bits, not this number',
    'request.stop': 'must be an array, not this string',
    'request.metadata["a"]': 'must be a string, not this number',
    'request.response_format.tool': 'only one of text and tool may be set',
    'request.system': 'must be an object such as {"text": "…"}, not an array',
  });
  assert.doesNotMatch(error.message, /secret/);
});

/** A request with this beside a conversation, and what is said of it, path by path. */
const HABITS: readonly (readonly [string, JsonValue, Record<string, string>])[] = [
  [
    'a tool without its kind',
    { tools: [{ name: 'f', description: 'd' }] },
    {
      'request.tools[0].name':
        'there is no such field; did you mean client.name, or server.name for a tool that Tailrace runs?',
      'request.tools[0].description': 'there is no such field; did you mean client.description?',
      'request.tools[0]':
        'must have one of client, server, as in {"client": {"name": "…", "input_schema": "{…}"}} or {"server": {"name": "web_fetch"}}',
    },
  ],
  [
    'a tool as OpenAI takes it',
    { tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] },
    {
      'request.tools[0].type':
        'there is no such field; the kind is the name of the field, as in {"client": {"name": "…", "input_schema": "{…}"}} or {"server": {"name": "web_fetch"}}',
      'request.tools[0].function': 'there is no such field; did you mean client?',
      'request.tools[0]':
        'must have one of client, server, as in {"client": {"name": "…", "input_schema": "{…}"}} or {"server": {"name": "web_fetch"}}',
    },
  ],
  [
    'a schema as an object',
    { tools: [{ client: { name: 'f', input_schema: { type: 'object' } } }] },
    {
      'request.tools[0].client.input_schema':
        'must be a string, not an object; it is given as JSON text, its quotes escaped, as in "{\\"type\\": \\"object\\"}"',
    },
  ],
  [
    'a system text as a string',
    { system: 'be kind' },
    { 'request.system': 'must be an object such as {"text": "…"}, not this string' },
  ],
  [
    'a form of the answer as OpenAI takes it',
    { response_format: { type: 'json_object' } },
    {
      'request.response_format.type':
        'there is no such field; the kind is the name of the field, as in {"json_schema": {"name": "…", "schema": "{…}"}}',
      'request.response_format':
        'must have one of text, json_schema, tool, as in {"json_schema": {"name": "…", "schema": "{…}"}}',
    },
  ],
  [
    'a choice of tools as a word',
    { tool_choice: 'auto' },
    {
      'request.tool_choice':
        'must be an object such as {"mode": "TOOL_CHOICE_MODE_AUTO"}, not this string',
    },
  ],
];

for (const [habit, fields, wanted] of HABITS) {
  test(`${habit} is answered with the right shape, by the names that JSON has`, () => {
    const error = refusalOf({ request: { messages: [HI], ...(fields as object) } });
    assert.deepEqual(said(error), wanted);
  });
}

test('half of a surrogate pair is told as that: it is a string, and no text', () => {
  const error = refusalOf({
    request: { messages: [{ role: 'ROLE_USER', content: [{ text: 'secret \ud800' }] }] },
  });
  assert.deepEqual(said(error), {
    'request.messages[0].content[0].text':
      'has half of a surrogate pair, \\ud800 to \\udfff without its other half, which is no text',
  });
});

test('a duration in other units is told in seconds, and only what is surely meant', () => {
  const form = 'must be a duration in seconds such as "30s"';
  for (const [given, meant] of [
    ['2h', '7200'],
    ['1h30m', '5400'],
    ['1 hour 30 minutes', '5400'],
    ['500ms', '0.5'],
    ['1.5m', '90'],
    ['7200', '7200'],
    [7200, '7200'],
  ] as const) {
    const told = said(refusalOf({ ttl: given, request: { messages: [HI] } }));
    assert.deepEqual(told, { ttl: `${form}; did you mean "${meant}s"?` }, String(given));
  }
  for (const given of [
    'soon',
    '-2h',
    '2 fortnights',
    '',
    '9'.repeat(39) + 'd',
    '1'.repeat(38) + '!',
    1e300,
    {},
  ]) {
    const told = said(refusalOf({ ttl: given, request: { messages: [HI] } }));
    assert.deepEqual(told, { ttl: form }, JSON.stringify(given));
  }
});

function listRefusal(json: JsonValue): Record<string, string> {
  return said(refusal(() => messageFromJson(ListChatStreamsRequestSchema, json)));
}

test('a name that is nearly right is answered with the right one', () => {
  const request = { messages: [HI], temprature: 1, max_toknes: 5, mesages: [], nothing_like_it: 1 };
  assert.deepEqual(said(refusalOf({ request })), {
    'request.temprature': 'there is no such field; did you mean temperature?',
    'request.max_toknes': 'there is no such field; did you mean max_tokens?',
    'request.mesages': 'there is no such field; did you mean messages?',
    'request.nothing_like_it': 'there is no such field',
  });
  assert.deepEqual(listRefusal({ status: 'RUNNING' }), {
    status: 'there is no such field; did you mean statuses?',
  });
  const get = refusal(() => messageFromJson(GetChatStreamRequestSchema, { id: 'x' }));
  assert.equal(said(get)['id'], 'there is no such field; did you mean stream_id?');
});

test('page_size is told by the range that the contract says', () => {
  for (const size of [-1, 501]) {
    assert.deepEqual(listRefusal({ page_size: size }), {
      page_size: 'must be greater than or equal to 0 and less than or equal to 500',
    });
  }
  for (const size of [0, 1, 500]) {
    assert.equal(messageFromJson(ListChatStreamsRequestSchema, { page_size: size }).pageSize, size);
  }
});

test('names that every object inherits are unknown like others', () => {
  const json = JSON.parse(
    '{"request": {"constructor": 1, "toString": 1, "__proto__": 1, "messages": [{"role": "constructor", "content": [{"text": "x"}]}]}}',
  ) as JsonValue;
  assert.deepEqual(said(refusalOf(json)), {
    'request.constructor': 'there is no such field',
    'request.toString': 'there is no such field',
    'request.__proto__': 'there is no such field',
    'request.messages[0].role': 'must be one of ROLE_USER, ROLE_ASSISTANT',
  });
});

test('a value that is nearly right, or that others call so, is answered with the right one', () => {
  const status = (name: string): string => `CHAT_STREAM_STATUS_${name}`;
  for (const [given, meant] of [
    ['running', 'PROCESSING'],
    ['STATUS_RUNING', 'PROCESSING'],
    ['CHAT_STREAM_STATUS_RUNNING', 'PROCESSING'],
    ['in-progress', 'PROCESSING'],
    ['CANCELED', 'CANCELLED'],
    ['queued', 'PENDING'],
    ['compelted', 'COMPLETED'],
  ] as const) {
    const told = listRefusal({ statuses: [given] })['statuses[0]'] ?? '';
    assert.ok(told.endsWith(`; did you mean ${status(meant)}?`), `${given}: ${told}`);
  }
  const far = listRefusal({ statuses: ['BANANA', '', '_', 'X'.repeat(100_000)] });
  for (const told of Object.values(far)) assert.doesNotMatch(told, /did you mean/);
  const view = refusal(() =>
    messageFromJson(GetChatStreamRequestSchema, { stream_id: 'x', view: 'full_view' }),
  );
  assert.match(said(view)['view'] ?? '', /did you mean CHAT_STREAM_VIEW_FULL\?$/);
  const roles = ['USRE', 'asistant', 'systm'].map((role) => ({ ...HI, role }));
  const told = Object.values(said(refusalOf({ request: { messages: roles } })));
  assert.match(told[0] ?? '', /did you mean ROLE_USER\?/);
  assert.match(told[1] ?? '', /did you mean ROLE_ASSISTANT\?/);
  assert.match(told[2] ?? '', /request\.system\.text/);
});

test('unknown fields and broken rules are told together', () => {
  const error = refusalOf({ request: { messages: [HI], colour: 1, temperature: 3, priority: 12 } });
  assert.equal(error.reason, 'INVALID_REQUEST');
  assert.deepEqual(Object.keys(said(error)).toSorted(), [
    'request.colour',
    'request.priority',
    'request.temperature',
  ]);
});

test('every broken rule is named by its path', () => {
  const error = refusalOf({
    stream_id: 'a b',
    ttl: '0s',
    request: {
      messages: [{ content: [{}] }],
      top_p: 'NaN',
      frequency_penalty: -3,
      stop: ['ok', ''],
      tool_choice: { mode: 99 },
    },
  });
  assert.deepEqual(Object.keys(said(error)).toSorted(), [
    'request.frequency_penalty',
    'request.messages[0].content[0]',
    'request.messages[0].role',
    'request.stop[1]',
    'request.tool_choice.mode',
    'request.top_p',
    'stream_id',
    'ttl',
  ]);
  assert.equal(said(error)['request.messages[0].role'], 'must be one of ROLE_USER, ROLE_ASSISTANT');
});

test('an empty request is refused by the path of what is missing', () => {
  assert.deepEqual(Object.keys(said(refusalOf({}))), ['request']);
  assert.deepEqual(Object.keys(said(refusalOf({ request: {} }))), ['request.messages']);
  assert.deepEqual(said(refusalOf([])), { '(body)': 'must be an object, not an array' });
});

test('unknown fields of a binary body are named by number, all the way down', () => {
  const inner = hello();
  inner.$unknown = [{ no: 77, wireType: WireType.Varint, data: Uint8Array.of(1) }];
  const message = inner.request?.messages[0];
  assert.ok(message && inner.request);
  message.$unknown = [{ no: 9, wireType: WireType.Varint, data: Uint8Array.of(1) }];
  inner.request.$unknown = [
    { no: 99, wireType: WireType.Varint, data: Uint8Array.of(1) },
    { no: 99, wireType: WireType.Varint, data: Uint8Array.of(2) },
  ];
  const bytes = toBinary(InitiateChatStreamRequestSchema, inner);
  const error = refusal(() => messageFromBinary(InitiateChatStreamRequestSchema, bytes));
  assert.equal(error.reason, 'UNKNOWN_FIELD');
  assert.deepEqual(said(error), {
    '77': 'there is no field 77 in tailrace.v1.InitiateChatStreamRequest',
    'request.99': 'there is no field 99 in tailrace.v1.ChatRequest',
    'request.messages[0].9': 'there is no field 9 in tailrace.v1.Message',
  });
});

test('bytes that are no message are MALFORMED_REQUEST', () => {
  for (const bytes of [[10, 20, 1], [10, 2, 0xff, 0xfe], [7]]) {
    const error = refusal(() =>
      messageFromBinary(InitiateChatStreamRequestSchema, Uint8Array.from(bytes)),
    );
    assert.equal(error.reason, 'MALFORMED_REQUEST');
  }
});

test('deep nesting is refused and breaks nothing', () => {
  for (const depth of [40, 60, 1_000, 20_000]) {
    let block: JsonValue = { text: 'x' };
    for (let i = 0; i < depth; i += 1) {
      block = { tool_result: { tool_use_id: 'a', content: [block] } };
    }
    const error = refusalOf({ request: { messages: [{ role: 'ROLE_USER', content: [block] }] } });
    assert.equal(error.violations.length, 1);
    assert.match(error.message, /messages may be at most 64 deep/);
  }
});

test('endless wrongs are counted up to the bound', () => {
  const request = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`no${i}`, 1]));
  assert.equal(refusalOf({ request }).violations.length, MAX_VIOLATIONS);
});
