// Law 7 where Tailrace runs the tools: each finished step is in the log, and whoever takes over goes on
// from the last one. Nothing whose result is there runs again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Message } from '../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import type { EventLog } from '../../src/chat/ports/event-log.ts';
import { MAX_TOOL_NAME_CHARS, MAX_TOOL_RESULT_CHARS } from '../../src/chat/limits.ts';
import { ToolFailure } from '../../src/chat/ports/tool.ts';
import {
  assertTrueLog,
  cancel,
  casesOf,
  eventsOf,
  recordsOf,
  runControlLoop,
  runWorker,
  startCommandOf,
  untilOver,
} from '../support/chats/chat-fixtures.ts';
import { claimedWriter } from '../support/chats/claims.ts';
import { handModel } from '../support/chats/hand-model.ts';
import { startNats } from '../support/processes/nats.ts';
import { callThem, ownTool, pushCalls, startWithTools } from '../support/chats/own-tools.ts';
import { until } from '../support/until.ts';
import { submit, untilKind } from '../support/chats/waiting-chat.ts';

/** Tool use id to what the model was told of it. */
function resultsIn(messages: readonly Message[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { role, content } of messages) {
    for (const { block } of content) {
      if (block.case !== 'toolResult') continue;
      assert.equal(role, Role.USER);
      const [text] = block.value.content;
      const said = text?.block.case === 'text' ? text.block.value : '';
      found[block.value.toolUseId] = block.value.isError === true ? `Error: ${said}` : said;
    }
  }
  return found;
}

function resultIds(events: readonly Event[]): string[] {
  return events.flatMap(({ payload }) => {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    return block?.case === 'toolResult' ? [block.value.toolUseId] : [];
  });
}

test('law 7: calls of our tools are answered in the log, at once where there are several, and the next turn has them', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const both = Promise.withResolvers<void>();
  const search = ownTool('document_search', async ({ of }) => {
    if (search.calls.length === 2) both.resolve();
    await both.promise;
    return `found ${String(of)}`;
  });
  await using worker = runWorker(adapter, model, { tools: [search] });
  const chat = await startWithTools(adapter, ['document_search']);
  const first = await model.nextCall();
  assert.deepEqual(
    first.call.tools.map(({ name, description }) => [name, description]),
    [['document_search', 'What document_search does.']],
  );
  first.sink.text('Let me see. ');
  callThem(first, { a: 'document_search', b: 'document_search' });
  const second = await model.nextCall();
  assert.deepEqual(resultsIn(second.call.messages), { a: 'found a', b: 'found b' });
  assert.equal(second.call.turn, 2);
  second.sink.text('It is there.');
  second.finish();
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
  const { events, text } = await assertTrueLog(adapter.log, chat);
  assert.equal(text, 'Let me see. It is there.');
  assert.equal(search.calls.length, 2);
  const kinds = events.flatMap(({ payload }) =>
    payload.case === 'blockStarted' ? [payload.value.kind] : [],
  );
  const { TEXT, SERVER_TOOL_USE: CALL, TOOL_RESULT: RESULT } = BlockKind;
  assert.deepEqual(kinds, [TEXT, CALL, CALL, RESULT, RESULT, TEXT]);
  await until('the slot to be free', () => worker.running() === 0);
});

