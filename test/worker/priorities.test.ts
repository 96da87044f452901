// The order in which queued chats get slots, on a real NATS: exact while the slots are full, with a share
// for whoever would starve.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ModelClient } from '../../src/chat/ports/model.ts';
import type { NatsAdapter } from '../../src/nats/adapter.ts';
import { chatKey, runWorker, startChat, untilOver } from '../support/chats/chat-fixtures.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { TEST_MODEL_INFO } from '../support/chats/test-model.ts';
import { until } from '../support/until.ts';

async function queue(nats: NatsAdapter, priorities: readonly number[]): Promise<string[]> {
  const names: string[] = [];
  for (const [i, priority] of priorities.entries()) {
    const text = `${priority} as number ${i}`;
    await startChat(nats, { streamId: `p${priority}-${i}`, text, request: { priority } });
    names.push(text);
  }
  return names;
}

function saidTo(call: Parameters<ModelClient['generate']>[0]): string {
  const block = call.messages[0]?.content[0]?.block;
  return block?.case === 'text' ? block.value : '';
}

test('a free slot goes to the oldest chat of the best priority, exactly, while the slots are full', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await startChat(adapter, { text: 'first' });
  await using _worker = runWorker(adapter, model, { slots: 1 });
  let running = await model.nextCall();
  const names = await queue(adapter, [7, 3, 5, 0, 9, 3, 0, 5]);
  const order = [3, 6, 1, 5, 2, 7, 0, 4].map((i) => names[i]);
  const served: string[] = [];
  for (const _ of names) {
    running.sink.text('ok');
    running.finish();
    running = await model.nextCall();
    served.push(saidTo(running.call));
  }
  running.finish();
  assert.deepEqual(served, order);
});

test('one slot in ten goes by turn to what would starve, also in the middle', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await queue(adapter, [...Array.from({ length: 45 }, () => 0), 9, 9, 9, 4, 4, 4]);
  await using _worker = runWorker(adapter, model, { slots: 1 });
  const served: number[] = [];
  for (let i = 0; i < 40; i++) {
    const running = await model.nextCall();
    served.push(running.call.request.priority ?? -1);
    running.sink.text('ok');
    running.finish();
  }
  const nine = Array.from({ length: 9 }, () => 0);
  assert.deepEqual(served, [...nine, 4, ...nine, 9, ...nine, 4, ...nine, 9]);
});

test('two workers under constant load serve in the documented shares together', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using other = await nats.open('other');
  const served: number[] = [];
  // Each call ends when another has begun, so that the slots are always full.
  const ends: (() => void)[] = [];
  const model: ModelClient = {
    listModels: () => Promise.resolve([TEST_MODEL_INFO]),
    generate: async (call, sink, signal) => {
      served.push(call.request.priority ?? -1);
      if (ends.length >= 3) ends.shift()?.();
      await new Promise<void>((resolve) => {
        ends.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      signal.throwIfAborted();
      sink.text('ok');
      return { stopReason: StopReason.END_TURN };
    },
  };
  await queue(adapter, [
    ...Array.from({ length: 120 }, () => 0),
    ...Array.from({ length: 20 }, () => 9),
  ]);
  await using _one = runWorker(adapter, model, { slots: 2 });
  await using _two = runWorker(other, model, { slots: 2 });
  await until('a hundred calls', () => served.length >= 100);
  const last = served.slice(0, 100).filter((priority) => priority === 9).length;
  assert.ok(last >= 8 && last <= 12, `${last} of 100 for the last priority`);
  const drain = setInterval(() => ends.shift()?.(), 1);
  await until('all of them', () => served.length === 140);
  await untilOver(adapter.log, chatKey('p9-139'));
  clearInterval(drain);
});
