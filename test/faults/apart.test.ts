// A chat that has lost its worker may be what ended it. It goes on in a process of its own, so that a
// request that kills its worker ends nobody but itself. Side by side: most of it is waiting for claims
// of the dead to lapse.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import { APART_PROCESSES, MAX_ATTEMPTS } from '../../src/chat/limits.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { scripted, startModelServer, type ModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { assertTrueLog, cancel, startChat, untilOver } from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import { startNats, type TestNats } from '../support/processes/nats.ts';
import { LITTLE_MEMORY, startPoison } from '../support/processes/poison.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import {
  isAlive,
  startTailraceProcess,
  type TailraceProcess,
} from '../support/processes/tailrace-process.ts';
import { HANGS_MS, until, within } from '../support/until.ts';

const TOKENS = 30;
const GOES_APART = 'a chat that lost its worker goes on in a process of its own';
const DIED = 'the process that ran a chat apart died';

function startWorkerProcess(
  nats: TestNats,
  model: ModelServer,
  env: Readonly<Record<string, string>> = {},
): Promise<TailraceProcess> {
  return startTailraceProcess({
    TAILRACE_NATS_URL: natsUrl(nats.access),
    TAILRACE_ROLES: 'worker',
    OPENAI_BASE_URL: model.url,
    ...env,
  });
}

function start(nats: NatsAdapter, script: ScriptInput): Promise<ChatKey> {
  return startChat(nats, { text: scripted(script) });
}

/** As workers leave it that died: one attempt more and it is over. */
async function atItsLastAttempt(nats: NatsAdapter, script: ScriptInput): Promise<ChatKey> {
  const chat = await start(nats, script);
  for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt++) {
    await claimedWriter(nats.log, chat, { owner: `dead-${attempt}` });
  }
  return chat;
}

async function assertWhole(nats: NatsAdapter, chat: ChatKey): Promise<number> {
  const { status } = await untilOver(nats.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED, chat.streamId);
  const { text } = await assertTrueLog(nats.log, chat);
  assert.equal(text.trim().split(' ').length, TOKENS);
  return status.mark.attempt;
}

async function untilActive(model: ModelServer, calls: number): Promise<void> {
  await until(`${calls} calls of the model`, () => model.active === calls);
}

/** Stream id to process id. */
function ranApart({ log }: TailraceProcess): Map<string, number> {
  const lines = log.filter((line) => line.includes(GOES_APART));
  return new Map(
    lines.map((line) => {
      const said = JSON.parse(line) as { readonly stream_id: string; readonly apart_pid: number };
      return [said.stream_id, said.apart_pid];
    }),
  );
}

function linesWith({ log }: TailraceProcess, text: string): number {
  return log.filter((line) => line.includes(text)).length;
}

