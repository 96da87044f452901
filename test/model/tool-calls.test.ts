// Tool calls as model servers stream them: the same call comes out of every form, and what is none is a
// failure and not a guess.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { modelCall, NEVER, recordingSink, type RecordingSink, startPair } from './model-call.ts';

const TOOLS = {
  tools: [
    { kind: { case: 'client', value: { name: 'f', inputSchema: '{"type":"object"}' } } } as const,
  ],
};

async function run(
  script: ScriptInput,
): Promise<{ readonly sink: RecordingSink; readonly stopReason: StopReason }> {
  await using pair = await startPair();
  const sink = recordingSink();
  const { stopReason } = await pair.client.generate(modelCall(script, TOOLS), sink, NEVER);
  return { sink, stopReason };
}

/** An answer of these `tool_calls`, one delta each. */
function pieces(...all: readonly unknown[]): ScriptInput {
  const events = all.map((piece) => {
    return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [piece] } }] })}\n\n`;
  });
  const end = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n';
  return { raw: `${events.join('')}${end}data: [DONE]\n\n` };
}

const name = (value: string, more: object = {}): object => ({ function: { name: value, ...more } });
const input = (text: unknown): object => ({ function: { arguments: text } });

const FORMS: readonly (readonly [string, ScriptInput, object[]])[] = [
  [
    'input in pieces',
    { tokens: 0, calls: [{ id: 'a', name: 'f', input: ['{"x"', ':', '1}'] }] },
    [{ id: 'a', name: 'f', input: '{"x":1}' }],
  ],
  [
    'bytes that are cut anywhere',
    { tokens: 2, split_bytes: 3, calls: [{ id: 'a', name: 'f', input: '{"x":"grün"}' }] },
    [{ id: 'a', name: 'f', input: '{"x":"grün"}' }],
  ],
  [
    'several calls whose pieces come by turns',
    {
      tokens: 0,
      interleave: true,
      calls: [
        { id: 'a', name: 'f', input: ['{"n":', '1}'] },
        { id: 'b', name: 'g', input: ['{"n":', '2}'] },
      ],
    },
    [
      { id: 'a', name: 'f', input: '{"n":1}' },
      { id: 'b', name: 'g', input: '{"n":2}' },
    ],
  ],
  [
    'no ids',
    { tokens: 0, calls: [{ name: 'f' }, { name: 'f', input: '{"n":2}' }] },
    [
      { id: '', name: 'f', input: '{}' },
      { id: '', name: 'f', input: '{"n":2}' },
    ],
  ],
  [
    'one id for several calls',
    {
      tokens: 0,
      calls: [
        { id: 'a', name: 'f', input: '{"n":1}' },
        { id: 'a', name: 'f', input: '{"n":2}' },
        { id: 'a', name: 'g', input: '{"n":3}' },
      ],
    },
    [
      { id: 'a', name: 'f', input: '{"n":1}' },
      { id: 'a', name: 'f', input: '{"n":2}' },
      { id: 'a', name: 'g', input: '{"n":3}' },
    ],
  ],
  [
    'no indexes, whole calls',
    {
      tokens: 0,
      calls: [
        { id: 'a', name: 'f', index: null },
        { id: 'b', name: 'f', index: null, input: '{"n":2}' },
      ],
    },
    [
      { id: 'a', name: 'f', input: '{}' },
      { id: 'b', name: 'f', input: '{"n":2}' },
    ],
  ],
  [
    'every call has the index 0',
    pieces(
      { index: 0, id: 'a', ...name('f', { arguments: '{"n":1}' }) },
      { index: 0, id: 'b', ...name('f', { arguments: '{"n":2}' }) },
    ),
    [
      { id: 'a', name: 'f', input: '{"n":1}' },
      { id: 'b', name: 'f', input: '{"n":2}' },
    ],
  ],
  [
    'the name again with each piece',
    pieces(
      { index: 0, id: 'a', ...name('f', { arguments: '{"n"' }) },
      { index: 0, id: 'a', ...name('f', { arguments: ':1}' }) },
    ),
    [{ id: 'a', name: 'f', input: '{"n":1}' }],
  ],
  [
    'input before the name, and nulls',
    pieces(
      { index: 0, id: 'a', function: { name: null, arguments: '{"n"' } },
      { index: 0, id: null, ...name('f', { arguments: null }) },
      { index: 0, ...input(':1}') },
    ),
    [{ id: 'a', name: 'f', input: '{"n":1}' }],
  ],
  [
    'input as an object',
    pieces({ index: 0, id: 'a', ...name('f', { arguments: { n: 1 } }) }),
    [{ id: 'a', name: 'f', input: '{"n":1}' }],
  ],
  [
    'halves of a character in two pieces',
    pieces(
      { index: 0, id: 'a', ...name('f') },
      { index: 0, ...input('"\ud83d') },
      { index: 0, ...input('\ude00"') },
    ),
    [{ id: 'a', name: 'f', input: '"\u{1f600}"' }],
  ],
  [
    'a server that says "stop" after its call',
    { tokens: 1, finish: 'stop', calls: [{ id: 'a', name: 'f' }] },
    [{ id: 'a', name: 'f', input: '{}' }],
  ],
];

test('a tool call comes out whole, in whatever form it is streamed', async (t) => {
  for (const [form, script, calls] of FORMS) {
    await t.test(form, async () => {
      const { sink, stopReason } = await run(script);
      assert.deepEqual(sink.calls, calls);
      assert.equal(stopReason, StopReason.TOOL_USE);
    });
  }
});

test('a call that was cut by max_tokens or a filter is no request for its tool', async () => {
  const calls = [{ id: 'a', name: 'f', input: '{"n":' }];
  const cut = await run({ tokens: 1, finish: 'length', calls });
  assert.equal(cut.stopReason, StopReason.MAX_TOKENS);
  const filtered = await run({ tokens: 1, finish: 'content_filter', calls });
  assert.equal(filtered.stopReason, StopReason.CONTENT_FILTER);
});

const BROKEN: readonly (readonly [string, ScriptInput])[] = [
  ['a call without a name', pieces({ index: 0, id: 'a', ...input('{}') })],
  ['a call of two names', pieces({ index: 0, ...name('f') }, { index: 0, ...name('g') })],
  ['a call that is no object', pieces('f')],
  ['input that is a number', pieces({ index: 0, ...name('f'), ...input(1) })],
  ['an id that is a number', pieces({ index: 0, id: 1, ...name('f') })],
  ['a name that is a number', pieces({ index: 0, function: { name: 1 } })],
  ['the word that there were calls, and none', { tokens: 1, finish: 'tool_calls' }],
];

test('what is no tool call is a failure', async (t) => {
  for (const [what, script] of BROKEN) {
    await t.test(what, async () => {
      await assert.rejects(run(script), (error) => {
        return error instanceof ModelFailure && error.reason === FailureReason.UPSTREAM_INVALID;
      });
    });
  }
});
