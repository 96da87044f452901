// Law 2 where a chat waits for its client's tools: commands that come again, callers that disagree, and
// one continuation for each results record, whoever publishes it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Delivery, WorkQueue } from '../../src/chat/ports/commands.ts';
import { ChatError } from '../../src/chat/errors.ts';
import type { EventLog } from '../../src/chat/ports/event-log.ts';
import {
  assertTrueLog,
  casesOf,
  eventsOf,
  recordsOf,
  runWorker,
  startCommandOf,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';
import { watchAnswers } from '../support/chats/watch.ts';
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

async function refusalOf(call: Promise<unknown>): Promise<ChatError> {
  const error: unknown = await call.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  assert.ok(error instanceof ChatError, 'the call was refused');
  return error;
}

/** A queue that keeps the deliveries of starts to itself until they are released. */
interface HeldStarts {
  readonly queue: WorkQueue;
  readonly hand: (delivery: Delivery) => void;
  /** Hands them to the worker of this queue, as deliveries that are not their first. */
  readonly release: (to: HeldStarts) => void;
}

function withoutStarts(queue: WorkQueue): HeldStarts {
  const kept: Delivery[] = [];
  let pass: (delivery: Delivery) => void = () => undefined;
  return {
    hand: (delivery) => pass(delivery),
    queue: {
      ...queue,
      receiveWork: (onDelivery) => {
        pass = onDelivery;
        return queue.receiveWork((delivery) => {
          if (delivery.command.verb === 'start') kept.push(delivery);
          else onDelivery(delivery);
        });
      },
    },
    release: (to) => {
      for (const delivery of kept.splice(0)) to.hand({ ...delivery, deliveries: 2 });
    },
  };
}

test('law 2: a worker that comes to client tools lets go of the chat and acknowledges its start', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const model = handModel();
  await using worker = runWorker(adapter, model, { slots: 1 });
  const chat = await startAwaiting(adapter);
  const start = await startCommandOf(adapter.inbox, chat);
  callTools(await model.nextCall(), 'a', 'b');
  assert.equal((await answers.next('ack')).command, start.sequence);
  await until('the slot to be free', () => worker.running() === 0);
  const tail = await untilKind(adapter, chat, 'wait');
  assert.equal(tail.status.mark.status, ChatStreamStatus.PROCESSING);
  assert.equal(tail.status.mark.tries, 0, 'the step is finished');
  assert.equal(tail.status.mark.stepSequence, tail.lastSequence);
  const other = await startAwaiting(adapter);
  const second = await model.nextCall();
  second.sink.text('another chat has the slot');
  second.finish();
  await untilOver(adapter.log, other);
  assert.equal(
    eventsOf(await recordsOf(adapter.log, chat)).at(-1)?.payload.case,
    'toolResultsRequested',
  );
});

test('law 2: a start that comes again after a wait is acknowledged, and nothing is claimed', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const chat = await waitingChat(adapter);
  const before = await recordsOf(adapter.log, chat);
  const start = await startCommandOf(adapter.inbox, chat);
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  assert.equal((await answers.next('ack')).command, start.sequence);
  assert.equal(model.begun(), 0);
  assert.deepEqual(await recordsOf(adapter.log, chat), before);
});

test('law 2: a start that comes again behind the results is left alone, the continue takes the chat on', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const answers = await watchAnswers(await nats.bare());
  const chat = await waitingChat(adapter);
  await submitAndDie(adapter, chat, { call_1: 'result' });
  const start = await startCommandOf(adapter.inbox, chat);
  const model = handModel();
  await using _worker = runWorker(adapter, model);
  assert.equal((await answers.next('ack')).command, start.sequence);
  assert.equal(model.begun(), 0);
  await submit(adapter, chat, { call_1: 'result' });
  const call = await model.nextCall();
  call.sink.text('done');
  call.finish();
  await untilOver(adapter.log, chat);
  assert.equal((await assertTrueLog(adapter.log, chat)).text, 'done');
});

