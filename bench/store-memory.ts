// `npm run store-memory [-- 20000 100000]`: what nats-server holds in memory for each stored chat. Chats of
// four small records (a start; claim, answer and end), written as Tailrace writes them; resident memory
// before, after, and after a restart of the server.
import { setTimeout as sleep } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { ChatStreamStatus } from '../gen/tailrace/v1/chat_stream_pb.ts';
import { RUN_TIMEOUT_MS } from '../src/chat/limits.ts';
import type { StatusMark } from '../src/chat/ports/event-log.ts';
import { openNats } from '../src/nats/adapter.ts';
import { createNatsNodes } from '../test/chaos/nats-nodes.ts';
import { SILENT, temporaryFolder } from '../test/support/processes/nats.ts';
import { memoryMibOf } from './processes.ts';

const counts = process.argv.slice(2).map(Number);
const PARALLEL = 500;
const REQUEST = Buffer.alloc(300, 'r');
const ANSWER = Buffer.alloc(200, 'a');
/** The server gives memory that it does not need back in its own time. */
const SETTLE_MS = 8_000;

for (const chats of counts.length > 0 ? counts : [20_000, 100_000]) await measure(chats);

async function measure(chats: number): Promise<void> {
  using folder = temporaryFolder();
  const [node] = await createNatsNodes(1, folder.path, (_, said) => console.error(said));
  if (node === undefined) return;
  await using server = node.member;
  await server.start();
  await using nats = await openNats({
    servers: [node.url],
    name: 'store-memory',
    replicas: 1,
    store: { maxBytes: undefined, diskFreeBytes: undefined },
    logger: SILENT,
  });
  const before = memoryMibOf(server.pid());
  const started = performance.now();
  let left = chats;
  const writer = async (): Promise<void> => {
    while (left-- > 0) {
      const chat = { tenant: 'default', streamId: randomUUID() };
      const meta = {
        appendId: randomUUID(),
        createdAtMs: Date.now(),
        expiresAtMs: Date.now() + 86_400_000,
        correlationId: '',
        traceparent: '',
        model: 'test-model',
        runTimeoutMs: RUN_TIMEOUT_MS,
        requestHash: 'f'.repeat(64),
        metadata: {},
        reason: '',
        results: 0,
      };
      await nats.inbox.publish({ chat, verb: 'start', priority: 5, meta, data: REQUEST }, 0);
      let last = 0;
      for (const kind of ['claim', undefined, 'end'] as const) {
        const mark = kind === undefined ? undefined : markOf(kind);
        const append = { appendId: `${meta.appendId}-${last}`, data: ANSWER, mark };
        const outcome = await nats.log.append(chat, last, append);
        if (outcome.type !== 'stored') throw new Error(`an append was ${outcome.type}`);
        last = outcome.storeSequence;
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, writer));
  const seconds = (performance.now() - started) / 1_000;
  const atOnce = memoryMibOf(server.pid());
  await sleep(SETTLE_MS);
  const after = memoryMibOf(server.pid());
  await server.stop();
  await server.start();
  await sleep(SETTLE_MS);
  const restarted = memoryMibOf(server.pid());
  const each = (mib: number): string => `${Math.round(((mib - before) * 1024 * 1024) / chats)} B`;
  console.log(
    `| ${chats} | ${before.toFixed(0)} | ${atOnce.toFixed(0)} (${each(atOnce)} each) | ${after.toFixed(0)} (${each(after)}) | ${restarted.toFixed(0)} (${each(restarted)}) | ${Math.round((chats * 4) / seconds)} records/s |`,
  );
}

function markOf(kind: StatusMark['kind']): StatusMark {
  return {
    kind,
    status: kind === 'end' ? ChatStreamStatus.COMPLETED : ChatStreamStatus.PROCESSING,
    attempt: 1,
    tries: 1,
    stepSequence: 1,
    command: 1,
    owner: '01234567-89ab-cdef-0123-456789abcdef',
    startedAtMs: Date.now(),
    results: 0,
    waitRecord: 0,
    waitingSinceMs: 0,
    waitedMs: 0,
    deadlineMs: 0,
    runTimeoutMs: RUN_TIMEOUT_MS,
    firstSequence: 1,
    lastSequence: 1,
    createdAtMs: Date.now(),
    expiresAtMs: Date.now() + 86_400_000,
    correlationId: '',
    model: 'test-model',
    priority: 5,
  };
}
