// Connect itself is the oracle: the same frames through its router and through the writer of our own
// must reach every client alike.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { test } from 'node:test';
import type { StatusObject } from '@grpc/grpc-js';
import { fromBinary, toBinary, toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import {
  AttachMode,
  ChatStreamService,
  ObserveChatStreamResponseSchema,
} from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { toConnectError } from '../../src/rpc/edge/errors.ts';
import { type Listener, listen } from '../../src/rpc/edge/listener.ts';
import {
  attachedFrame,
  batchFrame,
  type Frame,
  heartbeatFrame,
} from '../../src/rpc/observe/observe-frames.ts';
import type { ObserveCall } from '../../src/rpc/observe/observe-wire.ts';
import {
  connectError,
  definitionOf,
  frame,
  grpcJsClient,
  record,
  startEdge,
  testSource,
  type TestSource,
  unexpected,
  WAYS,
} from './edge.ts';

const SCHEMA = ObserveChatStreamResponseSchema;
const OBSERVE = definitionOf(ChatStreamService.method.observeChatStream);

const ATTACHED = attachedFrame(
  {
    mode: AttachMode.SUFFIX,
    earliestSequence: 1,
    latestSequence: 3,
    status: ChatStreamStatus.PROCESSING,
    attempt: 1,
    queuePosition: 0,
  },
  1_790_000_000_000,
);
const FRAMES: readonly Frame[] = [
  ATTACHED,
  frame(1, 'Grüße, 世界'),
  batchFrame([record(2), record(3)], 1_790_000_000_500.5, 1_790_000_000_501),
  batchFrame([record(4, 'x'.repeat(200_000))], 1_790_000_000_000, 1_790_000_000_001),
  heartbeatFrame({ latestSequence: 4, status: ChatStreamStatus.PROCESSING }, 1_790_000_015_000),
];

/** Connect's own router over the same frames. */
function oracle(error?: ChatError): Promise<Listener> {
  const handler = connectNodeAdapter({
    acceptCompression: [],
    routes: (router) =>
      router.service(ChatStreamService, {
        async *observeChatStream() {
          for (const { binary } of FRAMES) yield fromBinary(SCHEMA, binary.subarray(5));
          if (error) throw toConnectError(error, () => {});
        },
      }),
  });
  return listen({ host: '127.0.0.1', port: 0, handler, logError: assert.ifError });
}

interface Seen {
  readonly messages: readonly string[];
  readonly bytes: readonly string[];
  readonly end: string;
}

async function see(way: (typeof WAYS)[number], url: string): Promise<Seen> {
  const messages: string[] = [];
  const bytes: string[] = [];
  try {
    for await (const message of way.client(url).observeChatStream({ streamId: 'a' })) {
      messages.push(toJsonString(SCHEMA, message));
      bytes.push(Buffer.from(toBinary(SCHEMA, message)).toString('hex'));
    }
    return { messages, bytes, end: 'ok' };
  } catch (error) {
    const { code, rawMessage, details } = ConnectError.from(error);
    return { messages, bytes, end: JSON.stringify({ code, rawMessage, details }) };
  }
}

const DELETED = new ChatError('STREAM_DELETED', 'Gelöscht: “a”.', { metadata: { stream_id: 'a' } });

for (const error of [undefined, DELETED]) {
  const ending = error ? 'with an error' : 'well';
  const observe = () => {
    const source = testSource(FRAMES);
    source.finish(error);
    return Promise.resolve(source);
  };
  test(`what ends ${ending} reaches every client as Connect itself would send it`, async (t) => {
    await using truth = await oracle(error);
    await using edge = await startEdge({ observe });
    for (const way of WAYS) {
      await t.test(way.name, async () => {
        assert.deepEqual(await see(way, edge.url), await see(way, truth.url));
      });
    }
    assert.deepEqual(edge.logged, []);
  });

  test(`what ends ${ending} reaches grpc-js byte for byte as Connect itself would send it`, async () => {
    await using truth = await oracle(error);
    await using edge = await startEdge({ observe });
    const [ours, theirs] = [await seeByGrpcJs(edge.url), await seeByGrpcJs(truth.url)];
    // But for the message, which Connect encodes more than grpc-js decodes.
    assert.equal(ours.details, error?.message ?? '');
    assert.deepEqual({ ...ours, details: '' }, { ...theirs, details: '' });
    assert.deepEqual(
      ours.messages,
      FRAMES.map(({ binary }) => Buffer.from(binary.subarray(5)).toString('hex')),
    );
  });
}

async function seeByGrpcJs(url: string) {
  const client = grpcJsClient(url);
  const call = client.makeServerStreamRequest(
    OBSERVE.path,
    OBSERVE.serialize,
    OBSERVE.deserialize,
    OBSERVE.encode({ streamId: 'a' }),
  );
  const messages: string[] = [];
  call.on('data', (bytes: Uint8Array) => messages.push(Buffer.from(bytes).toString('hex')));
  call.on('error', () => {});
  const status = await new Promise<StatusObject>((resolve) => call.on('status', resolve));
  client.close();
  return {
    messages,
    code: status.code,
    details: status.details,
    metadata: status.metadata.getMap(),
  };
}

test('an error before the first frame reaches every client with its reason', async (t) => {
  const missing = new ChatError('STREAM_NOT_FOUND', 'There is no chat stream "a".');
  await using edge = await startEdge({ observe: () => Promise.reject(missing) });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const seen = observing(way, edge.url);
      const error = await seen.next().then(unexpected, connectError);
      assert.equal(error.code, Code.NotFound);
      assert.equal(error.rawMessage, missing.message);
      assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, 'STREAM_NOT_FOUND');
    });
  }
});

