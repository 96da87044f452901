// The fold: what is effective of a log with lost attempts, and the hash that proves it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind, EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../../src/chat/fold/answer.ts';

type Payload = NonNullable<MessageInitShape<typeof EventSchema>['payload']>;

function fold(payloads: readonly Payload[]): AnswerFold {
  const made = new AnswerFold();
  for (const [i, payload] of payloads.entries()) {
    made.apply(create(EventSchema, { sequence: i + 1, attempt: 1, payload }));
  }
  return made;
}

const opened = (index: number, kind: BlockKind = BlockKind.TEXT): Payload => ({
  case: 'blockStarted',
  value: { index, kind, turn: 1 },
});
const said = (index: number, text: string): Payload => ({
  case: 'textDelta',
  value: { index, text },
});
const thought = (index: number, text: string): Payload => ({
  case: 'thinkingDelta',
  value: { index, text },
});
const closed = (index: number): Payload => ({ case: 'blockStopped', value: { index } });
const lostAfter = (sequence: number): Payload => ({
  case: 'attemptStarted',
  value: { supersedesAfterSequence: sequence },
});
const STARTED: Payload = { case: 'started', value: { model: 'm' } };
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function output(made: AnswerFold): string[] {
  return made.output().map(({ block }) => {
    if (block.case === 'text') return block.value;
    return block.case === 'thinking' ? `(${block.value.text})` : `<${String(block.case)}>`;
  });
}

test('the signature of a block of reasoning is kept, however the block came', () => {
  const signatures = (made: AnswerFold): string[] =>
    made
      .output()
      .flatMap(({ block }) => (block.case === 'thinking' ? [block.value.signature] : []));
  const signed: Payload = { case: 'blockStopped', value: { index: 0, signature: 'sig' } };
  const begun = [STARTED, opened(0, BlockKind.THINKING), thought(0, 'hm')];
  assert.deepEqual(signatures(fold([...begun, signed])), ['sig']);
  const value = { text: 'hm', signature: 'sig' };
  const content = { block: { case: 'thinking' as const, value } };
  const whole: Payload = { case: 'blockStopped', value: { index: 0, content } };
  assert.deepEqual(signatures(fold([STARTED, opened(0, BlockKind.THINKING), whole])), ['sig']);
  assert.deepEqual(signatures(fold([...begun, signed, lostAfter(3)])), ['']);
});

test('blocks are put together from their deltas, thinking apart from text', () => {
  const made = fold([
    STARTED,
    opened(0, BlockKind.THINKING),
    thought(0, 'let me '),
    thought(0, 'see'),
    closed(0),
    opened(1),
    said(1, 'hello '),
    said(1, 'world'),
    closed(1),
  ]);
  assert.deepEqual(output(made), ['(let me see)', 'hello world']);
  assert.equal(made.contentSha256(), sha256('hello world'), 'the hash is of the text alone');
});

test('a whole block counts as its deltas would', () => {
  const content = { block: { case: 'text', value: 'all at once' } } as const;
  const made = fold([STARTED, opened(0), { case: 'blockStopped', value: { index: 0, content } }]);
  assert.deepEqual(output(made), ['all at once']);
  assert.equal(made.contentSha256(), sha256('all at once'));
});

test('a new attempt discards what was said after its step, and nothing before', () => {
  const made = fold([
    STARTED,
    opened(0),
    said(0, 'kept'),
    closed(0),
    opened(1),
    said(1, 'lost '),
    lostAfter(4),
    opened(1),
    said(1, 'again'),
  ]);
  assert.deepEqual(output(made), ['kept', 'again']);
  assert.equal(made.contentSha256(), sha256('keptagain'));
});

test('a block that was cut in its middle keeps what is before the step', () => {
  const made = fold([STARTED, opened(0), said(0, 'kept'), said(0, ' lost'), lostAfter(3)]);
  assert.deepEqual(output(made), ['kept']);
});

