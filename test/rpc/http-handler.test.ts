import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { fromBinary, toBinary, create } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { Code } from '@connectrpc/connect';
import type { ServiceError } from '@grpc/grpc-js';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import {
  ChatStreamService,
  GetChatStreamResponseSchema,
  InitiateChatStreamRequestSchema,
  WaitChatStreamResponseSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { MAX_REQUEST_BYTES } from '../../src/chat/limits.ts';
import {
  connectError,
  definitionOf,
  grpcJsClient,
  HANDLERS,
  saying,
  startEdge,
  unexpected,
  WAYS,
} from './edge.ts';

const INITIATE = definitionOf(ChatStreamService.method.initiateChatStream);
const OBSERVE = definitionOf(ChatStreamService.method.observeChatStream);
const HI = saying('hi');
const HI_JSON = '{"request":{"messages":[{"role":"ROLE_USER","content":[{"text":"hi"}]}]}}';

interface JsonError {
  readonly code: string;
  readonly message: string;
  readonly details?: readonly {
    readonly debug: {
      readonly reason?: string;
      readonly fieldViolations?: readonly { field: string }[];
    };
  }[];
}

function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  type = 'application/json',
  more = {},
) {
  const headers = { 'content-type': type, ...more };
  return fetch(url + INITIATE.path, { method: 'POST', headers, body });
}

async function refused(answer: Response): Promise<JsonError & { reason: string | undefined }> {
  const error = (await answer.json()) as JsonError;
  return { ...error, reason: error.details?.[0]?.debug.reason };
}

function framed(message: Uint8Array, flags = 0, length = message.byteLength): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

/** A gRPC call of which every byte is chosen; gives its status and reason. */
async function rawGrpc(url: string, path: string, body: Uint8Array, more = {}) {
  const session = http2.connect(url, { maxSessionMemory: 100 });
  const call = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...more,
  });
  let head: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  call.on('response', (headers: http2.IncomingHttpHeaders) => {
    head = headers;
  });
  call.on('trailers', (headers: http2.IncomingHttpHeaders) => {
    trailers = headers;
  });
  call.on('error', () => {});
  call.end(body);
  call.resume();
  await once(call, 'close');
  session.close();
  const said = { ...head, ...trailers };
  const details = said['grpc-status-details-bin'];
  const status = details
    ? fromBinary(StatusSchema, Buffer.from(String(details), 'base64'))
    : undefined;
  const info = status?.details[0] && fromBinary(ErrorInfoSchema, status.details[0].value);
  return { http: said[':status'], status: Number(said['grpc-status']), reason: info?.reason, said };
}

test('unary calls work over every protocol, form and version of HTTP, and for grpc-js', async (t) => {
  await using edge = await startEdge();
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const answer = await way.client(edge.url).initiateChatStream({ streamId: 'a', request: HI });
      assert.equal(answer.streamId, 'a');
      assert.equal(answer.created, true);
      assert.equal(answer.message, 'default');
    });
  }
  const client = grpcJsClient(edge.url);
  const bytes = await new Promise<Uint8Array>((resolve, reject) => {
    client.makeUnaryRequest(
      INITIATE.path,
      INITIATE.serialize,
      INITIATE.deserialize,
      INITIATE.encode({ streamId: 'b', request: HI }),
      (error, value) => (value ? resolve(value) : reject(error ?? new Error('no answer'))),
    );
  });
  assert.equal(INITIATE.decode(bytes).streamId, 'b');
  client.close();
});

test('curl’s way works: plain JSON by POST, and GET without caching where nothing changes', async () => {
  await using edge = await startEdge();
  const answer = await post(edge.url, HI_JSON, 'application/json; charset=utf-8');
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { streamId: string }).streamId, 'made');
  const path = `${edge.url}/tailrace.v1.ChatStreamService/GetChatStream`;
  const message = encodeURIComponent('{"stream_id":"x"}');
  const got = await fetch(`${path}?connect=v1&encoding=json&message=${message}`);
  assert.equal(got.headers.get('cache-control'), 'no-store');
  assert.deepEqual(await got.json(), { chatStream: { streamId: 'x' } });
  const wrong = await fetch(
    `${path}?encoding=json&message=${encodeURIComponent('{"strem_id":"x"}')}`,
  );
  assert.equal(wrong.status, 400);
  assert.equal(wrong.headers.get('cache-control'), 'no-store');
  assert.match((await refused(wrong)).message, /strem_id.*did you mean stream_id/);
  assert.equal((await fetch(path)).status, 415);
  const changing = await fetch(`${edge.url}${INITIATE.path}?encoding=json&message=%7B%7D`);
  assert.equal(changing.status, 405);
  assert.equal(changing.headers.get('allow'), 'POST');
});