function observing(way: (typeof WAYS)[number], url: string, options = {}, afterSequence = 0) {
  const request = { streamId: 'a', afterSequence };
  return way.client(url).observeChatStream(request, options)[Symbol.asyncIterator]();
}

test('broken rules and unknown fields are refused by path over every protocol', async (t) => {
  await using edge = await startEdge();
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const error = await observing(way, edge.url, {}, -1).next().then(unexpected, connectError);
      assert.equal(error.code, Code.InvalidArgument);
      assert.match(error.rawMessage, /after_sequence/);
    });
  }
});

test('frames arrive as they are made, and the call’s tenant and request are handed on', async (t) => {
  const calls: ObserveCall[] = [];
  let source = testSource();
  await using edge = await startEdge({
    observe: (call) => {
      calls.push(call);
      source = testSource([ATTACHED]);
      return Promise.resolve(source);
    },
  });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const seen = observing(way, edge.url, {}, 7);
      assert.equal((await seen.next()).value?.frame.case, 'attached');
      const call = calls.at(-1);
      assert.equal(call?.tenant, 'default');
      assert.equal(call.request.afterSequence, 7);
      for (let sequence = 1; sequence <= 3; sequence += 1) {
        source.push(frame(sequence));
        const { value } = await seen.next();
        assert.equal(value?.frame.value.events[0].sequence, sequence);
      }
      source.finish();
      assert.equal((await seen.next()).done, true);
      await source.closed;
      assert.equal(call.signal.aborted, true);
    });
  }
});

test('a client that leaves closes its source and aborts the signal', async (t) => {
  const opened: { call: ObserveCall; source: TestSource }[] = [];
  await using edge = await startEdge({
    observe: (call) => {
      const source = testSource([ATTACHED]);
      opened.push({ call, source });
      return Promise.resolve(source);
    },
  });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      const leave = new AbortController();
      const seen = observing(way, edge.url, { signal: leave.signal });
      await seen.next();
      leave.abort();
      await seen.next().catch(() => {});
      const last = opened.at(-1);
      await last?.source.closed;
      assert.equal(last?.call.signal.aborted, true);
    });
  }
  assert.deepEqual(edge.logged, []);
});

