// Bad input over every protocol: a clear error with every violated path, and nothing is created.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { afterEach, beforeEach, test } from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { jetstreamManager } from '@nats-io/jetstream';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { chatClient, PROTOCOLS } from '../support/clients.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { HANGS_MS, within } from '../support/until.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted } from '../model-server/model-server.ts';

interface Initiate {
  readonly streamId: string;
  readonly request?: Request;
  readonly ttl?: { readonly seconds: bigint };
}
type Request = MessageInitShape<typeof ChatRequestSchema>;

let stored = 0;

async function storedCommands(): Promise<number> {
  const jsm = await jetstreamManager(nc);
  return (await jsm.streams.info('COMMANDS')).state.last_seq;
}

const { nats, tailrace, client } = await forAllTests(startScripted());
const nc = await nats.bare();

beforeEach(async () => {
  stored = await storedCommands();
});

afterEach(async () => {
  assert.equal(await storedCommands(), stored, 'nothing was created');
  const errors = tailrace.logger.lines.filter(({ level }) => level === 'error');
  assert.deepEqual(errors, [], 'what callers do wrong is no error of the server');
});

const hi = { role: Role.USER, content: [{ block: { case: 'text', value: 'hi' } }] } as const;

function asking(more: object): Initiate {
  const request: unknown = { messages: [hi], ...more };
  return { streamId: 'bad', request: request as Request };
}

interface Bad {
  readonly name: string;
  readonly request: Initiate;
  readonly fields: readonly string[];
  readonly reason?: string;
  readonly message?: RegExp;
}

const NO_VIEW = 9 as number as ChatStreamView;
const NUMBERS = {
  temperature: 2.1,
  topP: -0.1,
  minP: Number.NaN,
  topK: -1,
  repetitionPenalty: 0,
  presencePenalty: Number.POSITIVE_INFINITY,
  frequencyPenalty: Number.NEGATIVE_INFINITY,
  maxTokens: 0,
  priority: 10,
  seed: 9007199254740992n,
  stop: [''],
};

const BAD: readonly Bad[] = [
  { name: 'no request', request: { streamId: 'bad' }, fields: ['request'] },
  { name: 'no messages', request: asking({ messages: [] }), fields: ['request.messages'] },
  {
    name: 'a message without content',
    request: asking({ messages: [{ role: Role.USER }] }),
    fields: ['request.messages[0].content'],
  },
  {
    name: 'empty texts only',
    request: asking({
      messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: '' } }] }],
    }),
    fields: ['request.messages'],
    message: /at least one must have text/,
  },
  {
    name: 'no role, and a role that is not there',
    request: asking({ messages: [{ content: hi.content }, { role: 7, content: hi.content }] }),
    fields: ['request.messages[0].role', 'request.messages[1].role'],
    message: /ROLE_USER, ROLE_ASSISTANT/,
  },
  {
    name: 'every number out of its range or not finite',
    request: asking(NUMBERS),
    fields: [
      'request.frequency_penalty',
      'request.max_tokens',
      'request.min_p',
      'request.presence_penalty',
      'request.priority',
      'request.repetition_penalty',
      'request.seed',
      'request.stop[0]',
      'request.temperature',
      'request.top_k',
      'request.top_p',
    ],
  },
  {
    name: 'an unknown model',
    request: asking({ model: 'gpt-9' }),
    fields: ['request.model'],
    reason: 'UNKNOWN_MODEL',
    message: /there is no model "gpt-9"; there are: test-model, test-model-small/,
  },
  { name: 'a ttl of nothing', request: { ...asking({}), ttl: { seconds: 0n } }, fields: ['ttl'] },
  {
    name: 'a ttl of ages',
    request: { ...asking({}), ttl: { seconds: 604_801n } },
    fields: ['ttl'],
  },
  {
    name: 'long ids and metadata',
    request: asking({
      correlationId: 'x'.repeat(257),
      metadata: { '': 'a', ['k'.repeat(65)]: 'b' },
    }),
    fields: [
      'request.correlation_id',
      'request.metadata[""]',
      `request.metadata["${'k'.repeat(65)}"]`,
    ],
  },
  ...['', ' ', 'a b', 'a/b', 'ü', 'a\nb', 'a*', 'a>', 'x'.repeat(129), '%2e'].map((streamId) => ({
    name: `the id ${JSON.stringify(streamId)}`,
    request: { ...asking({}), streamId },
    fields: ['stream_id'],
  })),
];

