// A chat's life as its callers see it: started, watched, waited for, listed, cancelled, deleted, given results.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { z } from 'zod';
import {
  asking,
  ChatAnswer,
  chatOf,
  ENDLESS,
  isWhole,
  says,
  start,
  StartAnswer,
} from './scenario.ts';
import type { Scenario } from './scenario.ts';

export const LIFE: readonly Scenario[] = [
  {
    name: 'start, and the same again',
    run: async ({ client, world }) => {
      const to = { url: world.url };
      const models = z
        .object({ models: z.array(z.looseObject({ name: z.string() })) })
        .parse(await client.call(to, 'ListModels', {}));
      assert.equal(models.models[0]?.name, 'test-model');
      const streamId = `interop-${randomUUID()}`;
      const metadata = { b: 'Ü', a: '1' };
      const call = { streamId, request: asking({ text: ['hi'] }, { metadata, temperature: 0 }) };
      const first = StartAnswer.parse(await client.call(to, 'InitiateChatStream', call));
      assert.deepEqual(
        [first.streamId, first.created, first.status],
        [streamId, true, 'CHAT_STREAM_STATUS_PENDING'],
      );
      const again = StartAnswer.parse(await client.call(to, 'InitiateChatStream', call));
      assert.deepEqual([again.streamId, again.created], [streamId, false]);
      assert.deepEqual((await chatOf(client, to, streamId))['metadata'], metadata);
    },
  },
  {
    name: 'watch',
    run: async (stage) => {
      const text = ['Grüße, ', '世界', ' 🎉'];
      const streamId = await start(stage, { text, thinking: 3, interval_ms: 5 });
      const end = await stage.client.observe({ url: stage.world.url }, streamId).ended();
      assert.equal(end.text, text.join(''));
      assert.equal(end.stopReason, 'STOP_REASON_END_TURN');
      const { output } = await isWhole(stage, streamId, end);
      assert.equal(output.at(-1)?.text, text.join(''));
    },
  },
  {
    name: 'watch whole blocks (stream=false)',
    run: async (stage) => {
      const streamId = await start(stage, { text: ['a', 'b'] }, { request: { stream: false } });
      const observed = stage.client.observe({ url: stage.world.url }, streamId);
      assert.equal((await observed.ended()).text, 'ab');
      assert.ok(!observed.events.some((event) => event.case === 'textDelta'));
    },
  },
  {
    name: 'wait',
    run: async (stage) => {
      const { client, world } = stage;
      const streamId = await start(stage, { text: ['later'], first_ms: 100 });
      const view = 'CHAT_STREAM_VIEW_FULL';
      const { chatStream } = ChatAnswer.parse(
        await client.call({ url: world.url }, 'WaitChatStream', { streamId, view, timeout: '20s' }),
      );
      assert.equal(chatStream.status, 'CHAT_STREAM_STATUS_COMPLETED');
      assert.deepEqual(chatStream.output, [{ text: 'later' }]);
    },
  },
  {
    name: 'list, in pages and filtered',
    run: async (stage) => {
      const { client, world } = stage;
      const correlation_id = `interop-${randomUUID()}`;
      const ids: string[] = [];
      for (const n of ['0', '1', '2', '3', '4']) {
        const request = { correlation_id, metadata: { n } };
        ids.unshift(await start(stage, { text: ['x'] }, { request }));
      }
      const Page = z.object({
        chatStreams: z.array(z.looseObject({ streamId: z.string() })).default([]),
        nextPageToken: z.string().default(''),
      });
      const list = async (filter: JsonObject) =>
        Page.parse(
          await client.call({ url: world.url }, 'ListChatStreams', {
            correlationId: correlation_id,
            ...filter,
          }),
        );
      const found: string[] = [];
      const sizes: number[] = [];
      let pageToken = '';
      do {
        const page = await list({ pageSize: 2, pageToken });
        found.push(...page.chatStreams.map(({ streamId }) => streamId));
        sizes.push(page.chatStreams.length);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      assert.deepEqual(found, ids, 'newest first');
      assert.deepEqual(sizes, [2, 2, 1]);
      const one = await list({ metadata: { n: '3' } });
      assert.deepEqual(
        one.chatStreams.map(({ streamId }) => streamId),
        [ids[1]],
      );
      assert.deepEqual((await list({ statuses: ['CHAT_STREAM_STATUS_FAILED'] })).chatStreams, []);
    },
  },
  {
    name: 'cancel',
    run: async (stage) => {
      const { client, world } = stage;
      const to = { url: world.url };
      const streamId = await start(stage, ENDLESS);
      const observed = client.observe(to, streamId);
      await observed.reached(5);
      const { chatStream } = ChatAnswer.parse(
        await client.call(to, 'CancelChatStream', { streamId, reason: 'enough' }),
      );
      assert.equal(chatStream.status, 'CHAT_STREAM_STATUS_CANCELLED');
      const end = await observed.ended();
      assert.equal(end.status, 'CHAT_STREAM_STATUS_CANCELLED');
      await isWhole(stage, streamId, end);
      const again = ChatAnswer.parse(await client.call(to, 'CancelChatStream', { streamId }));
      assert.equal(again.chatStream.status, 'CHAT_STREAM_STATUS_CANCELLED');
    },
  },
  {
    name: 'delete while watching',
    run: async (stage) => {
      const { client, world } = stage;
      const to = { url: world.url };
      const streamId = await start(stage, ENDLESS);
      const observed = client.observe(to, streamId);
      await observed.reached(5);
      await client.call(to, 'DeleteChatStream', { streamId });
      says(await observed.failed(), {
        code: 'NOT_FOUND',
        reason: 'STREAM_DELETED',
        metadata: { stream_id: streamId },
      });
      says(await client.refused(to, 'GetChatStream', { streamId }), {
        code: 'NOT_FOUND',
        reason: 'STREAM_NOT_FOUND',
      });
      const call = { streamId, request: asking({ text: ['again'] }) };
      says(await client.refused(to, 'InitiateChatStream', call), {
        code: 'ALREADY_EXISTS',
        reason: 'STREAM_ID_RETIRED',
      });
    },
  },
  {
    name: 'client tools',
    run: async (stage) => {
      const { client, world } = stage;
      const to = { url: world.url };
      const script = {
        text: ['I look. '],
        calls: [
          { id: 'call_1', name: 'look', input: ['{"of":', '"sky"}'] },
          { id: 'call_2', name: 'look' },
        ],
        rounds: [{ text: ['It is blue.'] }],
      };
      const tools = [{ client: { name: 'look', input_schema: '{"type":"object"}' } }];
      const streamId = await start(stage, script, {
        request: { tools },
        call: { awaitToolResults: true },
      });
      const observed = client.observe(to, streamId);
      await observed.saw('toolResultsRequested');
      const chat = await chatOf(client, to, streamId);
      const pending = z
        .array(z.object({ id: z.string(), name: z.string(), input: z.string() }))
        .parse(chat['pendingToolUses']);
      const inputs = pending.map(({ id, input }) => [id, JSON.parse(input) as unknown]);
      assert.deepEqual(inputs, [
        ['call_1', { of: 'sky' }],
        ['call_2', {}],
      ]);
      const results = (...ids: string[]) =>
        ids.map((toolUseId) => ({ toolUseId, content: [{ text: `of ${toolUseId}` }] }));
      says(
        await client.refused(to, 'SubmitToolResults', { streamId, results: results('call_9') }),
        { code: 'FAILED_PRECONDITION', reason: 'NOT_WAITING_FOR_TOOL_RESULTS' },
      );
      await client.call(to, 'SubmitToolResults', { streamId, results: results('call_2') });
      await client.call(to, 'SubmitToolResults', { streamId, results: results('call_1') });
      const end = await observed.ended();
      assert.equal(end.text, 'I look. It is blue.');
      await isWhole(stage, streamId, end);
    },
  },
];