test('broken rules and unknown fields are refused by path over every protocol', async (t) => {
  await using edge = await startEdge({
    handlers: { initiateChatStream: () => assert.fail('reached the handler') },
  });
  const inner = create(InitiateChatStreamRequestSchema, { request: { ...HI, temperature: 3 } });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const error = await way
        .client(edge.url)
        .initiateChatStream(inner)
        .then(unexpected, connectError);
      assert.equal(error.code, Code.InvalidArgument);
      assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, 'INVALID_REQUEST');
      const fields = error.findDetails(BadRequestSchema)[0]?.fieldViolations.map((v) => v.field);
      assert.deepEqual(fields, ['request.temperature']);
    });
  }
  const json = await refused(await post(edge.url, '{"request":{"mesages":[]},"x":1}'));
  assert.deepEqual(
    json.details?.[1]?.debug.fieldViolations?.map((v) => v.field),
    ['request.mesages', 'x', 'request.messages'],
  );
  const unknown = create(InitiateChatStreamRequestSchema, { request: HI });
  unknown.$unknown = [{ no: 77, wireType: WireType.Varint, data: Uint8Array.of(1) }];
  const bytes = framed(toBinary(InitiateChatStreamRequestSchema, unknown));
  assert.equal((await rawGrpc(edge.url, INITIATE.path, bytes)).reason, 'UNKNOWN_FIELD');
  const grpcJson = framed(Buffer.from('{"request":{"mesages":[]}}'));
  const more = { 'content-type': 'application/grpc+json' };
  assert.equal(
    (await rawGrpc(edge.url, INITIATE.path, grpcJson, more)).status,
    Code.InvalidArgument,
  );
});

test('bodies that are no message are MALFORMED_REQUEST, with a sentence', async () => {
  await using edge = await startEdge();
  const bodies: readonly [string | Uint8Array<ArrayBuffer>, RegExp, string?][] = [
    ['', /empty/],
    ['{"request":', /not JSON/],
    ['{"a":1,}', /not JSON: it breaks at position 7/],
    [Uint8Array.of(0x22, 0xff, 0x22), /not UTF-8/],
    [Uint8Array.of(10, 20, 1), /binary form/, 'application/proto'],
  ];
  for (const [body, sentence, type] of bodies) {
    const answer = await post(edge.url, body, type);
    assert.equal(answer.status, 400);
    const error = await refused(answer);
    assert.equal(error.reason, 'MALFORMED_REQUEST');
    assert.match(error.message, sentence);
  }
  for (const path of [INITIATE.path, OBSERVE.path]) {
    const frames: readonly Buffer[] = [
      Buffer.from([0, 0, 0]),
      framed(Buffer.from('ab'), 0, 9),
      framed(Uint8Array.of(10, 20, 1)),
    ];
    for (const body of frames) {
      const seen = await rawGrpc(edge.url, path, body);
      assert.equal(seen.status, Code.InvalidArgument, JSON.stringify(seen.said));
      assert.equal(seen.reason, 'MALFORMED_REQUEST');
    }
    // gRPC has codes of its own for calls that are not what a method takes.
    const byGrpc: readonly (readonly [Buffer, Code])[] = [
      [Buffer.alloc(0), Code.Unimplemented],
      [Buffer.concat([framed(Buffer.alloc(0)), framed(Buffer.alloc(0))]), Code.Unimplemented],
      [framed(Buffer.from('zipped?'), 1), Code.Internal],
    ];
    for (const [body, code] of byGrpc) {
      assert.equal((await rawGrpc(edge.url, path, body)).status, code);
    }
    const garbled = await rawGrpc(edge.url, path, framed(Buffer.from('zipped?'), 1), {
      'grpc-encoding': 'gzip',
    });
    assert.equal(garbled.reason, 'MALFORMED_REQUEST');
    const late = await rawGrpc(edge.url, path, framed(Buffer.alloc(0)), { 'grpc-timeout': 'soon' });
    assert.equal(late.reason, 'MALFORMED_REQUEST');
    const alien = await rawGrpc(edge.url, path, framed(Buffer.alloc(0)), {
      'grpc-encoding': 'lzma',
    });
    assert.equal(alien.status, Code.Unimplemented);
    assert.match(String(alien.said['grpc-message']), /gzip,br/);
  }
});

test('compressed requests are read', async () => {
  await using edge = await startEdge();
  const json = Buffer.from(HI_JSON);
  const zipped = [
    await post(edge.url, gzipSync(json), 'application/json', { 'content-encoding': 'gzip' }),
    await post(edge.url, brotliCompressSync(json), 'application/json', {
      'content-encoding': 'br',
    }),
  ];
  for (const answer of zipped) assert.equal(answer.status, 200);
  const body = framed(gzipSync(INITIATE.encode({ request: HI })), 1);
  const seen = await rawGrpc(edge.url, INITIATE.path, body, { 'grpc-encoding': 'gzip' });
  assert.equal(seen.status, 0);
});

