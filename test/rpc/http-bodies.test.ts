// The bodies of calls, over every protocol: which are read, which are refused and with what words, and which are
// compressed.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { toBinary, create } from '@bufbuild/protobuf';
import { WireType } from '@bufbuild/protobuf/wire';
import { Code } from '@connectrpc/connect';
import type { ServiceError } from '@grpc/grpc-js';
import { BadRequestSchema, ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import {
  GetChatStreamResponseSchema,
  InitiateChatStreamRequestSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { MAX_REQUEST_BYTES } from '../../src/chat/limits.ts';
import { connectError, grpcJsClient, saying, startEdge, unexpected, WAYS } from './edge.ts';

import { INITIATE, OBSERVE, HI, HI_JSON, post, refused, framed, rawGrpc } from './raw-calls.ts';

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
