// Law 7 where results are paired with calls: models give ids again, also those of a turn that was asked for
// again, and no result may stand behind two calls.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ToolChoiceMode } from '../../gen/tailrace/v1/chat_request_pb.ts';
import type { ContentBlock } from '../../gen/tailrace/v1/content_pb.ts';
import { AnswerFold } from '../../src/chat/fold/answer.ts';
import {
  assertTrueLog,
  eventsOf,
  recordsOf,
  runWorker,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { type HandCall, handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { callThem, ownTool, startWithTools } from '../support/chats/own-tools.ts';
import { submit, untilKind } from '../support/chats/waiting-chat.ts';

/** Calls twice at once, which this chat does not allow. */
function callTwice(call: HandCall, name: string): void {
  try {
    callThem(call, { a: name, b: name });
  } catch (error) {
    call.fail(error);
  }
}

function idsOf(output: readonly ContentBlock[]): {
  readonly calls: string[];
  readonly results: string[];
} {
  return {
    calls: output.flatMap(({ block }) => (block.case === 'toolUse' ? [block.value.id] : [])),
    results: output.flatMap(({ block }) =>
      block.case === 'toolResult' ? [block.value.toolUseId] : [],
    ),
  };
}

test('law 7: an id of a turn that was asked for again is taken: each result stands behind one call', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const tool = ownTool('document_search', () => Promise.resolve('ours'));
  await using _worker = runWorker(adapter, model, { tools: [tool] });
  const chat = await startWithTools(adapter, ['document_search'], {
    look: true,
    awaitToolResults: true,
    maxUses: 1,
    request: { toolChoice: { mode: ToolChoiceMode.AUTO, parallel: false } },
  });
  callTwice(await model.nextCall(), 'document_search');
  callThem(await model.nextCall(), { a: 'document_search' });
  // The same ids once more, in a turn that has results before it.
  callTwice(await model.nextCall(), 'look');
  callThem(await model.nextCall(), { a: 'look' });
  await untilKind(adapter, chat, 'wait');
  const asked = eventsOf(await recordsOf(adapter.log, chat)).at(-1)?.payload;
  assert.ok(asked?.case === 'toolResultsRequested');
  const [waited] = asked.value.toolUses;
  assert.ok(waited !== undefined);
  await submit(adapter, chat, { [waited.id]: 'theirs' });
  const last = await model.nextCall();
  const told = idsOf(last.call.messages.flatMap(({ content }) => content));
  assert.equal(told.calls.length, 2, 'the turns that were asked for again are left out');
  assert.deepEqual(told.results, told.calls);
  last.finish();
  await untilOver(adapter.log, chat);
  const { events } = await assertTrueLog(adapter.log, chat);
  const fold = new AnswerFold();
  for (const event of events) fold.apply(event);
  const { calls, results } = idsOf(fold.output());
  assert.equal(calls.length, 4);
  assert.equal(new Set(calls).size, 4, 'each call has an id of its own');
  assert.equal(new Set(results).size, results.length, 'no result is there twice');
  assert.deepEqual([...fold.serverCalls()], [['document_search', 1]]);
});
