// Law 9 where Tailrace runs the tools: what a turn said and what several calls came to at once is more than
// one record may hold, and is a finished step all the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import {
  MAX_CHAT_TOOL_RESULT_CHARS,
  MAX_EVENT_BYTES,
  MAX_TOOL_CALLS_PER_TURN,
  MAX_TOOL_INPUT_CHARS,
  MAX_TOOL_RESULT_CHARS,
  MAX_TOOL_USE_ID_CHARS,
  TOOL_CALLS_AT_ONCE,
} from '../../src/chat/limits.ts';
import { AnswerSink } from '../../src/worker/answer/answer-sink.ts';
import type { LogWriter } from '../../src/worker/log/log-writer.ts';
import { assertTrueLog, chatKey, runWorker, untilOver } from '../support/chats/chat-fixtures.ts';
import { claimedWriter, firstTurn } from '../support/chats/claims.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { callThem, ownTool, startWithTools } from '../support/chats/own-tools.ts';
import { memoryLog } from '../support/chats/memory-log.ts';
import { watchedLog } from '../support/chats/watch.ts';

/** A character of the most bytes that a UTF-16 unit may take. */
const WIDE = '水';
const COMPLETED = { kind: 'completed', stopReason: StopReason.END_TURN } as const;

/** The result of one call, as a worker pushes it. */
function pushResult(writer: LogWriter, index: number): void {
  const id = `call${index}`;
  writer.push({
    case: 'blockStarted',
    value: { index, kind: BlockKind.TOOL_RESULT, turn: 1, id },
  });
  const content = [{ block: { case: 'text' as const, value: WIDE.repeat(MAX_TOOL_RESULT_CHARS) } }];
  const value = { toolUseId: id, content, isError: false };
  writer.push({
    case: 'blockStopped',
    value: { index, content: { block: { case: 'toolResult', value } } },
  });
}

test('law 9: results that are there at once outgrow no record, and the last one finishes their step', async () => {
  const log = watchedLog(memoryLog());
  const chat = chatKey();
  const { writer, mark } = await claimedWriter(log, chat);
  const steps = Array.from({ length: TOOL_CALLS_AT_ONCE }, (_, i) => {
    pushResult(writer, i);
    return writer.step();
  });
  const settled = await Promise.all(steps);
  assert.deepEqual(new Set(settled.map(({ type }) => type)), new Set(['stored']));
  const own = log.appends.slice(1);
  const largest = Math.max(...own.map(({ data }) => data.length));
  assert.ok(largest < MAX_EVENT_BYTES * 0.9, `a record has ${largest} bytes`);
  assert.ok(
    own.every(({ data }) => data.length > 0),
    'no record is written for nothing',
  );
  const tail = await log.tail(chat);
  assert.equal(tail?.status.mark.stepSequence, mark.lastSequence + 2 * TOOL_CALLS_AT_ONCE);
  assert.equal(
    (await writer.end(COMPLETED, new AnswerSink(writer, firstTurn(true)).finish(COMPLETED))).type,
    'stored',
  );
  await assertTrueLog(log, chat);
});

test('law 9: once the results of a chat have reached their bound, the model is told so instead of answered', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const tool = ownTool('document_search', () => Promise.resolve('a'.repeat(MAX_TOOL_RESULT_CHARS)));
  await using _worker = runWorker(adapter, model, { tools: [tool] });
  const chat = await startWithTools(adapter, ['document_search']);
  const most = MAX_CHAT_TOOL_RESULT_CHARS / MAX_TOOL_RESULT_CHARS;
  const ids = Array.from({ length: most }, (_, i) => `call${i}`);
  callThem(await model.nextCall(), Object.fromEntries(ids.map((id) => [id, 'document_search'])));
  callThem(await model.nextCall(), { beyond: 'document_search' });
  const last = await model.nextCall();
  const result = last.call.messages.at(-1)?.content[0]?.block;
  assert.ok(result?.case === 'toolResult');
  assert.equal(result.value.isError, true);
  const [said] = result.value.content;
  assert.ok(said?.block.case === 'text');
  assert.match(said.block.value, /have answered 4194304 characters, the most .* was not made/);
  assert.equal(tool.calls.length, most);
  last.finish();
  await untilOver(adapter.log, chat);
  await assertTrueLog(adapter.log, chat);
});

for (const stream of [true, false]) {
  test(`law 9: neither does a turn that calls our tools while the log is away, stream=${stream}`, async () => {
    const log = watchedLog(memoryLog());
    const chat = chatKey();
    const { writer } = await claimedWriter(log, chat, { correlationId: 'ア'.repeat(256) });
    const release = log.hold();
    const sink = new AnswerSink(writer, firstTurn(stream));
    while (sink.pressure() === undefined) {
      sink.text(WIDE.repeat(50_000));
      sink.thinking('c');
    }
    for (let call = 0; call < MAX_TOOL_CALLS_PER_TURN; call++) {
      sink.toolUse(call, WIDE.repeat(MAX_TOOL_USE_ID_CHARS - 3) + call, WIDE.repeat(128));
      sink.toolInput(call, WIDE.repeat(MAX_TOOL_INPUT_CHARS / MAX_TOOL_CALLS_PER_TURN));
    }
    sink.finish({ kind: 'tools' });
    const stepping = writer.step();
    release();
    assert.equal((await stepping).type, 'stored');
    const largest = Math.max(...log.appends.map(({ data }) => data.length));
    assert.ok(largest < MAX_EVENT_BYTES * 0.9, `a record has ${largest} bytes`);
    const marks = log.appends.slice(1).map(({ mark }) => mark?.kind);
    assert.equal(marks.pop(), 'claim', 'the last record is the step');
    assert.deepEqual(new Set(marks), new Set([undefined]), 'what is before it is none yet');
  });
}
