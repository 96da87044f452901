// Processes die, chats do not: killed trees, killed workers, clean stops, orphans. The tests run side
// by side, since most of their time is the wait for a dead worker's claims to lapse.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ACK_WAIT_MS } from '../../src/chat/limits.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import type { ChatClient } from '../support/clients.ts';
import { grpcClient } from '../support/clients.ts';
import { startNats, temporaryFolder } from '../support/processes/nats.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { refusalOf, refused } from '../support/refusal.ts';
import { takenIn } from '../support/chats/taken.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import {
  failedStart,
  isAlive,
  launchTailrace,
  startTailraceProcess,
  type TailraceProcess,
} from '../support/processes/tailrace-process.ts';
import { HANGS_MS, until, within } from '../support/until.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';

const { COMPLETED } = ChatStreamStatus;
/** Ack wait, question to the owner, and a redelivery. */
const RECOVERY_MS = 25_000;

const TOKENS = 60;
const SIX_SLOTS = { TAILRACE_WORKER_SLOTS: '6' };

/**
 * Says a third of its answer and falls silent, however slow the machine is; asked again, says it all.
 * The name tells it from others.
 */
function stuckInTheMiddle(id: string): ScriptInput {
  return { tokens: TOKENS, interval_ms: 10, fault: 'silence', after: TOKENS / 3, times: 1, id };
}

interface Observed {
  readonly streamId: string;
  readonly watch: Watch;
  /** How the attachment ended. */
  readonly ends: Promise<unknown>;
}

async function start(client: ChatClient, script: ScriptInput): Promise<string> {
  const { streamId } = await client.initiateChatStream(initiateRequest({ text: scripted(script) }));
  return streamId;
}

function follow(client: ChatClient, streamId: string, watch = new Watch()): Observed {
  const ends = watch.follow(client, streamId).then(
    () => 'OK',
    (error: unknown) => error,
  );
  return { streamId, watch, ends };
}

/** The whole answer once, whatever died meanwhile: deltas are numbered by the model server. */
function assertWholeAnswer(watch: Watch): void {
  assert.equal(watch.end().status, COMPLETED);
  const numbers = watch
    .text()
    .trim()
    .split(' ')
    .map((word) => Number(word.split(':')[0]));
  assert.deepEqual(
    numbers,
    Array.from({ length: TOKENS }, (_, i) => i),
  );
}

async function resumeAll(client: ChatClient, chats: readonly Observed[]): Promise<void> {
  await Promise.all(
    chats.map(async ({ streamId, watch }) => {
      await watch.follow(client, streamId);
      assertWholeAnswer(watch);
      const fresh = await watchToEnd(client, streamId);
      assert.equal(fresh.bytes(), watch.bytes(), 'who resumed saw what others see, once');
    }),
  );
}

function attemptOf(watch: Watch): number {
  return watch.events.at(-1)?.attempt ?? 0;
}

/** By its worker's clock, which is this one: the test may have slept. */
function takenOverAtMs({ watch }: Observed): number {
  const first = watch.events.find(({ attempt }) => attempt === 2);
  assert.ok(first?.time !== undefined);
  return timestampMs(first.time);
}

/** Those of the chats that are in this worker's hands now. */
function heldBy(worker: TailraceProcess, chats: readonly Observed[]): Observed[] {
  const taken = takenIn(worker.log);
  return chats.filter(
    ({ streamId, watch }) =>
      taken.get(streamId) === attemptOf(watch) && watch.cases().at(-1) !== 'completed',
  );
}

