// Cancel through real processes: the model server feels it, nobody needs to be alive for it, and nothing
// brings the chat back.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { assertTrueLog, chatKey, initiateRequest } from '../support/chats/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { startNats } from '../support/processes/nats.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';
import { Watch } from '../support/chats/watch-chat.ts';

const { CANCELLED } = ChatStreamStatus;

describe('cancel', { concurrency: true }, () => {
  test('stop is no no-op upstream: the model server’s connection is closed, and the usage so far is told', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    const env = { TAILRACE_NATS_URL: natsUrl(nats.access), OPENAI_BASE_URL: model.url };
    await using tailrace = await startTailraceProcess(env);
    const client = grpcClient(tailrace.url);
    const text = scripted({ tokens: 10_000, interval_ms: 10, usage: 'every' });
    const { streamId } = await client.initiateChatStream(initiateRequest({ text }));
    const watch = new Watch();
    const ends = watch.follow(client, streamId);
    await watch.saw('textDelta');
    const upstream = await model.nextRequest();
    const { chatStream } = await client.cancelChatStream({ streamId, reason: 'enough' });
    assert.equal(chatStream?.status, CANCELLED);
    assert.equal(await upstream.ended, 'aborted');
    await ends;
    const end = watch.end();
    assert.ok((end.usage?.outputTokens ?? 0) > 0, 'no cancel without its usage');
    await tailrace.stop();
  });

  test('a cancel when no worker process exists ends the chat, and no restart revives the cancelled', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    const env = { TAILRACE_NATS_URL: natsUrl(nats.access), OPENAI_BASE_URL: model.url };
    const start = (roles: string) => startTailraceProcess({ ...env, TAILRACE_ROLES: roles });
    await using adapter = await nats.open();
    const running = chatKey('running');
    const queued = chatKey('queued');
    {
      await using api = await start('api');
      const client = grpcClient(api.url);
      await using worker = await startTailraceProcess({
        ...env,
        TAILRACE_ROLES: 'worker',
        TAILRACE_WORKER_SLOTS: '1',
      });
      const text = scripted({ fault: 'endless', interval_ms: 10 });
      for (const { streamId } of [running, queued]) {
        await client.initiateChatStream(initiateRequest({ streamId, text }));
        // The first is in the worker's hands, so that the other waits.
        if (streamId === running.streamId) {
          await until('the call of the model', () => model.active === 1);
        }
      }
      await worker.killTree();
      for (const { streamId } of [running, queued]) {
        const { chatStream } = await client.cancelChatStream({ streamId });
        assert.equal(chatStream?.status, CANCELLED, streamId);
      }
      await api.killTree();
    }
    const pid = nats.server.pid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await until('NATS to be started again', () => nats.server.pid() !== pid && adapter.connected());

    const before = await Promise.all(
      [running, queued].map((chat) => assertTrueLog(adapter.log, chat)),
    );
    await using _api = await start('api');
    await using _worker = await start('worker');
    // What the dead worker never acknowledged is handed out again, and so may be all the rest.
    const nc = await nats.bare();
    await until('every command to be acknowledged', async () => {
      const answer = await nc.request('$JS.API.CONSUMER.INFO.COMMANDS.work-5');
      const info = answer.json<{ num_ack_pending: number; num_pending: number }>();
      return info.num_ack_pending === 0 && info.num_pending === 0;
    });
    assert.equal(model.requests.length, 1, 'the one call, before the cancel');
    const after = await Promise.all(
      [running, queued].map((chat) => assertTrueLog(adapter.log, chat)),
    );
    assert.deepEqual(after, before);
  });
});
