// An api process is killed between each two steps of start, cancel and delete. What it had promised
// nobody, is or is not; what had begun is finished by whoever is left.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import {
  assertTrueLog,
  chatKey,
  initiate,
  initiateRequest,
  runControlLoop,
  runWorker,
  startChat,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import type { ChatClient } from '../support/clients.ts';
import { grpcClient } from '../support/clients.ts';
import { promptModel } from '../support/chats/hand-model.ts';
import { startNats, type TestNats } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { startStepProxy, type Step } from '../support/processes/step-proxy.ts';
import { startTestApi } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { HANGS_MS, until, within } from '../support/until.ts';
import { startModelServer } from '../model-server/model-server.ts';

const { PENDING, PROCESSING, CANCELLED } = ChatStreamStatus;

/** Makes the call at an api process that is killed at the step. */
async function dieAt(
  nats: TestNats,
  step: Step,
  call: (client: ChatClient) => Promise<unknown>,
): Promise<void> {
  await using model = await startModelServer();
  await using proxy = await startStepProxy(nats.access.url);
  const { user, password } = nats.access;
  await using api = await startTailraceProcess({
    TAILRACE_NATS_URL: proxy.url.replace('://', `://${user}:${password}@`),
    TAILRACE_ROLES: 'api',
    OPENAI_BASE_URL: model.url,
  });
  const reached = proxy.reached(step);
  // However its client calls it, the caller is not answered.
  const refusal = refused(call(grpcClient(api.url)));
  await within(HANGS_MS, `step ${step.when} ${step.nth}`, reached);
  await api.killTree();
  await refusal;
}

function steps(count: number): Step[] {
  return [
    { nth: 1, when: 'before' },
    ...Array.from({ length: count }, (_, i): Step => ({ nth: i + 1, when: 'after' })),
  ];
}

const begun = ({ when }: Step): boolean => when === 'after';

async function statusOf(client: ChatClient, { streamId }: ChatKey): Promise<unknown> {
  return (await client.getChatStream({ streamId })).chatStream?.status;
}

describe('api dead between each two steps', { concurrency: true }, () => {
  test('api dead between each two steps of start: there is the chat or there is none', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    for (const step of steps(1)) {
      const streamId = `start-${step.when}-${step.nth}`;
      const request = initiateRequest({ streamId });
      await dieAt(nats, step, (client) => client.initiateChatStream(request));
      const start = await adapter.inbox.start(chatKey(streamId));
      assert.equal(start !== undefined, begun(step));
      const { created } = await initiate(adapter, { streamId });
      assert.equal(created, !begun(step), 'the same call again finds it, or makes it');
    }
    await using _worker = runWorker(adapter, promptModel(['here']));
    for (const step of steps(1)) {
      const chat = chatKey(`start-${step.when}-${step.nth}`);
      await untilOver(adapter.log, chat);
      assert.equal((await assertTrueLog(adapter.log, chat)).text, 'here');
    }
  });

  test('api dead between each two steps of cancel: the chat goes on or ends as cancelled', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    await using api = await startTestApi(adapter);
    const client = grpcClient(api.url);
    const cases = ['queued', 'running'].flatMap((kind) => steps(1).map((step) => ({ kind, step })));
    for (const { kind, step } of cases) {
      const chat = await startChat(adapter, { streamId: `${kind}-${step.when}` });
      if (kind === 'running') await claimedWriter(adapter.log, chat);
      const { streamId } = chat;
      await dieAt(nats, step, (dying) => dying.cancelChatStream({ streamId }));
      await using _loop = await whoeverIsLeft(nats);
      if (begun(step)) {
        await untilOver(adapter.log, chat);
        await assertTrueLog(adapter.log, chat);
        assert.equal(await statusOf(client, chat), CANCELLED);
      } else {
        const status = kind === 'queued' ? PENDING : PROCESSING;
        assert.equal(await statusOf(client, chat), status);
      }
      await client.cancelChatStream({ streamId });
      assert.equal(await statusOf(client, chat), CANCELLED, 'the same call again');
    }
  });

  test('api dead between each two steps of delete: the chat is there, or gone and all of it erased', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    await using api = await startTestApi(adapter);
    const client = grpcClient(api.url);
    // Its command, the end, the tombstone, the erasure of the log, the erasure of the commands.
    for (const step of steps(5)) {
      const chat = await startChat(adapter, { streamId: `delete-${step.when}-${step.nth}` });
      const { streamId } = chat;
      await dieAt(nats, step, (dying) => dying.deleteChatStream({ streamId }));
      await using _loop = await whoeverIsLeft(nats);
      if (!begun(step)) {
        assert.equal(await statusOf(client, chat), PENDING);
        await client.deleteChatStream({ streamId });
      }
      const gone = await refused(client.getChatStream({ streamId }));
      assert.equal(gone.reason, 'STREAM_NOT_FOUND');
      await until('all of it to be erased', () => isErased(adapter, chat));
      const again = await refused(client.initiateChatStream(initiateRequest({ streamId })));
      assert.equal(again.reason, 'STREAM_ID_RETIRED');
    }
  });
});

/** From the death on: had it been there before, a slow api would find its steps done by it. */
async function whoeverIsLeft(nats: TestNats): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  stack.use(runControlLoop(stack.use(await nats.open('left'))));
  return stack.move();
}

async function isErased(nats: NatsAdapter, chat: ChatKey): Promise<boolean> {
  const { records } = await nats.log.page(chat, 0, 1_000);
  const [only] = records;
  const tombstone = records.length === 1 && only?.mark?.kind === 'tombstone';
  return tombstone && (await nats.inbox.start(chat)) === undefined;
}
