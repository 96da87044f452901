// With nothing configured a real model answers: the small one that set-up brings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { initiateRequest } from '../support/chat-fixtures.ts';
import { grpcClient } from '../support/clients.ts';
import { temporaryFolder } from '../support/nats.ts';
import { needs } from '../support/needs.ts';
import { startTailraceProcess } from '../support/tailrace-process.ts';
import { Watch, watchToEnd } from '../support/watch-chat.ts';

test(
  'with nothing configured the embedded model answers, with true usage; a cancel stops it',
  { skip: needs('embedded model') },
  async () => {
    using folder = temporaryFolder();
    await using tailrace = await startTailraceProcess({ TAILRACE_DATA_DIR: folder.path });
    const client = grpcClient(tailrace.url);
    const { models } = await client.listModels({});
    assert.equal(models.length, 1);
    const asked = { temperature: 0, seed: 7n, maxTokens: 12 };
    const ask = initiateRequest({ text: 'What is a river?', request: asked });
    const { streamId } = await client.initiateChatStream(ask);
    const watch = await watchToEnd(client, streamId);
    const end = watch.end();
    assert.equal(end.status, ChatStreamStatus.COMPLETED);
    assert.equal(end.stopReason, StopReason.MAX_TOKENS);
    assert.equal(end.usage?.outputTokens, 12);
    assert.ok((end.usage.inputTokens ?? 0) >= 5);
    assert.match(watch.text(), /\w+ \w+/);

    const long = await client.initiateChatStream(
      initiateRequest({
        text: 'Tell me a very long story about a river.',
        request: { maxTokens: 1_000 },
      }),
    );
    const story = new Watch();
    const ends = story.follow(client, long.streamId);
    await story.saw('textDelta');
    const { chatStream } = await client.cancelChatStream({ streamId: long.streamId });
    assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
    await ends;
    assert.equal(story.end().status, ChatStreamStatus.CANCELLED);
    const children = tailrace.children().length;
    assert.equal(children, 2, 'nats-server and the model');
    assert.equal((await tailrace.stop()).code, 0);
  },
);