for (const where of ['the same worker', 'another worker'] as const) {
  test(`law 2: a start redelivered while a continue runs is acknowledged and changes nothing: ${where}`, async () => {
    await using nats = await startNats();
    await using adapter = await nats.open();
    await using other = await nats.open('other');
    const answers = await watchAnswers(await nats.bare());
    const chat = await waitingChat(adapter);
    const start = await startCommandOf(adapter.inbox, chat);
    const model = handModel();
    const held = withoutStarts(adapter.work);
    await using _worker = runWorker({ log: adapter.log, work: held.queue }, model);
    await submit(adapter, chat, { call_1: 'result' });
    const call = await model.nextCall();
    call.sink.text('in the middle');
    const idle = handModel();
    const second = withoutStarts(other.work);
    await using _second = runWorker({ log: other.log, work: second.queue }, idle);
    held.release(where === 'the same worker' ? held : second);
    assert.equal((await answers.next('ack')).command, start.sequence);
    assert.equal(idle.begun(), 0);
    call.finish();
    await untilOver(adapter.log, chat);
    const { text, events } = await assertTrueLog(adapter.log, chat);
    assert.equal(text, 'in the middle');
    assert.equal(casesOf(events).filter((kind) => kind === 'attemptStarted').length, 1);
  });
}

test('law 2: a worker whose view lacks the results of its continue reads again, and never drops it', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await waitingChat(adapter);
  const before = await adapter.log.tail(chat);
  let old = 3;
  const log: EventLog = {
    ...adapter.log,
    tail: (of) => (old-- > 0 ? Promise.resolve(before) : adapter.log.tail(of)),
  };
  await submit(adapter, chat, { call_1: 'result' });
  const model = handModel();
  const held = withoutStarts(adapter.work);
  await using _worker = runWorker({ log, work: held.queue }, model);
  const call = await model.nextCall();
  assert.ok(old < 0, 'it had read old views before');
  call.sink.text('done');
  call.finish();
  await untilOver(adapter.log, chat);
});

test('law 2: of two callers with different results for one call the second is refused by what the log shows', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  for (let round = 0; round < 20; round++) {
    const chat = await waitingChat(one);
    const outcomes = await Promise.allSettled([
      submit(one, chat, { call_1: 'first' }),
      submit(two, chat, { call_1: 'second' }),
    ]);
    assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    const refused = outcomes.find((outcome) => outcome.status === 'rejected');
    const reason: unknown = refused?.reason;
    assert.ok(reason instanceof ChatError && reason.reason === 'NOT_WAITING_FOR_TOOL_RESULTS');
    const kept = eventsOf(await recordsOf(one.log, chat)).flatMap(({ payload }) =>
      payload.case === 'toolResultsReceived' ? payload.value.results : [],
    );
    assert.equal(kept.length, 1);
    assert.equal(await continuesOf(await nats.bare(), chat), 1);
  }
});

test('law 2: two callers with the same results are both answered, and there is one continuation', async () => {
  await using nats = await startNats();
  await using one = await nats.open('one');
  await using two = await nats.open('two');
  const nc = await nats.bare();
  for (let round = 0; round < 20; round++) {
    const chat = await waitingChat(one, { ids: ['a', 'b'] });
    await Promise.all([
      submit(one, chat, { a: '1' }),
      submit(two, chat, { a: '1', b: '2' }),
      submit(one, chat, { b: '2' }),
    ]);
    assert.equal((await one.log.tail(chat))?.status.mark.kind, 'results');
    assert.equal(await continuesOf(nc, chat), 1);
  }
});

test('law 2: two sweeps, one continuation', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const nc = await nats.bare();
  const chats = await Promise.all(Array.from({ length: 10 }, () => waitingChat(adapter)));
  for (const chat of chats) await submitAndDie(adapter, chat, { call_1: 'result' });
  await using _first = await runSweep(adapter);
  await using _second = await runSweep(other);
  const model = handModel();
  await using _worker = runWorker(adapter, model, { slots: chats.length });
  for (const _ of chats) {
    const call = await model.nextCall();
    call.sink.text('done');
    call.finish();
  }
  for (const chat of chats) {
    await untilOver(adapter.log, chat);
    await assertTrueLog(adapter.log, chat);
    assert.equal(await continuesOf(nc, chat), 1);
  }
  assert.equal(model.begun(), chats.length);
});

test('law 2: results that the chat does not wait for are refused whole, and nothing is stored', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await waitingChat(adapter, { ids: ['a', 'b'] });
  const before = await recordsOf(adapter.log, chat);
  const refused = await refusalOf(submit(adapter, chat, { a: '1', x: '2' }));
  assert.equal(refused.reason, 'NOT_WAITING_FOR_TOOL_RESULTS');
  assert.match(refused.message, /"x"/);
  assert.deepEqual(await recordsOf(adapter.log, chat), before);
});