test('a body over the limit is REQUEST_TOO_LARGE and names the limit, over every protocol', async (t) => {
  await using edge = await startEdge();
  // Just under what node's own HTTP/2 clients can have on their way.
  const request = saying('x'.repeat(9_500_000));
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const client = way.client(edge.url);
      const error = await client.initiateChatStream({ request }).then(unexpected, connectError);
      assert.equal(error.code, Code.ResourceExhausted, error.message);
      const [info] = error.findDetails(ErrorInfoSchema);
      assert.equal(info?.reason, 'REQUEST_TOO_LARGE');
      assert.equal(info.metadata['max_bytes'], String(MAX_REQUEST_BYTES));
      // The connection is as good as before.
      assert.equal((await client.initiateChatStream({ request: HI })).streamId, 'made');
    });
  }
  await t.test('grpc-js', async () => {
    const client = grpcJsClient(edge.url);
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest(
        INITIATE.path,
        INITIATE.serialize,
        INITIATE.deserialize,
        INITIATE.encode({ request }),
        (failed) => resolve(failed),
      );
    });
    assert.equal(error?.code, Code.ResourceExhausted, error?.message);
    client.close();
  });
  await t.test('more than anybody would send', async () => {
    const body = framed(Buffer.alloc(60_000_000));
    const seen = await rawGrpc(edge.url, INITIATE.path, body);
    assert.equal(seen.reason, 'REQUEST_TOO_LARGE');
    const json = await post(edge.url, 'x'.repeat(60_000_000));
    assert.equal((await refused(json)).reason, 'REQUEST_TOO_LARGE');
  });
  await t.test('a bomb that is small until it is unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024, ' '));
    const more = { 'content-encoding': 'gzip' };
    const answer = await post(edge.url, bomb, 'application/json', more);
    assert.equal((await refused(answer)).reason, 'REQUEST_TOO_LARGE');
  });
});

test('wrong content types are 415 with those that are right', async () => {
  await using edge = await startEdge();
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/grpc+thrift',
    'application/grpc-web-text',
    'application/connect+json',
  ]) {
    const answer = await post(edge.url, HI_JSON, type);
    assert.equal(answer.status, 415, type);
    assert.match(await answer.text(), /InitiateChatStream takes .*application\/json, /);
    assert.match(answer.headers.get('accept-post') ?? '', /application\/grpc/);
  }
  const observe = await fetch(edge.url + OBSERVE.path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"stream_id":"a"}',
  });
  assert.equal(observe.status, 415);
  assert.match(await observe.text(), /application\/connect\+json.*It streams/);
});

test('rpcs that are not there yet are UNIMPLEMENTED with a reason', async (t) => {
  await using edge = await startEdge({ handlers: {} });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const client = way.client(edge.url);
      const results = [{ toolUseId: 'x' }];
      const calls = [
        client.listChatStreams({}),
        client.deleteChatStream({ streamId: 'a' }),
        client.submitToolResults({ streamId: 'a', results }),
      ];
      for (const call of calls) {
        const error = await call.then(unexpected, connectError);
        assert.equal(error.code, Code.Unimplemented);
        assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, 'NOT_IMPLEMENTED');
      }
    });
  }
});