describe('a chat that lost its worker', { concurrency: true }, () => {
  test('a request that kills its worker before it is decoded ends in ERROR after three processes, and its neighbours go on', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    await using adapter = await nats.open();
    const env = { NODE_OPTIONS: LITTLE_MEMORY };
    await using first = await startWorkerProcess(nats, model, env);
    // Half of each neighbour's answer is there when the worker dies.
    const fault = { fault: 'silence', after: TOKENS / 2, times: 1 } as const;
    const neighbours = await Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        start(adapter, { tokens: TOKENS, id: `${i}`, ...fault }),
      ),
    );
    await untilActive(model, neighbours.length);
    await until('all to have said half', async () => {
      const tails = await Promise.all(neighbours.map((chat) => adapter.log.tail(chat)));
      return tails.every((tail) => (tail?.lastSequence ?? 0) > 2);
    });
    const [like] = neighbours;
    assert.ok(like !== undefined);
    const poison = await startPoison(adapter, like);
    const { code, signal } = await within(HANGS_MS, 'the death of the worker', first.exited);
    assert.ok(code !== 0 || signal !== null, 'it was no clean end');

    await using second = await startWorkerProcess(nats, model, env);
    const { status } = await untilOver(adapter.log, poison);
    assert.equal(status.mark.status, ChatStreamStatus.ERROR);
    assert.equal(status.mark.attempt, MAX_ATTEMPTS);
    const { events } = await assertTrueLog(adapter.log, poison);
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'error');
    assert.equal(end.value.failure?.reason, FailureReason.ATTEMPTS_EXHAUSTED);
    assert.equal(linesWith(second, DIED), MAX_ATTEMPTS - 1, 'two more, each on its own');
    for (const chat of neighbours) {
      assert.equal(await assertWhole(adapter, chat), 2, 'charged for the first death alone');
    }
    assert.equal((await second.stop()).code, 0, 'the second worker lives');
  });

  test('the last attempt runs in a process of its own, as many at once as there may be', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    await using adapter = await nats.open();
    const paced = { tokens: TOKENS, interval_ms: 50 };
    const chats = await Promise.all(
      Array.from({ length: APART_PROCESSES + 2 }, (_, i) =>
        atItsLastAttempt(adapter, { ...paced, id: `${i}` }),
      ),
    );
    await using worker = await startWorkerProcess(nats, model);
    const most = { processes: 0, calls: 0 };
    const over = Promise.all(chats.map((chat) => assertWhole(adapter, chat)));
    const looking = setInterval(() => {
      most.processes = Math.max(most.processes, worker.children().length);
      most.calls = Math.max(most.calls, model.active);
    }, 100);
    const attempts = await over.finally(() => clearInterval(looking));
    assert.deepEqual(new Set(attempts), new Set([MAX_ATTEMPTS]));
    assert.ok(most.processes <= APART_PROCESSES && most.calls <= APART_PROCESSES);
    assert.equal(linesWith(worker, GOES_APART), chats.length);
    // Another process is only started while all that there are have a chat; else one that is free takes it.
    assert.equal(new Set(ranApart(worker).values()).size, APART_PROCESSES);
    const gone = (): boolean => worker.children().length === 0;
    await until('the processes to be gone, with nothing more to do', gone);
  });

  test('it is handed back when its worker stops or is killed, and that counts as no attempt', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    await using adapter = await nats.open();
    const chat = await atItsLastAttempt(adapter, {
      tokens: TOKENS,
      fault: 'silence',
      after: TOKENS / 2,
    });
    const leave = async (end: (worker: TailraceProcess) => Promise<unknown>): Promise<void> => {
      await using worker = await startWorkerProcess(nats, model);
      await untilActive(model, 1);
      const children = worker.children();
      assert.equal(children.length, 1);
      await end(worker);
      const { tries } = await until('the hand-back', async () => {
        const mark = (await adapter.log.tail(chat))?.status.mark;
        return mark?.kind === 'hand-back' && mark;
      });
      assert.equal(tries, MAX_ATTEMPTS - 1, 'the last attempt is still to come');
      await until('its process to be gone', () => !children.some(isAlive));
    };
    await leave((worker) => worker.stop());
    await leave((worker) => worker.killAlone());
  });

  test('a cancel reaches it, and one that hangs is ended', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    await using adapter = await nats.open();
    const cancelled = await atItsLastAttempt(adapter, { fault: 'hang', id: 'cancelled' });
    const hanging = await atItsLastAttempt(adapter, { fault: 'hang', id: 'hanging' });
    await using worker = await startWorkerProcess(nats, model);
    await untilActive(model, 2);
    const { status } = await cancel(adapter, cancelled, 'enough');
    assert.equal(status, ChatStreamStatus.CANCELLED);
    await untilActive(model, 1);
    const child = ranApart(worker).get(hanging.streamId);
    assert.ok(child !== undefined && worker.children().includes(child));
    process.kill(child, 'SIGSTOP');
    const tail = await untilOver(adapter.log, hanging);
    assert.equal(tail.status.mark.status, ChatStreamStatus.ERROR);
    assert.ok(!isAlive(child));
  });
});