for (const way of PROTOCOLS) {
  test(`${way.name}: each broken rule is named by its path`, async () => {
    using caller = chatClient(way, tailrace.url);
    for (const { name, request, fields, reason = 'INVALID_REQUEST', message } of BAD) {
      const refusal = await refused(caller.initiateChatStream(request));
      assert.equal(refusal.code, 'InvalidArgument', name);
      assert.deepEqual(refusal.fields, fields, name);
      assert.equal(refusal.reason, reason, name);
      assert.equal(refusal.domain, 'tailrace.dev');
      if (message !== undefined) assert.match(refusal.message, message);
    }
    for (const streamId of ['', 'a b', 'x'.repeat(129)]) {
      const calls = [
        () => caller.getChatStream({ streamId }),
        () => caller.waitChatStream({ streamId }),
        () => caller.cancelChatStream({ streamId }),
        () => new Watch().follow(caller, streamId),
      ];
      for (const call of calls) assert.deepEqual((await refused(call())).fields, ['stream_id']);
    }
    const several = await refused(
      caller.waitChatStream({ streamId: '', view: NO_VIEW, timeout: { seconds: 61n } }),
    );
    assert.deepEqual(several.fields, ['stream_id', 'timeout', 'view']);
    const cursor = await refused(new Watch(-1).follow(caller, 'nobody'));
    assert.deepEqual(cursor.fields, ['after_sequence']);
    const unknown = await refused(new Watch().follow(caller, 'bad'));
    assert.equal(unknown.code, 'NotFound');
    assert.equal(unknown.message, 'There is no chat stream "bad".');
  });
}

test('unknown fields in the binary form are named by their number, all the way down', async () => {
  const request = create(InitiateChatStreamRequestSchema, asking({}));
  const unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(1) }];
  request.$unknown = unknown;
  const message = request.request?.messages[0];
  assert.ok(message !== undefined);
  message.$unknown = unknown;
  for (const way of PROTOCOLS.filter(({ name }) => !name.includes('JSON'))) {
    using caller = chatClient(way, tailrace.url);
    const refusal = await refused(caller.initiateChatStream(request));
    assert.equal(refusal.reason, 'UNKNOWN_FIELD', way.name);
    assert.deepEqual(refusal.fields, ['99', 'request.messages[0].99']);
  }
});

interface Answer {
  readonly status: number;
  readonly code: unknown;
  readonly message: string;
  /** Of the BadRequest, in the order given. */
  readonly fields: readonly string[];
}

async function postJson(body: string | Buffer, type = 'application/json'): Promise<Answer> {
  const response = await fetch(`${tailrace.url}/tailrace.v1.ChatStreamService/InitiateChatStream`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: new Uint8Array(Buffer.from(body)),
  });
  const text = await response.text();
  if (!text.startsWith('{'))
    return { status: response.status, code: '', message: text, fields: [] };
  const { code, message, details } = JSON.parse(text) as {
    code: string;
    message: string;
    details?: { debug?: { fieldViolations?: { field: string }[] } }[];
  };
  const fields = (details ?? []).flatMap(({ debug }) => debug?.fieldViolations ?? []);
  return { status: response.status, code, message, fields: fields.map(({ field }) => field) };
}

function chatJson(more: object): string {
  const request = { messages: [{ role: 'ROLE_USER', content: [{ text: 'hi' }] }], ...more };
  return JSON.stringify({ streamId: 'bad', request });
}

test('JSON as other APIs have it is refused with what would be right here', async () => {
  const content = [{ text: 'be brief' }];
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [
      chatJson({ messages: [{ role: 'system', content }] }),
      ['request.messages[0].role'],
      /ROLE_USER, ROLE_ASSISTANT; .*request\.system\.text/,
    ],
    [
      chatJson({ messages: [{ role: 'ROLE_TOOL', content }] }),
      ['request.messages[0].role'],
      /tool_result block/,
    ],
    [
      chatJson({ messages: [{ role: 'user', content: 'hi' }] }),
      ['request.messages[0].role', 'request.messages[0].content'],
      /did you mean ROLE_USER\?[\s\S]*\[\{"text": "…"\}\]/,
    ],
    [
      chatJson({ temprature: 1, max_completion_tokens: 5, top_p: 'high' }),
      ['request.temprature', 'request.max_completion_tokens', 'request.top_p'],
      /did you mean temperature\?[\s\S]*did you mean max_tokens\?/,
    ],
    [JSON.stringify({ messages: [] }), ['messages', 'request'], /did you mean request\.messages\?/],
    ['{"request":', [], /is not JSON/],
    ['', [], /smallest message in JSON is \{\}/],
    ['[]', ['(body)'], /must be an object, not an array/],
    ['null', ['(body)'], /must be an object, not null/],
  ];
  for (const [body, fields, message] of cases) {
    const answer = await postJson(body);
    assert.equal(answer.status, 400, body);
    assert.equal(answer.code, 'invalid_argument');
    assert.deepEqual(answer.fields, fields, body);
    assert.match(answer.message, message);
  }
  const latin1 = await postJson(Buffer.from('{"streamId":"\xfc"}', 'latin1'));
  assert.match(latin1.message, /not UTF-8/);
});

test('wrong content types are refused with those that are right', async () => {
  for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
    const { status, message } = await postJson(chatJson({}), type);
    assert.equal(status, 415);
    assert.match(message, /application\/json.*application\/grpc/);
  }
});