test('law 7: who takes over runs no call whose result is in the log, repeats only what may be repeated, and says so of the rest', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const chat = await startWithTools(adapter, ['document_search', 'web_fetch', 'table_query']);
  const { sequence, meta } = await startCommandOf(adapter.inbox, chat);
  const { writer } = await claimedWriter(adapter.log, chat, {
    command: sequence,
    owner: 'gone',
    createdAtMs: meta.createdAtMs,
    expiresAtMs: meta.expiresAtMs,
    tries: 3,
  });
  const names = {
    answered: 'document_search',
    reading: 'document_search',
    writing: 'web_fetch',
    untouched: 'table_query',
    beside: 'document_search',
  } as const;
  pushCalls(writer, names);
  await writer.step();
  const kind = BlockKind.TOOL_RESULT;
  const begin = (index: number, id: string): void =>
    writer.push({ case: 'blockStarted', value: { index, kind, turn: 1, id } });
  begin(5, 'answered');
  const content = [{ block: { case: 'text' as const, value: 'from before' } }];
  const value = { toolUseId: 'answered', content, isError: false };
  writer.push({
    case: 'blockStopped',
    value: { index: 5, content: { block: { case: 'toolResult', value } } },
  });
  begin(6, 'writing');
  // In the step of another call.
  begin(7, 'beside');
  assert.equal((await writer.step()).type, 'stored');
  begin(8, 'reading');
  await until(
    'all of it to be stored',
    async () => (await adapter.log.tail(chat))?.lastSequence === 21,
  );

  const model = handModel();
  const answer = ({ of }: Readonly<Record<string, unknown>>): Promise<string> =>
    Promise.resolve(`again ${String(of)}`);
  const search = ownTool('document_search', answer);
  const fetched = ownTool('web_fetch', answer, { idempotent: false });
  const table = ownTool('table_query', answer, { idempotent: false });
  await using _worker = runWorker(adapter, model, { tools: [search, fetched, table] });
  const next = await model.nextCall();
  const { writing, ...others } = resultsIn(next.call.messages);
  assert.deepEqual(others, {
    answered: 'from before',
    reading: 'again reading',
    untouched: 'again untouched',
    beside: 'again beside',
  });
  assert.match(
    writing ?? '',
    /^Error: This call was under way when its worker was lost\. It may or may not/,
  );
  assert.deepEqual(search.calls, [{ of: 'reading' }, { of: 'beside' }]);
  assert.deepEqual(fetched.calls, []);
  assert.deepEqual(table.calls, [{ of: 'untouched' }]);
  next.finish();
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED, 'the tries were counted anew');
  const { events } = await assertTrueLog(adapter.log, chat);
  const ids = resultIds(events);
  assert.equal(new Set(ids).size, ids.length, 'each call has one result');
});

test('law 7: a run reads each record of its log once, however many steps it has', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const read: number[] = [];
  const log: EventLog = {
    ...adapter.log,
    page: async (chat, from, maxBytes) => {
      const page = await adapter.log.page(chat, from, maxBytes);
      read.push(...page.records.map(({ storeSequence }) => storeSequence));
      return page;
    },
  };
  const tool = ownTool('web_fetch', () => Promise.resolve('well'));
  await using _worker = runWorker({ ...adapter, log }, model, { tools: [tool] });
  const chat = await startWithTools(adapter, ['web_fetch']);
  const rounds = ['a', 'b', 'c', 'd', 'e'];
  for (const id of rounds) callThem(await model.nextCall(), { [id]: 'web_fetch' });
  const last = await model.nextCall();
  const told = Object.fromEntries(rounds.map((id) => [id, 'well']));
  assert.deepEqual(resultsIn(last.call.messages), told, 'the model has all of it all the same');
  assert.equal(new Set(read).size, read.length);
  last.finish();
  await untilOver(adapter.log, chat);
});

test('law 7: a call that must not be repeated is in the log before it is made', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const begun: (string | undefined)[] = [];
  const chat = await startWithTools(adapter, ['web_fetch']);
  const tool = ownTool(
    'web_fetch',
    async () => {
      const last = eventsOf(await recordsOf(adapter.log, chat)).at(-1)?.payload;
      begun.push(last?.case === 'blockStarted' ? last.value.id : undefined);
      return 'done';
    },
    { idempotent: false },
  );
  await using _worker = runWorker(adapter, model, { tools: [tool] });
  callThem(await model.nextCall(), { a: 'web_fetch' });
  const next = await model.nextCall();
  assert.deepEqual(begun, ['a']);
  next.finish();
  await untilOver(adapter.log, chat);
});

test('what a tool comes to is told to the model and never ends the run', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const tool = ownTool('document_search', ({ of }) => {
    if (of === 'refused') return Promise.reject(new ToolFailure('There is nothing of that.'));
    if (of === 'broken') return Promise.reject(new Error('a fault of ours'));
    return Promise.resolve(of === 'giant' ? 'x'.repeat(MAX_TOOL_RESULT_CHARS + 1) : 'well');
  });
  await using _worker = runWorker(adapter, model, { tools: [tool] });
  const chat = await startWithTools(adapter, ['document_search'], { maxUses: 7 });
  callThem(await model.nextCall(), {
    refused: 'document_search',
    broken: 'document_search',
    giant: 'document_search',
    well: 'document_search',
    no_json: ['document_search', '{"of":'],
    unfit: ['document_search', '{"of":1}'],
    empty: ['document_search', '{}'],
    too_many: 'document_search',
    unknown: 'calculator',
  });
  const next = await model.nextCall();
  const { giant = '', ...told } = resultsIn(next.call.messages);
  assert.ok(giant.startsWith('x'.repeat(MAX_TOOL_RESULT_CHARS)));
  assert.match(giant, /\[Cut off here: the result has 65537 characters, .* at most 65536\./);
  assert.deepEqual(told, {
    refused: 'Error: There is nothing of that.',
    broken: 'Error: document_search failed inside. Trying again may or may not help.',
    well: 'well',
    no_json: 'Error: The input is no JSON. Give a JSON object that fits the schema.',
    unfit: 'Error: The input does not fit the schema: /of must be string.',
    empty: "Error: The input does not fit the schema: the input must have required property 'of'.",
    too_many:
      'Error: document_search may be called 7 times in this chat, and was. Go on without it.',
    unknown: 'Error: There is no tool "calculator". There are: document_search.',
  });
  next.sink.text('So be it.');
  next.finish();
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
  await assertTrueLog(adapter.log, chat);
});

