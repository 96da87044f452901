// Rules across the fields of a request, and the choice of its model: each violation by its path, all of
// them at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import {
  ChatRequestSchema,
  ThinkingEffort,
  ToolChoiceMode,
} from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { chooseModel } from '../../src/chat/request/choose-model.ts';
import {
  conversationViolations,
  fieldsNotHonoured,
} from '../../src/chat/rules/conversation-rules.ts';
import { fitViolations } from '../../src/chat/request/model-fit.ts';
import { modelInfo } from '../support/chats/test-model.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';

const NO_TOOLS: ReadonlySet<string> = new Set();
const text = (value: string) => ({ block: { case: 'text', value } }) as const;
const user = (value: string) => ({ role: Role.USER, content: [text(value)] });
const assistant = (value: string) => ({ role: Role.ASSISTANT, content: [text(value)] });
const thought = (value: string) =>
  ({ block: { case: 'thinking', value: { text: value } } }) as const;
const paths = (found: readonly { readonly path: string }[]): string[] =>
  found.map(({ path }) => path);

test('a text chat whose last message is the user’s is in order', () => {
  const messages = [user('a'), assistant('b'), user('c')];
  assert.deepEqual(conversationViolations(create(ChatRequestSchema, { messages })), []);
  assert.deepEqual(
    fieldsNotHonoured(initiateRequest({ request: { temperature: 0, topK: 1 } }), NO_TOOLS),
    [],
  );
});

test('an assistant message that is to be continued must end with text, and something must be said', () => {
  const begun = create(ChatRequestSchema, { messages: [user('a'), assistant('b')] });
  assert.deepEqual(conversationViolations(begun), []);
  for (const content of [[text('')], [text('b'), thought('c')]]) {
    const messages = [user('a'), { role: Role.ASSISTANT, content }];
    const found = conversationViolations(create(ChatRequestSchema, { messages }));
    assert.deepEqual(paths(found), ['request.messages[1].content']);
  }
  const empty = create(ChatRequestSchema, { messages: [user(''), user('')] });
  assert.deepEqual(paths(conversationViolations(empty)), ['request.messages']);
});

test('effort and budget of thinking exclude each other, and only the model thinks', () => {
  const request = create(ChatRequestSchema, {
    messages: [{ role: Role.USER, content: [text('a'), thought('b')] }],
    thinking: { enabled: true, effort: ThinkingEffort.LOW, budgetTokens: 1 },
  });
  assert.deepEqual(paths(conversationViolations(request)), [
    'request.thinking.budget_tokens',
    'request.messages[0].content[1].thinking',
  ]);
});

test('what the model’s server has no form for is refused by its path', () => {
  const image = {
    block: { case: 'image', value: { source: { case: 'url', value: 'https://x' } } },
  } as const;
  const request = create(ChatRequestSchema, {
    messages: [{ role: Role.USER, content: [text('a'), image] }, assistant('b')],
    stop: ['c', 'd'],
  });
  const able = modelInfo('m', { maxStops: 2 });
  assert.deepEqual(fitViolations(request, able, [able]), []);
  const unable = modelInfo('m', { continues: false, imageUrls: false, maxStops: 1 });
  assert.deepEqual(paths(fitViolations(request, unable, [unable])), [
    'request.stop',
    'request.messages[1].role',
    'request.messages[0].content[1].image.url',
  ]);
});

test('a model that calls tools only where it must is not left the choice', () => {
  const model = modelInfo('m', { callsOnlyForced: true });
  const tool = { kind: { case: 'client' as const, value: { name: 'look' } } };
  const found = (more: MessageInitShape<typeof ChatRequestSchema>): string[] => {
    const request = create(ChatRequestSchema, { messages: [user('a')], ...more });
    return paths(fitViolations(request, model, [model]));
  };
  const mcpServers = [{ name: 's', url: 'https://mcp.example/' }];
  const left = ['request.tool_choice'];
  assert.deepEqual(found({ tools: [tool] }), left);
  assert.deepEqual(found({ mcpServers }), left);
  assert.deepEqual(found({ tools: [tool], toolChoice: { mode: ToolChoiceMode.AUTO } }), left);
  assert.deepEqual(found({ tools: [tool], toolChoice: { parallel: false } }), left);
  for (const mode of [ToolChoiceMode.ANY, ToolChoiceMode.NAMED, ToolChoiceMode.NONE]) {
    assert.deepEqual(found({ tools: [tool], mcpServers, toolChoice: { mode, name: 'look' } }), []);
  }
  const format = { case: 'tool' as const, value: { name: 'look' } };
  assert.deepEqual(found({ tools: [tool], responseFormat: { format } }), []);
  assert.deepEqual(found({}), []);
});

test('max_tokens beyond what the model gives, or its context holds, is refused with both numbers', () => {
  const said = (maxTokens: number, fields: Parameters<typeof modelInfo>[1]): string[] => {
    const request = create(ChatRequestSchema, { messages: [user('a')], maxTokens });
    const model = modelInfo('m', fields);
    return fitViolations(request, model, [model]).map((v) => `${v.path}: ${v.description}`);
  };
  assert.deepEqual(said(1_001, { maxOutputTokens: 1_000, contextTokens: 4_096 }), [
    'request.max_tokens: is 1001; the model m gives at most 1000 tokens',
  ]);
  assert.deepEqual(said(4_096, { contextTokens: 4_096 }), [
    'request.max_tokens: is 4096; the context of the model m is 4096 tokens, the conversation included',
  ]);
  assert.deepEqual(said(4_095, { contextTokens: 4_096 }), []);
  assert.deepEqual(said(1_000, { maxOutputTokens: 1_000 }), []);
  assert.deepEqual(said(2_000_000_000, {}), []);
});