test('a body of 10 MB is refused with the size that would do, over every protocol', async () => {
  const text = 'x'.repeat(10 * 1024 * 1024);
  const request = asking({
    messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: text } }] }],
  });
  for (const way of PROTOCOLS) {
    using caller = chatClient(way, tailrace.url);
    const refusal = await refused(caller.initiateChatStream(request));
    assert.equal(refusal.code, 'ResourceExhausted', way.name);
    assert.equal(refusal.reason, 'REQUEST_TOO_LARGE');
    assert.equal(refusal.metadata['max_bytes'], String(8 * 1024 * 1024));
  }
});

/** A gRPC call whose bytes the test sends. */
function rawInitiate(): {
  readonly session: http2.ClientHttp2Session;
  readonly call: http2.ClientHttp2Stream;
} {
  const session = http2.connect(tailrace.url);
  const call = session.request({
    ':method': 'POST',
    ':path': '/tailrace.v1.ChatStreamService/InitiateChatStream',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  return { session, call };
}

test('a caller that was refused, and neither sends the rest nor leaves, is cut off', async () => {
  const { session, call } = rawInitiate();
  const refusal = Promise.withResolvers<http2.IncomingHttpHeaders>();
  call.on('trailers', refusal.resolve);
  call.on('response', (headers) => {
    if ('grpc-status' in headers) refusal.resolve(headers);
  });
  call.on('error', () => undefined);
  const closed = new Promise((resolve) => call.once('close', resolve));
  call.resume();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(9 * 1024 * 1024, 1);
  call.write(prefix);
  assert.equal((await refusal.promise)['grpc-status'], '8');
  await within(HANGS_MS, 'the end', closed);
  session.destroy();
});

/** A gRPC call made of these bytes; what its trailers say. */
async function grpcOf(body: Buffer): Promise<{
  readonly code: number;
  readonly message: string;
  readonly reason: string | undefined;
}> {
  const { session, call } = rawInitiate();
  let trailers: http2.IncomingHttpHeaders = {};
  const keep = (headers: http2.IncomingHttpHeaders): void => {
    trailers = headers;
  };
  call.on('response', keep);
  call.on('trailers', keep);
  call.resume();
  call.end(body);
  await new Promise((resolve) => call.once('close', resolve));
  session.close();
  const details = String(trailers['grpc-status-details-bin'] ?? '');
  const status = fromBinary(StatusSchema, Buffer.from(details, 'base64'));
  const [first] = status.details;
  const reason = first && fromBinary(ErrorInfoSchema, first.value).reason;
  const message = decodeURIComponent(String(trailers['grpc-message']));
  return { code: Number(trailers['grpc-status']), message, reason };
}

test('truncated and broken frames are MALFORMED_REQUEST, with what came and what was meant to', async () => {
  const message = toBinary(
    InitiateChatStreamRequestSchema,
    create(InitiateChatStreamRequestSchema, asking({})),
  );
  const framed = (length: number, bytes: Uint8Array, flags = 0): Buffer => {
    const prefix = Buffer.alloc(5);
    prefix[0] = flags;
    prefix.writeUInt32BE(length, 1);
    return Buffer.concat([prefix, bytes]);
  };
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.from([0, 0]), /2 of the 5 bytes/],
    [framed(message.length + 10, message), /says \d+ bytes, and \d+ came/],
    [framed(message.length - 3, message), /ends after 3 of the 5 bytes/],
    [framed(3, Buffer.from([0xff, 0xff, 0xff])), /binary form/],
  ];
  for (const [body, said] of cases) {
    const { code, message, reason } = await grpcOf(body);
    assert.equal(code, 3, message);
    assert.equal(reason, 'MALFORMED_REQUEST', message);
    assert.match(message, said);
  }
  // gRPC has its own codes for these, and sends them without details.
  const byGrpc: readonly (readonly [Buffer, RegExp, number])[] = [
    [Buffer.alloc(0), /no message/, Code.Unimplemented],
    [
      Buffer.concat([framed(message.length, message), framed(message.length, message)]),
      /more than one message/,
      Code.Unimplemented,
    ],
    [framed(message.length, message, 1), /marked as compressed/, Code.Internal],
  ];
  for (const [body, said, wanted] of byGrpc) {
    const { code, message } = await grpcOf(body);
    assert.equal(code, wanted, message);
    assert.match(message, said);
  }
});

test('a cursor beyond the end is OUT_OF_RANGE with the end, over every protocol', async () => {
  const { streamId } = await client.initiateChatStream({
    ...asking({
      messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: scripted({}) } }] }],
    }),
    streamId: 'a-good-one',
  });
  stored++;
  const { cursor } = await watchToEnd(client, streamId);
  for (const way of PROTOCOLS) {
    using caller = chatClient(way, tailrace.url);
    const refusal = await refused(new Watch(cursor + 1).follow(caller, streamId));
    assert.equal(refusal.code, 'OutOfRange', way.name);
    assert.equal(refusal.reason, 'CURSOR_BEYOND_END');
    assert.deepEqual(refusal.metadata, { latest_sequence: String(cursor) });
  }
});