test('a tool’s name that no model server takes back ends no run: it is unknown, and goes back as they take names', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  await using _worker = runWorker(adapter, model, {
    tools: [ownTool('document_search', () => Promise.resolve('well'))],
  });
  const chat = await startWithTools(adapter, ['document_search']);
  callThem(await model.nextCall(), {
    odd: 'functions.find it\n',
    long: 'x'.repeat(MAX_TOOL_NAME_CHARS + 1),
  });
  const next = await model.nextCall();
  const { odd, long } = resultsIn(next.call.messages);
  assert.equal(odd, 'Error: There is no tool "functions.find it\n". There are: document_search.');
  assert.match(long ?? '', /^Error: There is no tool "x{128}"\./);
  const names = next.call.messages.flatMap(({ content }) =>
    content.flatMap(({ block }) => (block.case === 'toolUse' ? [block.value.name] : [])),
  );
  assert.deepEqual(names, ['functions_find_it_', 'x'.repeat(64)]);
  next.sink.text('So be it.');
  next.finish();
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
});

test('law 8: a cancel stops the tools of a chat as well', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const stopped = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const tool = ownTool('web_fetch', (_, signal) => {
    begun.resolve();
    signal.addEventListener('abort', () => stopped.resolve());
    return new Promise<string>(() => undefined);
  });
  await using worker = runWorker(adapter, model, { tools: [tool] });
  await using _control = runControlLoop(adapter);
  const chat = await startWithTools(adapter, ['web_fetch']);
  callThem(await model.nextCall(), { a: 'web_fetch' });
  await begun.promise;
  const { status } = await cancel(adapter, chat);
  assert.equal(status, ChatStreamStatus.CANCELLED);
  await stopped.promise;
  await until('the slot to be free', () => worker.running() === 0);
  const { events } = await assertTrueLog(adapter.log, chat);
  assert.equal(events.at(-1)?.payload.case, 'cancelled');
  assert.equal(model.begun(), 1);
});

test('a turn that calls our tools and the client’s runs ours, then waits for the client, and goes on with both', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const tool = ownTool('document_search', () => Promise.resolve('ours'));
  await using _worker = runWorker(adapter, model, { tools: [tool] });
  const chat = await startWithTools(adapter, ['document_search'], {
    look: true,
    awaitToolResults: true,
  });
  callThem(await model.nextCall(), { a: 'document_search', b: 'look' });
  const tail = await untilKind(adapter, chat, 'wait');
  assert.equal(tail.status.mark.status, ChatStreamStatus.PROCESSING);
  const asked = eventsOf(await recordsOf(adapter.log, chat)).at(-1)?.payload;
  assert.ok(asked?.case === 'toolResultsRequested');
  assert.deepEqual(
    asked.value.toolUses.map(({ id }) => id),
    ['b'],
  );
  await submit(adapter, chat, { b: 'theirs' });
  const next = await model.nextCall();
  assert.deepEqual(resultsIn(next.call.messages), { a: 'ours', b: 'theirs' });
  assert.equal(tool.calls.length, 1);
  next.finish();
  await untilOver(adapter.log, chat);
  assert.ok(casesOf((await assertTrueLog(adapter.log, chat)).events).includes('completed'));
});

test('calls that no further turn could use are not made: the chat ends by its limit of turns', async () => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  const model = handModel();
  const tool = ownTool('document_search', () => Promise.resolve('well'));
  await using _worker = runWorker(adapter, model, { tools: [tool] });
  const chat = await startWithTools(adapter, ['document_search'], {
    request: { limits: { maxTurns: 2 } },
  });
  callThem(await model.nextCall(), { a: 'document_search' });
  callThem(await model.nextCall(), { b: 'document_search' });
  await untilOver(adapter.log, chat);
  const { events } = await assertTrueLog(adapter.log, chat);
  const end = events.at(-1)?.payload;
  assert.ok(end?.case === 'completed');
  assert.equal(end.value.stopReason, StopReason.TURN_LIMIT);
  assert.deepEqual(tool.calls, [{ of: 'a' }]);
});