const called = (index: number, id: string, turn = 1): Payload => ({
  case: 'blockStarted',
  value: { index, kind: BlockKind.TOOL_USE, turn, id, name: 'f' },
});
const input = (index: number, json: string): Payload => ({
  case: 'toolInputDelta',
  value: { index, json },
});
const answered = (...ids: readonly string[]): Payload => ({
  case: 'toolResultsReceived',
  value: { results: ids.map((toolUseId) => ({ toolUseId })) },
});
const REQUESTED: Payload = { case: 'toolResultsRequested', value: {} };

function shown(content: ReturnType<AnswerFold['output']>): string[] {
  return content.map(({ block }) => {
    if (block.case === 'toolUse') return `${block.value.id}${block.value.input}`;
    if (block.case === 'toolResult') return `=${block.value.toolUseId}`;
    return block.case === 'text' ? block.value : `<${String(block.case)}>`;
  });
}

test('turns and their results become the conversation, results in the order of their calls', () => {
  const made = fold([
    STARTED,
    opened(0),
    said(0, 'look: '),
    closed(0),
    called(1, 'a'),
    called(2, 'b'),
    input(1, '{"n"'),
    input(2, '{}'),
    input(1, ':1}'),
    closed(1),
    closed(2),
    REQUESTED,
    answered('b'),
    answered('a'),
    lostAfter(14),
    called(3, 'c', 2),
    input(3, '{'),
    lostAfter(14),
    { case: 'blockStarted', value: { index: 3, kind: BlockKind.TEXT, turn: 2 } },
    said(3, 'found'),
  ]);
  assert.deepEqual(shown(made.output()), ['look: ', 'a{"n":1}', '=a', 'b{}', '=b', 'found']);
  assert.deepEqual(
    made.messages().map(({ role, content }) => [role, shown(content)]),
    [
      [Role.ASSISTANT, ['look: ', 'a{"n":1}', 'b{}']],
      [Role.USER, ['=a', '=b']],
      [Role.ASSISTANT, ['found']],
    ],
  );
  assert.equal(made.turn, 2);
  assert.equal(made.nextIndex, 4);
  assert.equal(made.chars, 'look: found'.length);
  assert.equal(made.contentSha256(), sha256('look: found'), 'over all turns');
  assert.equal(made.textHash().digest('hex'), made.contentSha256());
});

test('a chat that has said nothing begins with turn 1 and index 0', () => {
  const made = fold([STARTED, opened(0), said(0, 'lost'), lostAfter(1)]);
  assert.deepEqual([made.turn, made.nextIndex, made.messages()], [0, 0, []]);
});

test('any number of lost attempts leaves the text of the last one', () => {
  const attempt = fc.array(fc.string({ unit: 'grapheme', maxLength: 10 }), { maxLength: 6 });
  fc.assert(
    fc.property(fc.array(attempt, { minLength: 1, maxLength: 5 }), (attempts) => {
      const payloads: Payload[] = [];
      for (const [i, words] of attempts.entries()) {
        payloads.push(i === 0 ? STARTED : lostAfter(1), opened(0));
        payloads.push(...words.map((word) => said(0, word)));
      }
      const text = attempts.at(-1)?.join('') ?? '';
      const made = fold(payloads);
      assert.deepEqual(output(made), [text]);
      assert.equal(made.contentSha256(), sha256(text.toWellFormed()));
      assert.equal(made.lastSequence, payloads.length);
    }),
  );
});

test('the end is read with its usage and failure; an event of an unknown block is a fault', () => {
  const made = fold([
    STARTED,
    {
      case: 'cancelled',
      value: { status: ChatStreamStatus.CANCELLED, usage: { outputTokens: 3, modelCalls: 1 } },
    },
  ]);
  assert.equal(made.ending?.status, ChatStreamStatus.CANCELLED);
  assert.equal(made.usage?.outputTokens, 3);
  assert.throws(() => fold([STARTED, said(0, 'from nowhere')]), /never began/);
});