describe('processes die, chats do not', { concurrency: 4 }, () => {
  test('the whole tree is killed in the middle of 12 chats: all end, gapless, hashes true, and who resumes misses and repeats nothing', async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    const env = {
      TAILRACE_DATA_DIR: folder.path,
      OPENAI_BASE_URL: model.url,
      // Four of the twelve are still queued when everything dies.
      TAILRACE_WORKER_SLOTS: '8',
    };
    await using first = await startTailraceProcess(env);
    const client = grpcClient(first.url);
    const startOne = async (script: ScriptInput): Promise<Observed> =>
      follow(client, await start(client, script));
    const chats = await Promise.all(
      Array.from({ length: 8 }, (_, i) => startOne(stuckInTheMiddle(String(i)))),
    );
    await Promise.all(chats.map(({ watch }) => watch.saw('textDelta')));
    const queued = await Promise.all(
      Array.from({ length: 4 }, (_, i) => startOne({ tokens: TOKENS, id: `queued ${i}` })),
    );
    chats.push(...queued);
    await Promise.all(queued.map(({ watch }) => watch.attachedTimes(1)));
    const pids = [first.pid, ...first.children()];
    assert.ok(pids.length >= 2, 'nats-server is a process of its own');
    await first.killTree();
    assert.deepEqual(pids.filter(isAlive), []);
    const ended = await Promise.all(chats.map(({ ends }) => ends));
    assert.ok(
      ended.every((end) => end !== 'OK'),
      'none was told that its chat was over',
    );

    await using second = await startTailraceProcess(env);
    const again = grpcClient(second.url);
    await within(HANGS_MS, 'all ends', resumeAll(again, chats));
    const attempts = chats.map(({ watch }) => watch.events.at(-1)?.attempt ?? 0);
    assert.equal(
      attempts.filter((attempt) => attempt === 2).length,
      8,
      'each was visibly taken over',
    );
    assert.equal((await second.stop()).code, 0);
  });

  test('a killed worker’s chats are taken over within 25 s, a stopped one’s at once, seen through another api', async () => {
    await using nats = await startNats();
    await using model = await startModelServer();
    const env = { TAILRACE_NATS_URL: natsUrl(nats.access), OPENAI_BASE_URL: model.url };
    const api = { ...env, TAILRACE_ROLES: 'api' };
    const work = { ...env, TAILRACE_ROLES: 'worker' };
    // All at once on an empty server: the streams and consumers are made by all of them.
    await using stack = new AsyncDisposableStack();
    const started = await Promise.all(
      [api, api, { ...work, ...SIX_SLOTS }, { ...work, ...SIX_SLOTS }].map(async (each) =>
        stack.use(await startTailraceProcess(each)),
      ),
    );
    const [oneApi, otherApi, stopping, dying] = started;
    assert.ok(oneApi && otherApi && stopping && dying);
    assert.equal(stopping.url, '', 'a worker listens nowhere');

    // Ten chats for two times six slots: each worker has four of them at least.
    const starter = grpcClient(oneApi.url);
    const observer = grpcClient(otherApi.url);
    const chats = await Promise.all(
      Array.from({ length: 10 }, async (_, i) =>
        follow(observer, await start(starter, stuckInTheMiddle(String(i)))),
      ),
    );
    await Promise.all(chats.map(({ watch }) => watch.saw('textDelta')));
    const heir = stack.use(await startTailraceProcess(work));

    const all = (): number => heldBy(stopping, chats).length + heldBy(dying, chats).length;
    await until('both to have said what they took', () => all() === chats.length);
    const handedOver = heldBy(stopping, chats);
    // Stuck until their worker dies; what it takes over from the other is not.
    const lost = heldBy(dying, chats);
    assert.ok(handedOver.length >= 4 && lost.length >= 4);
    const stoppedMs = Date.now();
    const stopped = stopping.stop();
    await Promise.all(handedOver.map(({ watch }) => watch.attempted(2)));
    const handOverMs = Math.max(...handedOver.map(takenOverAtMs)) - stoppedMs;
    assert.ok(handOverMs < ACK_WAIT_MS, `handed over after ${handOverMs} ms`);

    const killedMs = Date.now();
    await dying.killTree();
    await Promise.all(lost.map(({ watch }) => watch.attempted(2)));
    const recoveryMs = Math.max(...lost.map(takenOverAtMs)) - killedMs;
    assert.ok(recoveryMs <= RECOVERY_MS, `recovered after ${recoveryMs} ms`);

    for (const { watch, ends } of chats) {
      assert.equal(await ends, 'OK');
      assertWholeAnswer(watch);
    }
    assert.equal((await stopped).code, 0);
    for (const each of [heir, oneApi, otherApi]) assert.equal((await each.stop()).code, 0);
  });

  test('SIGTERM in the middle: a clean end in a moment; observers are told to come again, and the chats go on after the restart', async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    const env = { TAILRACE_DATA_DIR: folder.path, OPENAI_BASE_URL: model.url };
    await using first = await startTailraceProcess(env);
    const client = grpcClient(first.url);
    const ids = await Promise.all(
      [0, 1, 2, 3].map((i) => start(client, stuckInTheMiddle(String(i)))),
    );
    const chats = ids.map((id) => follow(client, id));
    await Promise.all(chats.map(({ watch }) => watch.saw('textDelta')));
    const waiting = client.waitChatStream({ streamId: ids[0] ?? '' }).then(
      ({ chatStream }) => chatStream?.status,
      (error: unknown) => refusalOf(error).code,
    );
    // Over the same connection, so that the server has the wait when it answers this.
    await client.getChatStream({ streamId: ids[0] ?? '' });

    const pids = [first.pid, ...first.children()];
    const stoppedMs = performance.now();
    const exit = await first.stop();
    const tookMs = performance.now() - stoppedMs;
    assert.deepEqual(exit, { code: 0, signal: null });
    assert.ok(tookMs < ACK_WAIT_MS, `it took ${tookMs} ms`);
    assert.deepEqual(pids.filter(isAlive), [], 'nothing is left behind');
    for (const { ends } of chats) {
      const refusal = refusalOf(await ends);
      assert.equal(refusal.code, 'Unavailable');
      assert.equal(refusal.reason, 'SHUTTING_DOWN');
      assert.ok((refusal.retryMs ?? 0) > 0);
    }
    assert.equal(
      await waiting,
      ChatStreamStatus.PROCESSING,
      'a wait is answered as at its timeout',
    );
    assert.equal(first.log.filter((line) => line.includes('the chat was handed back')).length, 4);
    await model.waitForActive(0);

    await using second = await startTailraceProcess(env);
    const again = grpcClient(second.url);
    await within(ACK_WAIT_MS, 'all ends without a wait for lapsed claims', resumeAll(again, chats));
    // A clean hand-back is no lost attempt.
    for (const { watch } of chats) assert.equal(watch.events.at(-1)?.attempt, 2);
    await second.stop();
  });

  test('a second server on the same data folder refuses and says why, and harms nothing', async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    const env = { TAILRACE_DATA_DIR: folder.path, OPENAI_BASE_URL: model.url };
    await using first = await startTailraceProcess(env);
    const refusal = await failedStart({ env });
    assert.equal(refusal.code, 1);
    assert.match(refusal.said, /is in use by another Tailrace \(process \d+\)/);
    assert.ok(refusal.said.includes(folder.path) && refusal.said.includes('TAILRACE_DATA_DIR'));
    assert.ok(refusal.said.includes(String(first.pid)));
    const client = grpcClient(first.url);
    const watch = await watchToEnd(client, await start(client, {}));
    assert.equal(watch.end().status, COMPLETED);
    await first.stop();
  });

  test('a nats-server that outlived its Tailrace is ended by the next start, and what it stored is there', async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    const env = { TAILRACE_DATA_DIR: folder.path, OPENAI_BASE_URL: model.url };
    await using first = await startTailraceProcess(env);
    const client = grpcClient(first.url);
    const streamId = await start(client, {});
    const seen = await watchToEnd(client, streamId);
    const [orphan] = first.children();
    assert.ok(orphan !== undefined);
    assert.equal(Number(readFileSync(join(folder.path, 'nats/nats-server.pid'), 'utf8')), orphan);
    await first.killAlone();
    assert.ok(isAlive(orphan));

    await using second = await startTailraceProcess(env);
    assert.ok(!isAlive(orphan));
    assert.equal((await second.logged('earlier run'))['nats_server_pid'], orphan);
    const after = await watchToEnd(grpcClient(second.url), streamId);
    assert.equal(after.bytes(), seen.bytes());
    await second.stop();
  });

  test('Ctrl-C, which reaches the whole process group, is as clean as SIGTERM', async () => {
    using folder = temporaryFolder();
    await using model = await startModelServer();
    const env = { TAILRACE_DATA_DIR: folder.path, OPENAI_BASE_URL: model.url };
    await using tailrace = await startTailraceProcess(env, { ownGroup: true });
    const client = grpcClient(tailrace.url);
    const chat = follow(client, await start(client, stuckInTheMiddle('one')));
    await chat.watch.saw('textDelta');
    process.kill(-tailrace.pid, 'SIGINT');
    const exit = await within(HANGS_MS, 'the end', tailrace.exited);
    assert.deepEqual(exit, { code: 0, signal: null });
    assert.ok(tailrace.log.some((line) => line.includes('the chat was handed back')));
    assert.deepEqual(
      tailrace.log.filter((line) => line.includes('"level":"error"')),
      [],
    );
  });

  test('a second signal, as npm sends one after the terminal’s own, does not end a stop that is under way; a third does', async () => {
    await using nats = await startNats();
    await using proxy = await startProxy(nats.access.url);
    await using model = await startModelServer();
    const { user, password } = nats.access;
    await using tailrace = await startTailraceProcess({
      TAILRACE_NATS_URL: proxy.url.replace('://', `://${user}:${password}@`),
      OPENAI_BASE_URL: model.url,
    });
    const client = grpcClient(tailrace.url);
    const chat = follow(client, await start(client, stuckInTheMiddle('one')));
    await chat.watch.saw('textDelta');
    // A stop takes seconds now: the chat cannot be handed back.
    proxy.stall();
    tailrace.signal('SIGINT');
    await tailrace.logged('"stopping"');
    tailrace.signal('SIGINT');
    // It is told, as by a server that goes on stopping.
    assert.equal(refusalOf(await chat.ends).reason, 'SHUTTING_DOWN');
    let over = false;
    void tailrace.exited.then(() => (over = true));
    await until('the end', () => {
      if (!over) tailrace.signal('SIGINT');
      return over;
    });
    assert.deepEqual(await tailrace.exited, { code: 1, signal: null });
    assert.ok(!tailrace.log.some((line) => line.includes('"stopped"')));
  });

  test('a start that waits for NATS says so and can be stopped', async () => {
    await using launched = launchTailrace({
      env: { TAILRACE_NATS_URL: '127.0.0.1:1', OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' },
    });
    await until('the warning', () =>
      launched.log.some((line) => line.includes('NATS does not answer')),
    );
    launched.signal('SIGTERM');
    assert.equal((await within(HANGS_MS, 'the end', launched.exited)).code, 0);
  });

  test('a chat that a queue holds when its server is killed starts after the restart', async () => {
    using folder = temporaryFolder();
    const env = { TAILRACE_DATA_DIR: folder.path };
    await using hung = await startModelServer();
    await using first = await startTailraceProcess({
      ...env,
      OPENAI_BASE_URL: hung.url,
      TAILRACE_WORKER_SLOTS: '1',
    });
    const client = grpcClient(first.url);
    await start(client, { fault: 'hang' });
    await hung.waitForActive(1);
    const queued = await start(client, { tokens: 3 });
    const { chatStream } = await client.getChatStream({ streamId: queued });
    assert.equal(chatStream?.status, ChatStreamStatus.PENDING);
    await first.killTree();

    await using second = await startTailraceProcess({ ...env, OPENAI_BASE_URL: hung.url });
    const watch = await within(HANGS_MS, 'its end', watchToEnd(grpcClient(second.url), queued));
    assert.equal(watch.end().status, COMPLETED);
    assert.equal(watch.events.at(-1)?.attempt, 1);
    await second.killTree();
    assert.equal(
      (await refused(grpcClient(second.url).getChatStream({ streamId: queued }))).code,
      'Unavailable',
    );
  });
});
