// A worker as a process of its own, to be killed and paused: connects to NATS and runs chats with a
// model that says numbers in a steady rhythm. Started by forkWorker in worker-child.ts.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ModelClient } from '../../../src/chat/ports/model.ts';
import { runWorker } from '../chats/chat-fixtures.ts';
import { openAdapter } from './nats.ts';
import { ownTool } from '../chats/own-tools.ts';
import { TEST_MODEL_INFO } from '../chats/test-model.ts';
import { recordingLogger } from '../chats/watch.ts';
import type { WorkerMessage, WorkerOptions } from './worker-child.ts';

const tell = (message: WorkerMessage): void => {
  process.send?.(message);
};
const {
  access,
  slots,
  words,
  everyMs,
  callsTool = false,
  ownTool: asked,
} = JSON.parse(process.argv[2] ?? '') as WorkerOptions;

const model: ModelClient = {
  listModels: () => Promise.resolve([TEST_MODEL_INFO]),
  generate: async ({ messages }, sink, signal) => {
    tell({ type: 'call' });
    if (callsTool && messages.length === 1) {
      sink.toolUse(0, 'call_1', asked?.name ?? 'look');
      sink.toolInput(0, '{"of":"it"}');
      return { stopReason: StopReason.TOOL_USE };
    }
    signal.addEventListener('abort', () => tell({ type: 'aborted', why: String(signal.reason) }));
    for (let i = 0; i < words; i++) {
      await sleep(everyMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      sink.text(`${i} `);
    }
    return { stopReason: StopReason.END_TURN };
  },
};

const adapter = await openAdapter(access, `worker ${process.pid}`);
const logger = recordingLogger((line) => tell({ type: 'said', message: line.message }));
const tools =
  asked === undefined
    ? []
    : [
        ownTool(
          asked.name,
          () => {
            // Before anything else can happen to this process.
            appendFileSync(asked.countFile, 'called\n');
            return Promise.resolve('well');
          },
          { idempotent: asked.idempotent },
        ),
      ];
const worker = runWorker(adapter, model, { slots, logger, tools });
tell({ type: 'ready', owner: worker.owner });
process.on('message', () => {
  void worker
    .stop()
    .then(() => adapter[Symbol.asyncDispose]())
    .then(() => process.exit(0));
});
// It never outlives the test.
process.on('disconnect', () => process.exit(1));
