// Law 7 where a chat goes on from its client's tools: what a dead process left out is made up for, and a
// finished step is never asked again. Some wait for the real ack wait of 15 s, so they run side by side.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChatStreamStatus, FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { MAX_ATTEMPTS } from '../../src/chat/limits.ts';
import type { EventLog } from '../../src/chat/ports/event-log.ts';
import type { Apart } from '../../src/worker/apart.ts';
import { RunStop } from '../../src/worker/run-stop.ts';
import {
  assertTrueLog,
  casesOf,
  runWorker,
  startCommandOf,
  untilOver,
  untilText,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter, openBlock, say, untilStored } from '../support/chats/claims.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import {
  callTools,
  continuesOf,
  runSweep,
  startAwaiting,
  submit,
  submitAndDie,
  untilKind,
  waitingChat,
} from '../support/chats/waiting-chat.ts';
import { forkWorker, numbers } from '../support/processes/worker-child.ts';

describe('law 7, continued', { concurrency: true }, () => {
  test('law 7: a worker that lost its run and lives does not hold the chat from the process that is to run it apart', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    await using process = await nats.open('process');
    const chat = await waitingChat(adapter);
    await submit(adapter, chat, { call_1: 'result' });
    // Its past cannot be read, so the first run ends without a word, in a worker that lives.
    let reads = 0;
    const log: EventLog = {
      ...adapter.log,
      page: (...asked) =>
        reads++ === 0 ? Promise.reject(new Error('once')) : adapter.log.page(...asked),
    };
    const asked: boolean[] = [];
    const apart: Apart = {
      room: () => true,
      close: () => undefined,
      // As a worker in such a process does before it claims.
      run: async ({ command, onAnswer }) => {
        const owner = (await process.log.tail(chat))?.status.mark.owner ?? '';
        asked.push(await process.work.askOwner(owner, chat, command.sequence));
        onAnswer({ what: 'ack' });
        return true;
      },
    };
    const { work } = adapter;
    await using _worker = runWorker({ log, work }, handModel(), { apart });
    await until('the chat to go apart', () => asked.length > 0);
    assert.deepEqual(asked, [false]);
  });

  test('law 7: a worker killed in the continued run is replaced, and the finished step is not asked again', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const options = { access: nats.access, slots: 4, words: 10_000, everyMs: 20, callsTool: true };
    await using dead = await forkWorker(options);
    const chat = await startAwaiting(adapter);
    await untilKind(adapter, chat, 'wait');
    await submit(adapter, chat, { call_1: 'result' });
    await untilText(adapter.log, chat, '5 ');
    await dead.kill();
    assert.equal(dead.calls(), 2);
    await using next = await forkWorker({ ...options, words: 10, everyMs: 1 });
    await untilOver(adapter.log, chat);
    const { events, text } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, numbers(10));
    assert.equal(next.calls(), 1, 'only the step that was lost');
    const cases = casesOf(events);
    assert.equal(cases.filter((kind) => kind === 'toolResultsRequested').length, 1);
    assert.equal(events.at(-1)?.attempt, 3);
    const started = events.filter(({ payload }) => payload.case === 'attemptStarted');
    const received = events.find(({ payload }) => payload.case === 'toolResultsReceived');
    for (const { payload } of started) {
      assert.ok(payload.case === 'attemptStarted');
      assert.equal(payload.value.supersedesAfterSequence, received?.sequence);
    }
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'completed');
    assert.equal(end.value.usage?.modelCalls, 2);
    assert.equal(await continuesOf(await nats.bare(), chat), 1);
  });

  test('law 7: results whose caller died before the continue are gone on from by the sweep', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const chat = await waitingChat(adapter);
    await submitAndDie(adapter, chat, { call_1: 'result' });
    assert.equal((await adapter.inbox.last(chat))?.verb, 'start');
    await using _sweep = await runSweep(adapter);
    const model = handModel();
    await using _worker = runWorker(adapter, model);
    const call = await model.nextCall();
    const { messages } = call.call;
    assert.deepEqual(
      messages.map(({ content }) => content[0]?.block.case),
      ['text', 'toolUse', 'toolResult'],
    );
    call.sink.text('done');
    call.finish();
    await untilOver(adapter.log, chat);
    assert.equal((await assertTrueLog(adapter.log, chat)).text, 'done');
    assert.equal(await continuesOf(await nats.bare(), chat), 1);
  });

  test('law 7: a caller that repeats its results after a death publishes the continue itself', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const chat = await waitingChat(adapter);
    await submitAndDie(adapter, chat, { call_1: 'result' });
    const answer = await submit(adapter, chat, { call_1: 'result' });
    assert.equal(answer.status, ChatStreamStatus.PROCESSING);
    assert.equal((await adapter.inbox.last(chat))?.verb, 'continue');
    await submit(adapter, chat, { call_1: 'result' });
    assert.equal(await continuesOf(await nats.bare(), chat), 1);
  });

  test('law 7: tries are counted since the last finished step', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const model = handModel();
    const chat = await waitingChat(adapter, { mark: { tries: MAX_ATTEMPTS } });
    await submit(adapter, chat, { call_1: 'result' });
    await using _worker = runWorker(adapter, model);
    const call = await model.nextCall();
    const claim = (await adapter.log.tail(chat))?.status.mark;
    assert.equal(claim?.tries, 1);
    call.sink.text('done');
    call.finish();
    const { status } = await untilOver(adapter.log, chat);
    assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
  });

  test('law 7: a continue whose every worker is lost ends the chat, what its finished steps said kept', async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    const chat = await waitingChat(adapter);
    await submit(adapter, chat, { call_1: 'result' });
    const before = (await adapter.log.tail(chat))?.status;
    const command = (await adapter.inbox.last(chat))?.sequence ?? 0;
    const { writer } = await claimedWriter(adapter.log, chat, {
      ...before?.mark,
      kind: 'claim',
      attempt: 2,
      tries: MAX_ATTEMPTS,
      command,
      owner: 'gone',
      results: before?.storeSequence ?? 0,
      waitingSinceMs: 0,
      firstSequence: (before?.mark.lastSequence ?? 0) + 1,
      lastSequence: (before?.mark.lastSequence ?? 0) + 1,
    });
    openBlock(writer, 1);
    say(writer, 'half', 1);
    await untilStored(adapter.log, chat, (before?.mark.lastSequence ?? 0) + 3);
    const model = handModel();
    await using _worker = runWorker(adapter, model);
    await untilOver(adapter.log, chat);
    assert.equal(model.begun(), 0);
    const { events } = await assertTrueLog(adapter.log, chat);
    const end = events.at(-1)?.payload;
    assert.ok(end?.case === 'error');
    assert.equal(end.value.failure?.reason, FailureReason.ATTEMPTS_EXHAUSTED);
  });

  test('law 7: a continued run that is handed back goes on elsewhere from its results', async () => {
    await using nats = await startNats();
    await using one = await nats.open('one');
    await using two = await nats.open('two');
    const model = handModel();
    const first = runWorker(one, model);
    const chat = await startAwaiting(one);
    callTools(await model.nextCall(), 'call_1');
    await untilKind(one, chat, 'wait');
    await submit(one, chat, { call_1: 'result' });
    const call = await model.nextCall();
    call.sink.text('half an ');
    await untilText(one.log, chat, 'half an');
    await first.stop();
    const why = await call.aborted;
    assert.ok(why instanceof RunStop && why.why === 'hand-back');
    const again = handModel();
    await using _second = runWorker(two, again);
    const other = await again.nextCall();
    assert.deepEqual(
      other.call.messages.map(({ content }) => content[0]?.block.case),
      ['text', 'toolUse', 'toolResult'],
    );
    other.sink.text('the whole answer');
    other.finish();
    await untilOver(one.log, chat);
    const { text, records } = await assertTrueLog(one.log, chat);
    assert.equal(text, 'the whole answer');
    const claims = records.filter(({ mark }) => mark?.kind === 'claim');
    const last = claims.at(-1)?.mark;
    const { sequence } = await startCommandOf(one.inbox, chat);
    assert.ok(last !== undefined && last.command > sequence, 'the continue drives it');
    assert.equal(last.tries, 1, 'a clean hand-back costs no try');
    await until('both workers to be idle', () => again.running() === 0);
  });
});