test('every field that is not honoured yet is named, all at once', () => {
  const request = create(InitiateChatStreamRequestSchema, {
    request: {
      messages: [
        user('a'),
        {
          role: Role.USER,
          content: [
            text('b'),
            { block: { case: 'document', value: { source: { case: 'url', value: 'https://x' } } } },
            {
              block: {
                case: 'toolResult',
                value: {
                  toolUseId: '1',
                  content: [
                    {
                      block: { case: 'document', value: { source: { case: 'text', value: 'd' } } },
                    },
                  ],
                },
              },
            },
            { block: { case: 'toolUse', value: { id: '1', name: 'f', server: 's' } } },
          ],
        },
      ],
      tools: [
        { kind: { case: 'client', value: { name: 'f' } } },
        { kind: { case: 'server', value: { name: 'web_fetch' } } },
      ],
      toolContext: [{ name: 'd', item: { case: 'data', value: '{}' } }],
      responseFormat: { format: { case: 'jsonSchema', value: { name: 'n', schema: '{}' } } },
      system: {
        text: 'fine',
        citations: { enabled: true },
        guidelines: 'fine',
      },
    },
  });
  assert.deepEqual(paths(fieldsNotHonoured(request, NO_TOOLS)).toSorted(), [
    'request.messages[1].content[2].tool_result.content[0].document',
    'request.tools[1].server',
  ]);
});

test('a call of an MCP server’s tool may be given back, by the name that models know it by', () => {
  const given = (name: string): string[] =>
    paths(
      conversationViolations(
        create(ChatRequestSchema, {
          messages: [
            { role: Role.USER, content: [text('a')] },
            {
              role: Role.ASSISTANT,
              content: [
                { block: { case: 'toolUse', value: { id: '1', name, server: 's', input: '{}' } } },
              ],
            },
            {
              role: Role.USER,
              content: [{ block: { case: 'toolResult', value: { toolUseId: '1' } } }],
            },
          ],
        }),
      ),
    );
  assert.deepEqual(given('s__look'), []);
  assert.deepEqual(given('look'), ['request.messages[1].content[0].tool_use.name']);
});

test('each call of a tool is answered once, by the user, before anything else is said', () => {
  const use = (id: string, input = '{}') =>
    ({ block: { case: 'toolUse', value: { id, name: 'f', input } } }) as const;
  const result = (toolUseId: string) =>
    ({ block: { case: 'toolResult', value: { toolUseId } } }) as const;
  const found = (
    ...messages: { role: Role; content: ReturnType<typeof use | typeof result | typeof text>[] }[]
  ): string[] =>
    paths(
      conversationViolations(create(ChatRequestSchema, { messages: [user('a'), ...messages] })),
    );
  const said = (...content: ReturnType<typeof use | typeof text>[]) => ({
    role: Role.ASSISTANT,
    content,
  });
  const answered = (...content: ReturnType<typeof result | typeof text>[]) => ({
    role: Role.USER,
    content,
  });
  const both = said(text('t'), use('1'), use('2'));
  assert.deepEqual(found(both, answered(result('2'), result('1'))), []);
  assert.deepEqual(found(both, answered(result('2')), answered(result('1'), text('b'))), []);
  assert.deepEqual(found(both, answered(result('2'))), [
    'request.messages[1].content[1].tool_use.id',
  ]);
  assert.deepEqual(found(both, answered(result('1'), text('b'), result('2'))), [
    'request.messages[1].content[2].tool_use.id',
    'request.messages[2].content[2].tool_result.tool_use_id',
  ]);
  assert.deepEqual(found(said(use('1')), answered(result('1'), result('1'))), [
    'request.messages[2].content[1].tool_result.tool_use_id',
  ]);
  assert.deepEqual(found(answered(result('x'))), [
    'request.messages[1].content[0].tool_result.tool_use_id',
  ]);
  const again = [said(use('1')), answered(result('1'))];
  assert.deepEqual(found(...again, ...again), [
    'request.messages[3].content[0].tool_use.id',
    'request.messages[4].content[0].tool_result.tool_use_id',
  ]);
  assert.deepEqual(found({ role: Role.USER, content: [use('1')] }), [
    'request.messages[1].content[0].tool_use',
  ]);
  assert.deepEqual(found({ role: Role.ASSISTANT, content: [result('1')] }, user('b')), [
    'request.messages[1].content[0].tool_result',
  ]);
  for (const input of ['', '[]', 'none', '1']) {
    assert.deepEqual(found(said(use('1', input)), answered(result('1'))), [
      'request.messages[1].content[0].tool_use.input',
    ]);
  }
});

test('a call that was cut off is refused where it is given back', () => {
  const value = { id: '1', name: 'f', input: '{"city":', incomplete: true };
  const messages = [
    user('a'),
    { role: Role.ASSISTANT, content: [{ block: { case: 'toolUse', value } } as const] },
    {
      role: Role.USER,
      content: [{ block: { case: 'toolResult', value: { toolUseId: '1' } } } as const],
    },
  ];
  const found = conversationViolations(create(ChatRequestSchema, { messages }));
  assert.deepEqual(paths(found), ['request.messages[1].content[0].tool_use.incomplete']);
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
