// What a step of tools costs: from the end of a model's turn to the next call of the model, with a tool that
// takes no time. Two records are stored and the log is read on twice in between. Beside it what a publish costs
// on this machine now, one after the other, and the CPU of this process for a step; 100 chats that step as fast as
// they can are bound by it.
//
//   node bench/tool-steps.ts
import { StopReason } from '../gen/tailrace/v1/chat_stream_pb.ts';
import type { ModelClient } from '../src/chat/ports/model.ts';
import { runWorker, untilOver } from '../test/support/chats/chat-fixtures.ts';
import { startNats } from '../test/support/processes/nats.ts';
import { ownTool, startWithTools } from '../test/support/chats/own-tools.ts';
import { TEST_MODEL_INFO } from '../test/support/chats/test-model.ts';
import { readFindings } from '../src/main/findings.ts';
import { natsPublish } from './calibration.ts';
import { summary } from './stats.ts';

const STEPS = 15;

/** Calls the tool in each turn but the last, and notes what lay between. */
function callingModel(note: (ms: number) => void): ModelClient {
  const endedMs = new Map<string, number>();
  return {
    listModels: () => Promise.resolve([TEST_MODEL_INFO]),
    generate: ({ turn, correlationId, messages }, sink) => {
      const chat = `${correlationId} ${JSON.stringify(messages[0]?.content)}`;
      const before = endedMs.get(chat);
      if (before !== undefined) note(performance.now() - before);
      if (turn > STEPS) {
        endedMs.delete(chat);
        sink.text('done');
        return Promise.resolve({ stopReason: StopReason.END_TURN });
      }
      sink.toolUse(0, `call_${turn}`, 'web_fetch');
      sink.toolInput(0, '{"of":"it"}');
      endedMs.set(chat, performance.now());
      return Promise.resolve({ stopReason: StopReason.TOOL_USE });
    },
  };
}

async function calibrate(): Promise<void> {
  const { natsServer } = readFindings();
  if (natsServer === undefined) throw new Error('There is no nats-server; run npm run setup.');
  const { p50, p99 } = await natsPublish(natsServer, 1_000);
  console.log(`a publish alone: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
}

await calibrate();
for (const chats of [1, 100]) {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const steps: number[] = [];
  const tool = ownTool('web_fetch', () => Promise.resolve('well'));
  await using _worker = runWorker(
    adapter,
    callingModel((ms) => steps.push(ms)),
    {
      tools: [tool],
      slots: 128,
    },
  );
  const rounds = chats === 1 ? 30 : 2;
  const cpu = process.cpuUsage();
  const begunMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    const started = await Promise.all(
      Array.from({ length: chats }, (_, i) =>
        startWithTools(adapter, ['web_fetch'], { text: `${round} ${i}` }),
      ),
    );
    await Promise.all(started.map((chat) => untilOver(adapter.log, chat, 60_000)));
  }
  const { user, system } = process.cpuUsage(cpu);
  const { p50, p99 } = summary(steps);
  const cpuMs = (user + system) / 1_000 / steps.length;
  const perSecond = steps.length / ((performance.now() - begunMs) / 1_000);
  console.log(
    `${chats} chats at once: ${steps.length} steps, p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms; ${cpuMs.toFixed(2)} ms of CPU and ${perSecond.toFixed(0)} a second`,
  );
}
