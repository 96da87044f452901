// Deadlines that fall due while every process is down, nats-server too: they are kept by whoever comes
// back, in words, and nothing expires silently.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import { RUN_TIMEOUT_GRACE_MS, RUN_TIMEOUT_MS, START_DEADLINE_MS } from '../../src/chat/limits.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { assertTrueLog, startChat, startedAt, untilOver } from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import { grpcClient } from '../support/clients.ts';
import { embeddedNats, openAdapter, temporaryFolder } from '../support/processes/nats.ts';
import { refused } from '../support/refusal.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';

const DAY_MS = 86_400_000;
/** Due a moment after everything is down; no machine takes that long until it is. */
const DUE_MS = 10_000;
/** After everything is down. */
const SOON_MS = 2_000;
const { ERROR, FAILED } = ChatStreamStatus;
const { START_DEADLINE_EXCEEDED, RUN_TIMEOUT } = FailureReason;

interface Due {
  readonly what: string;
  readonly chat: ChatKey;
  readonly status: ChatStreamStatus;
  readonly reason: FailureReason;
  readonly expired: boolean;
}

/** Called when no process but NATS is there any more. */
async function chatsThatFallDue(nats: NatsAdapter, running: ChatKey): Promise<Due[]> {
  const dueMs = Date.now() + SOON_MS;
  const queued = await startChat(nats, { ttlMs: SOON_MS });
  const late = await startedAt(nats, dueMs - START_DEADLINE_MS, dueMs + DAY_MS);
  const long = await startedAt(nats, dueMs - RUN_TIMEOUT_MS, dueMs + DAY_MS);
  const startedAtMs = dueMs - RUN_TIMEOUT_MS - RUN_TIMEOUT_GRACE_MS;
  await claimedWriter(nats.log, long, { owner: 'dead', startedAtMs });
  const ran = { status: FAILED, reason: RUN_TIMEOUT };
  const waited = { status: ERROR, reason: START_DEADLINE_EXCEEDED };
  return [
    { what: 'its time to live, running', chat: running, ...ran, expired: true },
    { what: 'its time to live, queued', chat: queued, ...waited, expired: true },
    { what: 'its start deadline', chat: late, ...waited, expired: false },
    { what: 'its run deadline', chat: long, ...ran, expired: false },
  ];
}

test('all of it also when every process was down at the moment it was due: expiry, start and run deadline', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  const env = { OPENAI_BASE_URL: model.url, TAILRACE_WORKER_SLOTS: '1' };
  let due: Due[];
  let dueAtMs = 0;
  {
    await using server = await embeddedNats(folder.path);
    await using nats = await openAdapter(server, 'test');
    await using tailrace = await startTailraceProcess({
      ...env,
      TAILRACE_NATS_URL: natsUrl(server),
    });
    const text = scripted({ fault: 'hang' });
    const running = await startChat(nats, { text, ttlMs: DUE_MS });
    dueAtMs = Date.now() + DUE_MS;
    await until('it to run', () => model.active === 1);
    await tailrace.killTree();
    due = await chatsThatFallDue(nats, running);
    dueAtMs = Math.max(dueAtMs, Date.now() + SOON_MS);
    for (const { chat, what } of due) {
      const kind = (await nats.log.tail(chat))?.status.mark.kind;
      assert.notEqual(kind, 'end', `${what} is not over before it is due`);
    }
  }
  await until('all to be due', () => Date.now() > dueAtMs);

  await using server = await embeddedNats(folder.path);
  await using nats = await openAdapter(server, 'test');
  await using tailrace = await startTailraceProcess({ ...env, TAILRACE_NATS_URL: natsUrl(server) });
  const client = grpcClient(tailrace.url);
  for (const { what, chat, status, reason, expired } of due) {
    const tail = await untilOver(nats.log, chat);
    assert.equal(tail.status.mark.status, status, what);
    const { events } = await assertTrueLog(nats.log, chat);
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'error' || end?.case === 'failed', what);
    assert.equal(end.value.failure?.reason, reason, what);
    const { streamId } = chat;
    if (expired) {
      assert.equal((await refused(client.getChatStream({ streamId }))).reason, 'STREAM_NOT_FOUND');
    } else {
      assert.equal((await client.getChatStream({ streamId })).chatStream?.status, status);
    }
  }
  assert.equal(model.requests.length, 1, 'nothing that was overdue ran');
});
