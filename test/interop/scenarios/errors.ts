// Every class of error, with its details as the client tells them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { RETRY_MS } from '../world.ts';
import { asking, says, type Scenario, start } from './scenario.ts';

const TOO_LARGE_CHARS = 9 * 1024 * 1024;

export const ERRORS: readonly Scenario[] = [
  {
    name: 'INVALID_ARGUMENT, each field',
    run: async ({ client, world }) => {
      const to = { url: world.url };
      const request = {
        messages: [{ role: 'ROLE_USER', content: [{ text: 'a' }, {}] }],
        temperature: 3,
        topP: 2,
      };
      says(
        await client.refused(to, 'InitiateChatStream', { request }),
        { code: 'INVALID_ARGUMENT', reason: 'INVALID_REQUEST' },
        ['request.messages[0].content[1]', 'request.temperature', 'request.top_p'],
      );
      const error = await client.refused(to, 'InitiateChatStream', {
        request: asking({ text: ['x'] }, { model: 'gpt-9' }),
      });
      says(
        error,
        { code: 'INVALID_ARGUMENT', reason: 'UNKNOWN_MODEL' },
        error.violations.map(({ field }) => field),
      );
      assert.match(error.message, /test-model, test-model-small/);
    },
  },
  {
    name: 'NOT_FOUND',
    run: async ({ client, world }) => {
      const to = { url: world.url };
      const wanted = {
        code: 'NOT_FOUND',
        reason: 'STREAM_NOT_FOUND',
        metadata: { stream_id: 'nobody' },
      };
      says(await client.refused(to, 'GetChatStream', { streamId: 'nobody' }), wanted);
      says(await client.observe(to, 'nobody').failed(), wanted);
    },
  },
  {
    name: 'ALREADY_EXISTS',
    run: async (stage) => {
      const streamId = await start(stage, { text: ['one'] });
      const call = { streamId, request: asking({ text: ['another'] }) };
      const to = { url: stage.world.url };
      says(await stage.client.refused(to, 'InitiateChatStream', call), {
        code: 'ALREADY_EXISTS',
        reason: 'STREAM_ID_TAKEN',
      });
    },
  },
  {
    name: 'FAILED_PRECONDITION',
    run: async (stage) => {
      const { client, world } = stage;
      const streamId = await start(stage, { text: ['no tools'] });
      const results = [{ toolUseId: 'call_1', content: [{ text: 'x' }] }];
      says(await client.refused({ url: world.url }, 'SubmitToolResults', { streamId, results }), {
        code: 'FAILED_PRECONDITION',
        reason: 'NOT_WAITING_FOR_TOOL_RESULTS',
      });
    },
  },
  {
    name: 'OUT_OF_RANGE',
    run: async (stage) => {
      const to = { url: stage.world.url };
      const streamId = await start(stage, { text: ['short'] });
      const { cursor } = await stage.client.observe(to, streamId).ended();
      const beyond = stage.client.observe(to, streamId, { afterSequence: cursor + 1 });
      const error = await beyond.failed();
      says(error, { code: 'OUT_OF_RANGE', reason: 'CURSOR_BEYOND_END' });
      assert.equal(error.metadata['latest_sequence'], String(cursor));
    },
  },
  {
    name: 'RESOURCE_EXHAUSTED: too large',
    run: async ({ client, world }) => {
      const request = {
        messages: [{ role: 'ROLE_USER', content: [{ text: 'x'.repeat(TOO_LARGE_CHARS) }] }],
      };
      const error = await client.refused({ url: world.url }, 'InitiateChatStream', { request });
      says(error, { code: 'RESOURCE_EXHAUSTED', reason: 'REQUEST_TOO_LARGE' });
      assert.ok(Number(error.metadata['max_bytes']) > 0);
    },
  },
  {
    name: 'RESOURCE_EXHAUSTED with RetryInfo',
    run: async ({ client, world }) => {
      const to = { url: world.edge };
      says(await client.refused(to, 'DeleteChatStream', { streamId: 's' }), {
        code: 'RESOURCE_EXHAUSTED',
        reason: 'QUEUE_FULL',
        metadata: { max_queued: '10000' },
        retryAfterMs: RETRY_MS,
      });
    },
  },
  {
    name: 'UNAUTHENTICATED',
    run: async ({ client, world }) => {
      const { url } = world.guarded;
      const missing = { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING' };
      says(await client.refused({ url }, 'GetChatStream', { streamId: 's' }), missing);
      says(await client.observe({ url }, 's').failed(), missing);
      const wrong = { url, token: 'wrong' };
      says(await client.refused(wrong, 'GetChatStream', { streamId: 's' }), {
        code: 'UNAUTHENTICATED',
        reason: 'TOKEN_UNKNOWN',
      });
      says(await client.refused(world.guarded, 'GetChatStream', { streamId: 's' }), {
        code: 'NOT_FOUND',
      });
    },
  },
  {
    name: 'PERMISSION_DENIED',
    run: async ({ client, world }) => {
      const to = { url: world.edge };
      const wanted = { code: 'PERMISSION_DENIED', reason: 'PERMISSION_DENIED' };
      says(await client.refused(to, 'CancelChatStream', { streamId: 's' }), wanted);
      says(await client.observe(to, 'denied').failed(), wanted);
    },
  },
  {
    name: 'UNAVAILABLE with RetryInfo',
    run: async ({ client, world }) => {
      const call = { streamId: `interop-${randomUUID()}`, request: asking({ text: ['x'] }) };
      const error = await client.refused(world.guarded, 'InitiateChatStream', call);
      says(error, { code: 'UNAVAILABLE', reason: 'MODELS_UNAVAILABLE' });
      assert.ok(error.retryAfterMs > 0, JSON.stringify(error));
    },
  },
  {
    name: 'DEADLINE_EXCEEDED',
    run: async (stage) => {
      const { client, world } = stage;
      // Silent for longer than a client may need to get to the call.
      const streamId = await start(stage, { text: ['late'], first_ms: 20_000 });
      const request = { streamId, timeout: '20s' };
      says(await client.refused({ url: world.url }, 'WaitChatStream', request, 200), {
        code: 'DEADLINE_EXCEEDED',
      });
      await client.call({ url: world.url }, 'CancelChatStream', { streamId });
    },
  },
];

/** For clients that bring a helper: it waits as the server asks. */
export const HELPED: readonly Scenario[] = [
  {
    name: 'RetryInfo is waited out',
    run: async ({ client, world }) => {
      const startMs = performance.now();
      const observed = client.observe({ url: world.edge }, `busy-${randomUUID()}-0`);
      await observed.ended();
      assert.ok(performance.now() - startMs >= RETRY_MS);
    },
  },
];
