// What others call by: grpcurl, curl's plain JSON, grpc-js and connect-node in every protocol, against
// the program as it is started.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { createClient } from '@connectrpc/connect';
import { z } from 'zod';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { ChatStreamStatus, ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { chatClient, grpcJsTransport, WAYS } from '../support/clients.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { needs } from '../support/needs.ts';
import { refused } from '../support/refusal.ts';
import {
  startTailraceProcess,
  type TailraceProcess,
} from '../support/processes/tailrace-process.ts';
import { HANGS_MS, within } from '../support/until.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { type ModelServer, scripted, startModelServer } from '../model-server/model-server.ts';

const SERVICE = 'tailrace.v1.ChatStreamService';
const ORIGIN = 'https://app.example.com';

interface Served extends AsyncDisposable {
  readonly model: ModelServer;
  readonly tailrace: TailraceProcess;
}

async function serve(): Promise<Served> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder());
  const model = stack.use(await startModelServer());
  const tailrace = stack.use(
    await startTailraceProcess({
      TAILRACE_DATA_DIR: folder.path,
      OPENAI_BASE_URL: model.url,
      TAILRACE_CORS_ORIGINS: ORIGIN,
    }),
  );
  const owned = stack.move();
  return { model, tailrace, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

test('every protocol, form and version of HTTP, and grpc-js, start, observe, read, wait, cancel and list alike', async (t) => {
  await using served = await serve();
  const { url } = served.tailrace;
  for (const way of WAYS) {
    await t.test(way.name, async () => {
      using client = chatClient(way, url);
      const { models } = await client.listModels({});
      assert.deepEqual(
        models.map(({ name, isDefault }) => [name, isDefault]),
        [
          ['test-model', true],
          ['test-model-small', false],
        ],
      );
      const text = scripted({ text: ['Grüße', ', ', '世界'] });
      const started = await client.initiateChatStream(initiateRequest({ text }));
      assert.equal(started.created, true);
      assert.equal(started.status, ChatStreamStatus.PENDING);
      assert.match(started.streamId, /^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'a UUIDv7');
      const { streamId } = started;
      const watch = await watchToEnd(client, streamId);
      assert.equal(watch.text(), 'Grüße, 世界');
      const view = ChatStreamView.FULL;
      const { chatStream: got } = await client.getChatStream({ streamId, view });
      const { chatStream: waited } = await client.waitChatStream({ streamId, view });
      assert.deepEqual(waited, got);
      assert.equal(got?.status, ChatStreamStatus.COMPLETED);
      assert.equal(got.contentSha256, watch.end().contentSha256);
      assert.deepEqual(
        got.output.map(({ block }) => block.value),
        ['Grüße, 世界'],
      );
      // All the same for everybody.
      using grpcJs = chatClient({ name: 'grpc-js', transport: grpcJsTransport }, url);
      assert.equal((await watchToEnd(grpcJs, streamId)).bytes(), watch.bytes());

      const endless = await client.initiateChatStream(
        initiateRequest({ text: scripted({ fault: 'endless', interval_ms: 10 }) }),
      );
      const long = new Watch();
      const ends = long.follow(client, endless.streamId);
      await long.reached(4);
      const cancelled = await client.cancelChatStream({
        streamId: endless.streamId,
        reason: 'enough',
      });
      assert.equal(cancelled.chatStream?.status, ChatStreamStatus.CANCELLED);
      await ends;
      assert.equal(long.end().status, ChatStreamStatus.CANCELLED);
      const late = await client.cancelChatStream({ streamId });
      assert.equal(late.chatStream?.status, ChatStreamStatus.COMPLETED, 'the true status');
      const unknown = await refused(client.getChatStream({ streamId: 'nobody' }));
      assert.equal(unknown.reason, 'STREAM_NOT_FOUND');
    });
  }
});

const run = promisify(execFile);

test(
  'grpcurl lists, describes, starts, observes, reads, waits, cancels and lists models',
  { skip: needs('grpcurl') },
  async () => {
    await using served = await serve();
    const { host } = new URL(served.tailrace.url);
    const grpcurl = async (...args: string[]): Promise<string> => {
      const { stdout } = await run('grpcurl', ['-plaintext', ...args]);
      return stdout;
    };
    const call = async (rpc: string, request: object): Promise<unknown> => {
      const out = await grpcurl('-d', JSON.stringify(request), host, `${SERVICE}/${rpc}`);
      return JSON.parse(`[${out.trim().replaceAll(/^}\s*^{/gm, '},{')}]`) as unknown;
    };
    const services = await grpcurl(host, 'list');
    for (const name of [SERVICE, 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection']) {
      assert.ok(services.split('\n').includes(name), `${name} in\n${services}`);
    }
    assert.match(await grpcurl(host, 'describe', SERVICE), /rpc InitiateChatStream/);
    assert.match(
      await grpcurl(host, 'describe', 'tailrace.v1.ChatRequest'),
      /optional double temperature/,
    );
    assert.match(JSON.stringify(await call('ListModels', {})), /"test-model"/);

    const text = scripted({ text: ['hello ', 'grpcurl'] });
    const request = { messages: [{ role: 'ROLE_USER', content: [{ text }] }] };
    const [started] = z
      .array(z.looseObject({ streamId: z.string(), created: z.literal(true) }))
      .parse(await call('InitiateChatStream', { request }));
    const stream_id = started?.streamId;
    const frames = z.array(z.looseObject({})).parse(await call('ObserveChatStream', { stream_id }));
    assert.ok('attached' in (frames[0] ?? {}));
    const all = JSON.stringify(frames);
    assert.match(all, /"completed":\{"status":"CHAT_STREAM_STATUS_COMPLETED"/);
    assert.match(all, /hello /);
    const got = await call('GetChatStream', { stream_id, view: 'CHAT_STREAM_VIEW_FULL' });
    assert.match(JSON.stringify(got), /"output":\[\{"text":"hello grpcurl"\}\]/);
    assert.deepEqual(await call('WaitChatStream', { stream_id, view: 2, timeout: '5s' }), got);
    assert.match(JSON.stringify(await call('CancelChatStream', { stream_id })), /STATUS_COMPLETED/);
    assert.match(await grpcurl(host, 'grpc.health.v1.Health/Check'), /"SERVING"/);
    // What people read when they got it wrong: the code, the path, and what is there.
    await assert.rejects(
      call('InitiateChatStream', { request: { ...request, model: 'gpt-9', temperature: 3 } }),
      /InvalidArgument[\s\S]*request\.temperature/,
    );
    await assert.rejects(
      call('InitiateChatStream', { request: { ...request, model: 'gpt-9' } }),
      /there is no model "gpt-9"; there are: test-model, test-model-small[\s\S]*UNKNOWN_MODEL/,
    );
  },
);

test('curl starts a chat with JSON, reads it by GET that nobody may keep, and waits for it', async () => {
  await using served = await serve();
  const { url } = served.tailrace;
  const post = async (rpc: string, body: object): Promise<unknown> => {
    const response = await fetch(`${url}/${SERVICE}/${rpc}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const said = await response.text();
    assert.equal(response.status, 200, said);
    return JSON.parse(said) as unknown;
  };
  const request = { messages: [{ role: 'ROLE_USER', content: [{ text: 'hi' }] }] };
  const started = z
    .looseObject({ streamId: z.string(), status: z.literal('CHAT_STREAM_STATUS_PENDING') })
    .parse(await post('InitiateChatStream', { request }));
  const { streamId } = started;
  const Answer = z.object({
    chatStream: z.looseObject({
      status: z.literal('CHAT_STREAM_STATUS_COMPLETED'),
      stopReason: z.literal('STOP_REASON_END_TURN'),
      latestSequence: z.number(),
      output: z.array(z.object({ text: z.string() })).length(1),
    }),
  });
  const view = 'CHAT_STREAM_VIEW_FULL';
  const waited = Answer.parse(await post('WaitChatStream', { streamId, view, timeout: '20s' }));
  assert.match(waited.chatStream.output[0]?.text ?? '', /^Water that has done its work/);

  const message = encodeURIComponent(JSON.stringify({ streamId, view }));
  const query = `connect=v1&encoding=json&message=${message}`;
  const response = await fetch(`${url}/${SERVICE}/GetChatStream?${query}`);
  assert.equal(response.headers.get('cache-control'), 'no-store');
  assert.deepEqual(Answer.parse(await response.json()), waited);

  const front = await fetch(url);
  assert.match(front.headers.get('content-type') ?? '', /^text\/plain/);
  assert.match(await front.text(), /This is Tailrace/);
});

test('a page of an allowed origin may start a chat from a browser, another may not', async () => {
  await using served = await serve();
  const target = `${served.tailrace.url}/${SERVICE}/InitiateChatStream`;
  const preflight = (origin: string): Promise<Response> =>
    fetch(target, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,connect-protocol-version,content-type',
      },
    });
  const allowed = await preflight(ORIGIN);
  assert.equal(allowed.status, 204);
  assert.equal(allowed.headers.get('access-control-allow-origin'), ORIGIN);
  const headers = allowed.headers.get('access-control-allow-headers')?.toLowerCase() ?? '';
  for (const name of ['authorization', 'connect-protocol-version', 'content-type', 'x-grpc-web']) {
    assert.ok(headers.includes(name), `${name} in ${headers}`);
  }
  const refusedOrigin = await preflight('https://evil.example.com');
  assert.equal(refusedOrigin.headers.get('access-control-allow-origin'), null);

  const answer = await fetch(target, {
    method: 'POST',
    headers: { origin: ORIGIN, 'content-type': 'application/json' },
    body: JSON.stringify({ request: { messages: [{ role: 1, content: [{ text: 'hi' }] }] } }),
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('access-control-allow-origin'), ORIGIN);
  assert.match(answer.headers.get('access-control-expose-headers') ?? '', /grpc-status/i);
});

test('health follows NATS: SERVING, NOT_SERVING while it is away, SERVING when it is back', async () => {
  await using served = await serve();
  using transport = grpcJsTransport(served.tailrace.url);
  const health = createClient(Health, transport);
  assert.equal((await health.check({})).status, Serving.SERVING);
  const { statuses } = await health.list({});
  assert.deepEqual(Object.keys(statuses).toSorted(), ['', SERVICE]);
  const changes = health.watch({ service: SERVICE });
  const next = changes[Symbol.asyncIterator]();
  const change = async (): Promise<Serving | undefined> => {
    const { done, value } = await within(HANGS_MS, 'a change of health', next.next());
    return done === true ? undefined : value.status;
  };
  assert.equal(await change(), Serving.SERVING);
  const [nats] = served.tailrace.children();
  process.kill(nats ?? 0, 'SIGKILL');
  assert.equal(await change(), Serving.NOT_SERVING);
  assert.equal(await change(), Serving.SERVING);
  assert.equal((await health.check({ service: SERVICE })).status, Serving.SERVING);
  // And it is true: a chat runs.
  using client = chatClient({ name: 'grpc-js', transport: grpcJsTransport }, served.tailrace.url);
  const { streamId } = await client.initiateChatStream(initiateRequest({ text: scripted({}) }));
  await watchToEnd(client, streamId);
  // A server that stops says so before it goes.
  const stopped = served.tailrace.stop();
  assert.equal(await change(), Serving.NOT_SERVING);
  const { code, message } = await refused(change());
  assert.equal(code, 'Unavailable');
  assert.equal(message, 'This server is stopping; call again.');
  assert.equal((await stopped).code, 0);
});