test('unknown paths are refused in the form of who asked', async () => {
  await using edge = await startEdge();
  for (const path of ['/no.such.Service/Call', '/tailrace.v1.ChatStreamService/NoSuchCall']) {
    const grpc = await rawGrpc(edge.url, path, framed(Buffer.alloc(0)));
    assert.equal(grpc.http, 200);
    assert.equal(grpc.said['content-type'], 'application/grpc');
    assert.equal(grpc.status, Code.Unimplemented);
    const json = await fetch(edge.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    assert.equal(json.status, 404);
    assert.equal((await refused(json)).code, 'unimplemented');
    const page = await fetch(edge.url + path);
    assert.equal(page.status, 404);
    assert.match(await page.text(), /nothing at/);
  }
});

test('GET / says what this is and how to call it', async () => {
  await using edge = await startEdge();
  const answer = await fetch(edge.url);
  assert.equal(answer.status, 200);
  const text = await answer.text();
  assert.match(text, /This is Tailrace/);
  const [, path, body] = /curl http:\/\/[^/]+(\S+Initiate\S+) .*?-d '(.*?)'/s.exec(text) ?? [];
  assert.equal(path, INITIATE.path);
  assert.equal((await post(edge.url, body ?? '')).status, 200);
});

test('an error that a handler throws keeps its reason, a defect is INTERNAL and logged', async (t) => {
  await using edge = await startEdge({
    handlers: {
      getChatStream: () => {
        throw new ChatError('STREAM_NOT_FOUND', 'There is no chat stream "a/b: ü".');
      },
      waitChatStream: () => Promise.reject(new TypeError('secret')),
    },
  });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const client = way.client(edge.url);
      const error = await client.getChatStream({ streamId: 'a' }).then(unexpected, connectError);
      assert.equal(error.code, Code.NotFound);
      assert.equal(error.rawMessage, 'There is no chat stream "a/b: ü".');
      const defect = await client.waitChatStream({ streamId: 'a' }).then(unexpected, connectError);
      assert.equal(defect.code, Code.Internal);
      assert.doesNotMatch(defect.message, /secret/);
    });
  }
  assert.equal(edge.logged.length, WAYS.length);
  const client = grpcJsClient(edge.url);
  const get = definitionOf(ChatStreamService.method.getChatStream);
  const error = await new Promise<ServiceError | null>((resolve) => {
    const bytes = get.encode({ streamId: 'a' });
    client.makeUnaryRequest(get.path, get.serialize, get.deserialize, bytes, (e) => resolve(e));
  });
  assert.equal(error?.details, 'There is no chat stream "a/b: ü".');
  client.close();
});

test('a deadline is kept for callers whose handler does not look at it', async (t) => {
  await using edge = await startEdge({
    handlers: { ...HANDLERS, waitChatStream: () => new Promise(() => {}) },
  });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const name = way.name.startsWith('Connect') ? 'connect-timeout-ms' : 'grpc-timeout';
      const headers = { [name]: name === 'grpc-timeout' ? '20m' : '20' };
      const call = way.client(edge.url).waitChatStream({ streamId: 'a' }, { headers });
      assert.equal((await call.then(unexpected, connectError)).code, Code.DeadlineExceeded);
    });
  }
  const far = await WAYS[0]?.client(edge.url).getChatStream(
    { streamId: 'a' },
    {
      headers: { 'grpc-timeout': '99999999H' },
    },
  );
  assert.equal(far?.chatStream?.streamId, 'a');
});

test('a client that leaves and a stop of the server abort a handler’s signal', async () => {
  const calls: AbortSignal[] = [];
  const called = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using edge = await startEdge({
    handlers: {
      async waitChatStream(_, { signal }) {
        called[calls.push(signal) - 1]?.resolve();
        await once(signal, 'abort');
        return create(WaitChatStreamResponseSchema, { chatStream: { streamId: 'as it is' } });
      },
    },
  });
  const client = WAYS.at(-1)?.client(edge.url);
  assert.ok(client);
  const leave = new AbortController();
  const left = client.waitChatStream({ streamId: 'a' }, { signal: leave.signal });
  await called[0]?.promise;
  leave.abort();
  await assert.rejects(left);
  const [first] = calls;
  if (!first?.aborted) await once(first ?? assert.fail(), 'abort');
  const stays = client.waitChatStream({ streamId: 'a' });
  await called[1]?.promise;
  edge.shutdown.abort();
  assert.equal((await stays).chatStream?.streamId, 'as it is');
});

test('a request that breaks off is forgotten, and nothing is logged', async () => {
  await using edge = await startEdge();
  const socket = net.connect(edge.listener.port, '127.0.0.1');
  socket.write(
    `POST ${INITIATE.path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
  );
  await new Promise((sent) => socket.write('"', sent));
  socket.destroy();
  const session = http2.connect(edge.url);
  const call = session.request({
    ':method': 'POST',
    ':path': INITIATE.path,
    'content-type': 'application/grpc',
  });
  call.write(Buffer.from([0, 0]));
  await new Promise((done) => session.ping(done));
  call.close(http2.constants.NGHTTP2_CANCEL);
  await once(call, 'close');
  session.close();
  assert.equal((await post(edge.url, HI_JSON)).status, 200);
  assert.deepEqual(edge.logged, []);
});

test('answers over 1 KiB are compressed for who accepts that', async () => {
  const reason = 'x'.repeat(10_000);
  await using edge = await startEdge({
    handlers: {
      getChatStream: () =>
        create(GetChatStreamResponseSchema, { chatStream: { correlationId: reason } }),
    },
  });
  const url = `${edge.url}/tailrace.v1.ChatStreamService/GetChatStream`;
  const query = `?encoding=json&message=${encodeURIComponent('{"streamId":"x"}')}`;
  const answer = await fetch(url + query, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(answer.headers.get('content-encoding'), 'gzip');
  assert.deepEqual(await answer.json(), { chatStream: { correlationId: reason } });
});