test('a client that leaves while its source is opened closes it, too', async () => {
  const asked = Promise.withResolvers<ObserveCall>();
  const go = Promise.withResolvers<void>();
  const source = testSource([ATTACHED]);
  await using edge = await startEdge({
    observe: async (call) => {
      asked.resolve(call);
      await go.promise;
      return source;
    },
  });
  const leave = new AbortController();
  const [way] = WAYS;
  assert.ok(way);
  const seen = observing(way, edge.url, { signal: leave.signal });
  const first = seen.next().catch(() => {});
  const { signal } = await asked.promise;
  leave.abort();
  await first;
  if (!signal.aborted) await once(signal, 'abort');
  go.resolve();
  await source.closed;
});

test('a deadline ends the call with DEADLINE_EXCEEDED over every protocol', async (t) => {
  await using edge = await startEdge({ observe: () => Promise.resolve(testSource([ATTACHED])) });
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      // The client's own timer is switched off: only the header remains.
      const name = way.name.startsWith('Connect') ? 'connect-timeout-ms' : 'grpc-timeout';
      const value = name === 'grpc-timeout' ? '30m' : '30';
      const seen = observing(way, edge.url, { headers: { [name]: value } });
      await seen.next();
      const error = await seen.next().then(unexpected, connectError);
      assert.equal(error.code, Code.DeadlineExceeded);
    });
  }
});

test('a deadline further away than timers reach is none', async () => {
  const source = testSource([ATTACHED]);
  await using edge = await startEdge({ observe: () => Promise.resolve(source) });
  for (const way of WAYS.filter(({ name }) => name.startsWith('gRPC, proto'))) {
    const seen = observing(way, edge.url, { headers: { 'grpc-timeout': '99999999H' } });
    await seen.next();
    source.push(frame(1));
    assert.equal((await seen.next()).done, false);
    await seen.return?.();
    break;
  }
});

test('a stop of the server ends observations with UNAVAILABLE, so that they resume', async (t) => {
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      await using edge = await startEdge({
        observe: () => Promise.resolve(testSource([ATTACHED])),
      });
      const seen = observing(way, edge.url);
      await seen.next();
      edge.shutdown.abort();
      const error = await seen.next().then(unexpected, connectError);
      assert.equal(error.code, Code.Unavailable);
      assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, 'SHUTTING_DOWN');
    });
  }
});

test('a reader that stalls is given no more than its socket takes, and then all of it', async () => {
  const total = 20_000;
  const source = testSource([ATTACHED]);
  await using edge = await startEdge({ observe: () => Promise.resolve(source) });
  const session = http2.connect(edge.url);
  const call = session.request({
    ':method': 'POST',
    ':path': OBSERVE.path,
    'content-type': 'application/grpc',
  });
  const message = OBSERVE.encode({ streamId: 'a' });
  call.end(Buffer.from([0, 0, 0, 0, message.byteLength, ...message]));
  await once(call, 'response');
  for (let sequence = 1; sequence <= total; sequence += 1)
    source.push(frame(sequence, 'x'.repeat(90)));
  source.finish();
  // Nothing was read: what left fits into the windows and buffers on the way.
  await new Promise((done) => session.ping(done));
  const bytesTaken = source.taken * frame(1, 'x'.repeat(90)).binary.byteLength;
  assert.ok(bytesTaken < 512 * 1024, `${bytesTaken} bytes were taken`);
  let bytes = 0;
  for await (const chunk of call) bytes += (chunk as Buffer).byteLength;
  assert.equal(source.taken, total + 1);
  assert.ok(bytes > total * 90);
  session.close();
});

test('a defect in a source is INTERNAL in neutral words and goes to the log', async () => {
  const broken = {
    ...testSource(),
    next: () => {
      throw new TypeError('secret');
    },
  };
  await using edge = await startEdge({ observe: () => Promise.resolve(broken) });
  const [way] = WAYS;
  assert.ok(way);
  const error = await observing(way, edge.url).next().then(unexpected, connectError);
  assert.equal(error.code, Code.Internal);
  assert.doesNotMatch(error.message, /secret/);
  assert.match(String(edge.logged[0]), /secret/);
});
