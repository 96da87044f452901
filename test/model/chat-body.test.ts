import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { MessageSchema, Role } from '../../gen/tailrace/v1/content_pb.ts';
import { chatBody } from '../../src/model/body/chat-body.ts';
import { dialectOf } from '../../src/model/dialects/dialects.ts';
import { modelCall, NEVER, recordingSink, type RequestInit, startPair } from './model-call.ts';

const SAID = '{"tokens":1}';
const BARE = {
  model: 'test-model',
  messages: [{ role: 'user', content: SAID }],
  stream: true,
  stream_options: { include_usage: true },
};

const TARGET = {
  upstreamModel: 'test-model',
  dialect: dialectOf('vllm'),
  defaults: {},
  thinking: undefined,
  seesImages: false,
};

const TABLE: readonly (readonly [string, RequestInit, Record<string, unknown>])[] = [
  ['nothing set', {}, {}],
  ['seed', { seed: 9_007_199_254_740_991n }, { seed: 9_007_199_254_740_991 }],
  ['seed 0', { seed: 0n }, { seed: 0 }],
  ['seed below 0', { seed: -7n }, { seed: -7 }],
  ['min_p', { minP: 0.05 }, { min_p: 0.05 }],
  ['min_p 0', { minP: 0 }, { min_p: 0 }],
  ['top_p', { topP: 0.9 }, { top_p: 0.9 }],
  ['top_p 0', { topP: 0 }, { top_p: 0 }],
  ['temperature', { temperature: 1.5 }, { temperature: 1.5 }],
  ['temperature 0', { temperature: 0 }, { temperature: 0 }],
  ['top_k', { topK: 40 }, { top_k: 40 }],
  ['top_k 0', { topK: 0 }, { top_k: 0 }],
  ['repetition_penalty', { repetitionPenalty: 1.1 }, { repetition_penalty: 1.1 }],
  ['presence_penalty', { presencePenalty: -2 }, { presence_penalty: -2 }],
  ['presence_penalty 0', { presencePenalty: 0 }, { presence_penalty: 0 }],
  ['frequency_penalty', { frequencyPenalty: 0.5 }, { frequency_penalty: 0.5 }],
  ['frequency_penalty 0', { frequencyPenalty: 0 }, { frequency_penalty: 0 }],
  ['max_tokens', { maxTokens: 7 }, { max_tokens: 7 }],
  ['stop', { stop: ['END', '\n\n'] }, { stop: ['END', '\n\n'] }],
  ['stream false', { stream: false }, {}],
  ['stream true', { stream: true }, {}],
  ['priority', { priority: 0 }, { priority: -5 }],
  ['metadata', { metadata: { a: 'b' } }, {}],
  ['correlation_id', { correlationId: 'trace-1' }, {}],
  [
    'system.text',
    { system: { text: 'Be brief.' } },
    { messages: [{ role: 'system', content: 'Be brief.' }, ...BARE.messages] },
  ],
  ['empty system.text', { system: { text: '' } }, {}],
];

test('each field of a request is in the upstream body exactly as the contract says', async (t) => {
  await using pair = await startPair();
  for (const [name, request, expected] of TABLE) {
    await t.test(name, async () => {
      await pair.client.generate(modelCall(SAID, request), recordingSink(), NEVER);
      const { body } = await pair.server.nextRequest();
      assert.deepEqual(body, { ...BARE, ...expected });
    });
  }
});

test('a conversation keeps its roles and order; parts become one string', () => {
  const text = (value: string) => ({ block: { case: 'text' as const, value } });
  const messages = [
    create(MessageSchema, { role: Role.USER, content: [text('One'), text('Two')] }),
    create(MessageSchema, { role: Role.ASSISTANT, content: [text('Thr'), text('ee')] }),
    create(MessageSchema, { role: Role.USER, content: [text('Four')] }),
  ];
  const body = chatBody({ ...modelCall('', { system: { text: 'S' } }), messages }, TARGET);
  assert.deepEqual(body.messages, [
    { role: 'system', content: 'S' },
    { role: 'user', content: 'One\nTwo' },
    { role: 'assistant', content: 'Three' },
    { role: 'user', content: 'Four' },
  ]);
});

