import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { modelCall, NEVER, recordingSink, type RequestInit, startPair } from './model-call.ts';

const USAGE = { inputTokens: 0, outputTokens: 0, reasoningTokens: 0, cachedInputTokens: 1 };

/** Text of one token without its time. */
function numbers(texts: readonly string[]): string[] {
  return texts
    .join('')
    .trim()
    .split(' ')
    .map((token) => token.split(':')[0] ?? '');
}

async function run(script: ScriptInput | string, request: RequestInit = {}) {
  await using pair = await startPair();
  const sink = recordingSink();
  const { stopReason } = await pair.client.generate(modelCall(script, request), sink, NEVER);
  return { sink, stopReason, text: sink.texts.join('') };
}

test('a chat in plain words gets plain words', async () => {
  const { text, stopReason } = await run('Hello?');
  assert.equal(text, 'Water that has done its work at the wheel leaves by the tailrace .');
  assert.equal(stopReason, StopReason.END_TURN);
});

test('every token comes once and in order, paced or not', async () => {
  for (const script of [{ tokens: 500 }, { tokens: 50, interval_ms: 1 }]) {
    const { sink, stopReason } = await run(script);
    assert.deepEqual(numbers(sink.texts), [...Array(script.tokens).keys()].map(String));
    assert.equal(sink.texts.length, script.tokens);
    assert.equal(stopReason, StopReason.END_TURN);
  }
});

test('an answer cut into pieces anywhere is the same answer', async () => {
  const text = ['Wör', 'ld 😀', ' "quoted"\n', '日本語'];
  for (const line_end of ['\n', '\r\n', '\r'] as const) {
    for (const split_bytes of [1, 7]) {
      const { sink, stopReason } = await run({ text, line_end, split_bytes });
      assert.deepEqual(sink.texts, text);
      assert.equal(stopReason, StopReason.END_TURN);
    }
  }
});

test('an answer compressed against our wish is read', async () => {
  for (const encoding of ['gzip', 'br'] as const) {
    const { text } = await run({ text: ['a', 'b', 'é'], encoding });
    assert.equal(text, 'abé');
  }
});

test('large deltas arrive whole', async () => {
  const { sink } = await run({ tokens: 8, delta_bytes: 300_000 });
  assert.deepEqual(
    sink.texts.map((text) => text.length),
    Array(8).fill(300_000),
  );
});

test('a character whose halves come in two deltas is handed on whole', async () => {
  const event = (content: string) =>
    `data: {"choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`;
  const raw = `${event('a\\ud83d')}${event('\\ude00b')}${event('\\ud83d')}data: [DONE]\n\n`;
  const { sink } = await run({ raw });
  assert.deepEqual(sink.texts, ['a', '😀b', '\uFFFD']);
});

test('reasoning comes as thinking, under either name, apart from text', async () => {
  for (const thinking_field of ['reasoning_content', 'reasoning'] as const) {
    const { sink } = await run({ thinking: 3, thinking_field, tokens: 2 });
    assert.deepEqual(numbers(sink.thoughts), ['0', '1', '2']);
    assert.deepEqual(numbers(sink.texts), ['0', '1']);
    assert.equal(sink.usages[0]?.reasoningTokens, 3);
  }
});

test('reasoning between tags within the text comes as thinking, wherever the server cuts it', async () => {
  for (const text of [
    ['<think>\nhm', ', so\n</think>', '\n\nHello'],
    ['<', 'thi', 'nk>\nhm, so\n<', '/think', '>\n', '\nHel', 'lo'],
    '<think>\nhm, so\n</think>\n\nHello'.split(''),
  ]) {
    const { sink, stopReason } = await run({ text });
    assert.equal(sink.thoughts.join(''), 'hm, so\n');
    assert.equal(sink.texts.join(''), 'Hello');
    assert.equal(stopReason, StopReason.END_TURN);
  }
});

test('a refusal is text, also where it breaks off what the model was thinking', async () => {
  const event = (delta: object) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
  const raw = `${event({ content: '<think>hm' })}${event({ refusal: 'No.' })}data: [DONE]\n\n`;
  const { sink, stopReason } = await run({ raw });
  assert.deepEqual([sink.thoughts, sink.texts], [['hm'], ['No.']]);
  assert.equal(stopReason, StopReason.REFUSAL);
});

test('an answer that ends while the model reasons has only reasoning, and says why it ended', async () => {
  const { sink, stopReason } = await run({ text: ['<think>so ', 'far </th'], finish: 'length' });
  assert.deepEqual([sink.thoughts.join(''), sink.texts], ['so far </th', []]);
  assert.equal(stopReason, StopReason.MAX_TOKENS);
});

test('what is held back in case it became a tag is kept when the connection is cut', async () => {
  await using pair = await startPair({ tries: 1 });
  const sink = recordingSink();
  const script: ScriptInput = { text: ['<think>so', ' far</', '…'], fault: 'cut', after: 2 };
  await assert.rejects(pair.client.generate(modelCall(script), sink, NEVER), /before the answer/);
  assert.equal(sink.thoughts.join(''), 'so far</');
});

test('a server that hands reasoning over by itself has its text left alone', async () => {
  const { sink } = await run({ thinking: 2, text: ['<think>', 'a</think> is a tag'] });
  assert.equal(sink.thoughts.length, 2);
  assert.equal(sink.texts.join(''), '<think>a</think> is a tag');
});

