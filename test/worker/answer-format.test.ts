// What of a turn's words is the JSON that was asked for, and what the model is told where there is none.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import {
  MAX_OUTPUT_JSON_BYTES,
  MAX_OUTPUT_JSON_DEPTH,
  MAX_REPAIR_SCHEMA_CHARS,
} from '../../src/chat/limits.ts';
import {
  type AnswerFormat,
  answerFormat,
  type Judged,
  judge,
  repairRequest,
  askedAgain,
} from '../../src/worker/answer/answer-format.ts';

function formatOf(schema: object): AnswerFormat {
  const value = { name: 'answer', schema: JSON.stringify(schema) };
  const responseFormat = { format: { case: 'jsonSchema' as const, value } };
  const format = answerFormat(create(ChatRequestSchema, { responseFormat }));
  assert.ok(format !== undefined);
  return format;
}

const ANY = formatOf({});

function judged(text: string, format = ANY, stopReason: StopReason = StopReason.END_TURN): Judged {
  return judge(format, text, { kind: 'completed', stopReason });
}

function jsonOf(text: string): string | undefined {
  const result = judged(text);
  return 'end' in result && result.end.kind === 'completed' ? result.end.outputJson : undefined;
}

const FORMS: readonly (readonly [string, string | undefined])[] = [
  ['{"a":1}', '{"a":1}'],
  [' \n[1, 2]\n', '[1, 2]'],
  ['"text"', '"text"'],
  ['0', '0'],
  // As the model wrote it: no number loses digits on the way.
  ['{"id":12345678901234567890, "x":1.10}', '{"id":12345678901234567890, "x":1.10}'],
  ['```json\n{"a":1}\n```', '{"a":1}'],
  ['```\n{"a":1}\n```\n', '{"a":1}'],
  ['```JSON \r\n{"a":1}\r\n```', '{"a":1}'],
  // "```" is a stop text that people use.
  ['```json\n{"a":1}\n', '{"a":1}'],
  ['{"a":"```"}', '{"a":"```"}'],
  ['```python\n{"a":1}\n```', undefined],
  ['```json\n{"a":1}\n```\nThat is it.', undefined],
  ['Here it is: {"a":1}', undefined],
  ['{"a":1}{"b":2}', undefined],
  ['{"a":1', undefined],
  ["{'a':1}", undefined],
  ['NaN', undefined],
  ['```', undefined],
  ['', undefined],
];

test('the answer is JSON alone, or one fence around it, and nothing else', () => {
  for (const [text, json] of FORMS) assert.equal(jsonOf(text), json, text);
});

test('who wrote no JSON is told where it breaks, in words that quote nothing', () => {
  const violations = (text: string): readonly string[] => {
    const result = judged(text);
    return 'violations' in result ? result.violations : [];
  };
  const tail = 'JSON alone is wanted, without other words';
  assert.deepEqual(violations(''), ['the answer is empty; JSON is wanted']);
  assert.deepEqual(violations('{"secret" 1}'), [
    `the answer is not JSON: it breaks at position 10 (line 1 column 11); ${tail}`,
  ]);
  assert.deepEqual(violations('{"secret'), [
    `the answer is not JSON: it breaks at position 8 (line 1 column 9); ${tail}`,
  ]);
  const deep = MAX_OUTPUT_JSON_DEPTH + 1;
  assert.deepEqual(violations('['.repeat(deep) + ']'.repeat(deep)), [
    `the answer is nested more than ${MAX_OUTPUT_JSON_DEPTH} levels deep`,
  ]);
});

test('an answer that does not fit in the last event is a failure of its own', () => {
  const result = judged(JSON.stringify('é'.repeat(MAX_OUTPUT_JSON_BYTES / 2)));
  assert.ok('end' in result && result.end.kind === 'failed');
  assert.equal(result.end.reason, FailureReason.OUTPUT_TOO_LARGE);
});

test('an answer that cannot be checked at a bounded cost fails and is not asked for again', () => {
  const again = { properties: { a: { $ref: '#' } } };
  const tree = formatOf({ allOf: [again, again] });
  const deep = '{"a":'.repeat(150) + '1' + '}'.repeat(150);
  const result = judged(deep, tree);
  assert.ok('end' in result && result.end.kind === 'failed');
  assert.equal(result.end.reason, FailureReason.SCHEMA_NOT_MET);
  assert.match(result.end.message, /could not be checked/);
});

test('only a model that was done is held to its schema', () => {
  const format = formatOf({ type: 'object' });
  for (const stopReason of [
    StopReason.MAX_TOKENS,
    StopReason.REFUSAL,
    StopReason.CONTENT_FILTER,
    StopReason.TOOL_USE,
    StopReason.TURN_LIMIT,
  ]) {
    const end = { kind: 'completed', stopReason } as const;
    assert.deepEqual(judged('[', format, stopReason), { end });
    assert.deepEqual(judged('[]', format, stopReason), { end });
  }
  assert.ok('violations' in judged('[]', format, StopReason.END_TURN));
  assert.ok('violations' in judged('[]', format, StopReason.STOP_SEQUENCE));
});

test('the model hears its own answer and what is wrong, and the schema where it is short', () => {
  const [answer, asked] = askedAgain('Basel.', repairRequest(ANY, ['one', 'two']));
  assert.deepEqual([answer?.role, asked?.role], [Role.ASSISTANT, Role.USER]);
  const text = asked?.content[0]?.block.value;
  assert.ok(typeof text === 'string');
  assert.match(text, /- one\n- two\n\nAnswer again, .*\n\nThe JSON Schema is: \{\}$/);
  const long = formatOf({ description: 'x'.repeat(MAX_REPAIR_SCHEMA_CHARS) });
  const without = askedAgain('', repairRequest(long, ['one']))[1]?.content[0]?.block.value;
  assert.ok(typeof without === 'string' && without.length < 1_000);
});

test('any JSON value, with or without a fence, is handed over as it was written', () => {
  fc.assert(
    fc.property(fc.json(), fc.boolean(), (json, fenced) => {
      assert.equal(jsonOf(fenced ? `\`\`\`json\n${json}\n\`\`\`` : json), json.trim());
    }),
  );
});

test('any text is judged without an error', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('', '```', '```json\n'), (text, before) => {
      const result = judged(before + text);
      assert.ok('end' in result || result.violations.length > 0);
    }),
  );
});