test('a block that cannot be sent fails the call instead of being left out', () => {
  const image = { block: { case: 'image' as const, value: {} } };
  const url = { source: { case: 'url' as const, value: 'https://a.example/b.pdf' } };
  const document = { block: { case: 'document' as const, value: url } };
  for (const block of [image, document]) {
    const messages = [create(MessageSchema, { role: Role.USER, content: [block] })];
    const kind = new RegExp(`kind "${block.block.case}"`);
    assert.throws(() => chatBody({ ...modelCall(''), messages }, TARGET), kind);
  }
});

test('images of tools’ results follow the results in a user’s message for a model that is known to see, else a note stands for them', () => {
  const data = new Uint8Array([1, 2, 3]);
  const text = (value: string) => ({ block: { case: 'text' as const, value } });
  const image = {
    block: {
      case: 'image' as const,
      value: { source: { case: 'data' as const, value: data }, mediaType: 'image/png' },
    },
  };
  const use = (id: string) => ({
    block: { case: 'toolUse' as const, value: { id, name: 'draw', input: '{}' } },
  });
  const result = (toolUseId: string, ...content: (typeof image | ReturnType<typeof text>)[]) => ({
    block: { case: 'toolResult' as const, value: { toolUseId, content } },
  });
  const messages = [
    create(MessageSchema, { role: Role.ASSISTANT, content: [use('a'), use('b')] }),
    create(MessageSchema, {
      role: Role.USER,
      content: [result('a', text('A plan:'), image, text('Enough?')), result('b', text('none'))],
    }),
  ];
  const sentTo = (seesImages: boolean | undefined) =>
    chatBody({ ...modelCall(''), messages }, { ...TARGET, seesImages }).messages.slice(1);
  const note = '[An image, image/png, 3 bytes, which cannot be shown here.]';
  assert.deepEqual(sentTo(false), [
    { role: 'tool', tool_call_id: 'a', content: `A plan:\n${note}\nEnough?` },
    { role: 'tool', tool_call_id: 'b', content: 'none' },
  ]);
  // The client of a tool of its own knows which model it asked for.
  assert.deepEqual(sentTo(undefined), sentTo(true));
  const shown = '[An image, image/png, 3 bytes: see the next message.]';
  assert.deepEqual(sentTo(true), [
    { role: 'tool', tool_call_id: 'a', content: `A plan:\n${shown}\nEnough?` },
    { role: 'tool', tool_call_id: 'b', content: 'none' },
    {
      role: 'user',
      content: [
        { type: 'text', text: '[Images of result 1:]' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AQID' } },
      ],
    },
  ]);
});

test('OpenAI itself gets max_tokens under its new name', () => {
  const target = { ...TARGET, dialect: dialectOf('openai') };
  const body = chatBody(modelCall('', { maxTokens: 7 }), target);
  assert.equal(body.max_completion_tokens, 7);
  assert.equal('max_tokens' in body, false);
});

test('the correlation id and the key travel as headers, whatever characters the id has', async () => {
  await using pair = await startPair();
  await using keyless = await startPair({}, {});
  for (const [correlationId, header] of [
    ['trace 1:2', 'trace 1:2'],
    ['é\n', '%C3%A9%0A'],
    [' edge ', '%20edge%20'],
    ['', undefined],
  ] as const) {
    const call = modelCall(SAID, { correlationId });
    await pair.client.generate(call, recordingSink(), NEVER);
    const { headers } = await pair.server.nextRequest();
    assert.equal(headers['x-correlation-id'], header);
    assert.equal(headers['x-client-request-id'], header);
    assert.equal(headers.authorization, 'Bearer sk-test-0123456789abcdef');
    assert.equal(headers['accept-encoding'], 'identity');
  }
  await keyless.client.generate(modelCall(SAID), recordingSink(), NEVER);
  assert.equal((await keyless.server.nextRequest()).headers.authorization, undefined);
});