test('what a server wants back with its reasoning comes once, after it, with or without words', async () => {
  const event = (delta: object) =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
  const details = (detail: object) => ({ reasoning_details: [{ index: 0, ...detail }] });
  const type = 'reasoning.text';
  const raw = [
    event({ reasoning: 'a', ...details({ type, text: 'a' }) }),
    event(details({ type, text: 'b' })),
    event(details({ type, signature: 'sig' })),
    event({ content: 'Hello', reasoning: null, reasoning_details: [] }),
    event(details({ type: 'reasoning.encrypted', data: 'xyz' })),
    'data: [DONE]\n\n',
  ].join('');
  const { sink, text } = await run({ raw });
  assert.deepEqual([sink.thoughts, text], [['a', 'b'], 'Hello']);
  assert.deepEqual(
    sink.signatures.map((signature) => JSON.parse(signature) as unknown),
    [
      [{ index: 0, type, signature: 'sig', chars: { text: 2 } }],
      [{ index: 0, type: 'reasoning.encrypted', data: 'xyz' }],
    ],
  );
});

test('an answer that is only reasoning is not empty', async () => {
  const { stopReason } = await run({ thinking: 1, tokens: 0 });
  assert.equal(stopReason, StopReason.END_TURN);
});

test('a refusal is text with the stop reason REFUSAL', async () => {
  const { text, stopReason } = await run({ refusal: true, text: ['I can', 'not.'] });
  assert.equal(text, 'I cannot.');
  assert.equal(stopReason, StopReason.REFUSAL);
});

test('usage arrives wherever the model server puts it, and once', async () => {
  for (const usage of ['last', 'with_finish', 'every'] as const) {
    const { sink } = await run({ text: ['a', 'b'], usage });
    const [first, ...more] = sink.usages;
    assert.ok((first?.inputTokens ?? 0) > 0);
    assert.deepEqual({ ...first, inputTokens: 0 }, { ...USAGE, outputTokens: 2 });
    assert.deepEqual(more, []);
  }
  const { sink } = await run({ usage: 'none' });
  assert.deepEqual(sink.usages, []);
  // SGLang counts reasoning beside the details and not in them.
  const choice = { index: 0, delta: { content: 'a' }, finish_reason: 'stop' };
  const counts = { prompt_tokens: 3, completion_tokens: 2, reasoning_tokens: 1 };
  const said = JSON.stringify({ choices: [choice], usage: counts });
  const sglang = await run({ raw: `data: ${said}\n\ndata: [DONE]\n\n` });
  assert.equal(sglang.sink.usages[0]?.reasoningTokens, 1);
});

test('tokens of reasoning are counted under either name that servers have for them', async () => {
  for (const counts of [
    { completion_tokens_details: { reasoning_tokens: 7 } },
    { reasoning_tokens: 7, completion_tokens_details: null },
  ]) {
    const usage = JSON.stringify({ prompt_tokens: 1, completion_tokens: 9, ...counts });
    const raw = `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: {"choices":[],"usage":${usage}}\n\ndata: [DONE]\n\n`;
    const { sink } = await run({ raw });
    assert.equal(sink.usages[0]?.reasoningTokens, 7);
  }
});

const FINISHES: readonly (readonly [ScriptInput, StopReason])[] = [
  [{ finish: 'stop' }, StopReason.END_TURN],
  [{ finish: 'length' }, StopReason.MAX_TOKENS],
  [{ finish: 'length', tokens: 0 }, StopReason.MAX_TOKENS],
  [{ finish: 'content_filter', tokens: 0 }, StopReason.CONTENT_FILTER],
  [{ finish: 'refusal', tokens: 0 }, StopReason.REFUSAL],
  [{ finish: 'eos_token' }, StopReason.END_TURN],
  [{ stop_reason: 'END' }, StopReason.STOP_SEQUENCE],
  [{ matched_stop: 'END' }, StopReason.STOP_SEQUENCE],
  [{ stop_reason: 151_645 }, StopReason.END_TURN],
  [{ stop_reason: 'end_turn' }, StopReason.END_TURN],
  [{ finish: 'length', stop_reason: 'END' }, StopReason.MAX_TOKENS],
  [{ fault: 'finish_twice' }, StopReason.END_TURN],
  [{ fault: 'no_done' }, StopReason.END_TURN],
  [{ fault: 'no_finish' }, StopReason.END_TURN],
];

test('the stop reason is the one that the model server gave', async (t) => {
  for (const [script, expected] of FINISHES) {
    await t.test(JSON.stringify(script), async () => {
      const { stopReason } = await run(script, { stop: ['END'] });
      assert.equal(stopReason, expected);
    });
  }
});

test('max_tokens ends the answer with MAX_TOKENS', async () => {
  const { sink, stopReason } = await run({ tokens: 9 }, { maxTokens: 4 });
  assert.equal(sink.texts.length, 4);
  assert.equal(stopReason, StopReason.MAX_TOKENS);
});

test('a finished answer does not wait for a model server that keeps the line open', async () => {
  await using pair = await startPair({ idleTimeoutMs: 1_000 });
  for (const fault of ['open_after_finish', 'open_after_done'] as const) {
    const call = modelCall({ fault, tokens: 3 });
    const { stopReason } = await pair.client.generate(call, recordingSink(), NEVER);
    assert.equal(stopReason, StopReason.END_TURN);
    assert.equal(await (await pair.server.nextRequest()).ended, 'aborted');
  }
});

test('one connection serves one chat after the other', async () => {
  await using pair = await startPair();
  for (let i = 0; i < 3; i++) {
    await pair.client.generate(modelCall({ id: String(i) }), recordingSink(), NEVER);
    const request = await pair.server.nextRequest();
    assert.equal(request.connection, 1);
    assert.equal(await request.ended, 'answered');
  }
});
