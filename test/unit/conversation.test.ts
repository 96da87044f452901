// Rules across the fields of a request, and the choice of its model: each violation by its path, all of
// them at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { chooseModel } from '../../src/chat/choose-model.ts';
import { conversationViolations, fieldsNotHonoured } from '../../src/chat/conversation.ts';
import { modelInfo } from '../support/test-model.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { initiateRequest } from '../support/chat-fixtures.ts';

const text = (value: string) => ({ block: { case: 'text', value } }) as const;
const user = (value: string) => ({ role: Role.USER, content: [text(value)] });
const assistant = (value: string) => ({ role: Role.ASSISTANT, content: [text(value)] });
const paths = (found: readonly { readonly path: string }[]): string[] =>
  found.map(({ path }) => path);

test('a text chat whose last message is the user’s is in order', () => {
  const messages = [user('a'), assistant('b'), user('c')];
  assert.deepEqual(conversationViolations(create(ChatRequestSchema, { messages })), []);
  assert.deepEqual(
    fieldsNotHonoured(initiateRequest({ request: { temperature: 0, topK: 1 } })),
    [],
  );
});

test('the last message must be the user’s, and something must be said', () => {
  const last = create(ChatRequestSchema, { messages: [user('a'), assistant('b')] });
  assert.deepEqual(paths(conversationViolations(last)), ['request.messages[1].role']);
  const empty = create(ChatRequestSchema, { messages: [user(''), user('')] });
  assert.deepEqual(paths(conversationViolations(empty)), ['request.messages']);
});

test('every field that is not honoured yet is named, all at once', () => {
  const request = create(InitiateChatStreamRequestSchema, {
    awaitToolResults: true,
    request: {
      messages: [
        user('a'),
        {
          role: Role.USER,
          content: [
            text('b'),
            { block: { case: 'image', value: { source: { case: 'url', value: 'https://x' } } } },
            { block: { case: 'toolResult', value: { toolUseId: '1' } } },
          ],
        },
      ],
      tools: [{ kind: { case: 'client', value: { name: 'f' } } }],
      toolChoice: {},
      mcpServers: [{ name: 'm' }],
      responseFormat: { format: { case: 'jsonSchema', value: { name: 'n', schema: '{}' } } },
      system: {
        text: 'fine',
        useDefaultPrompt: true,
        citations: { enabled: true },
        guidelines: 'g',
      },
      thinking: { enabled: true, budgetTokens: 0 },
      limits: {},
    },
  });
  assert.deepEqual(paths(fieldsNotHonoured(request)).toSorted(), [
    'await_tool_results',
    'request.limits',
    'request.mcp_servers',
    'request.messages[1].content[1].image',
    'request.messages[1].content[2].tool_result',
    'request.response_format.json_schema',
    'request.system.citations.enabled',
    'request.system.guidelines',
    'request.system.use_default_prompt',
    'request.thinking.budget_tokens',
    'request.thinking.enabled',
    'request.tool_choice',
    'request.tools',
  ]);
});

test('the model is the one that was named, by an alias too, or the default one', () => {
  const models = [modelInfo('first'), modelInfo('second', { aliases: ['2nd'] })];
  assert.equal(chooseModel('', models).name, 'first');
  assert.equal(chooseModel('second', models).name, 'second');
  assert.equal(chooseModel('2nd', models).name, 'second');
});

test('an unknown model is refused with those that there are; none at all is for later', () => {
  const models = Array.from({ length: 30 }, (_, i) => modelInfo(`model-${i}`));
  assert.throws(
    () => chooseModel('gpt-x', models),
    (error) =>
      error instanceof ChatError &&
      error.reason === 'UNKNOWN_MODEL' &&
      error.violations[0]?.path === 'request.model' &&
      /model-0, model-1.*and 10 more/.test(error.message),
  );
  assert.throws(
    () => chooseModel('any', []),
    (error) => error instanceof ChatError && error.reason === 'MODELS_UNAVAILABLE',
  );
});
