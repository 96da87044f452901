// One port for every protocol: calls and paths, and how what goes wrong in a handler is told. What bodies are read
// and refused is in http-bodies.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { ServiceError } from '@grpc/grpc-js';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import {
  ChatStreamService,
  WaitChatStreamResponseSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../../src/chat/errors.ts';
import {
  connectError,
  definitionOf,
  grpcJsClient,
  HANDLERS,
  startEdge,
  unexpected,
  WAYS,
} from './edge.ts';

import { INITIATE, HI, HI_JSON, post, refused, framed, rawGrpc } from './raw-calls.ts';

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
